"""Syntax to typed, frozen layers: `CfgFile` -> `NetworkSpec`, all findings gathered in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo_gp.dialect import DIALECT_NAMES, Dialect
from yolo_gp.errors import Diagnostics, Span, did_you_mean, shown
from yolo_gp.layers import LAYERS, UNSUPPORTED, YOLOR_KINDS, YOLOR_UNSUPPORTED
from yolo_gp.layers.activations import YOLOR_ACTIVATIONS
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import COMMON_IGNORED, CommonKeys
from yolo_gp.layers.net import NET_IGNORED, Net
from yolo_gp.macros import MACROS
from yolo_gp.macros.base import Macro
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape
from yolo_gp.syntax import CfgFile, Section

_KINDS: Mapping[str, type[Layer] | type[Macro]] = {**LAYERS, **MACROS}


_NET_KINDS = ("net", "network")


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """One section after [net].

    Fields:
        written: its number as users count: 0 is the first section after [net].
        kind: the section's name as written.
        span: the section's header.
        layer: the typed layer; None if the kind is a macro or unknown.
        macro: the macro, which stands for several layers; None if it is none.
        trusted: its numbers are what the author wrote; otherwise an error has been reported and
            its output shape counts as unknown.
    """

    written: int
    kind: str
    span: Span
    layer: Layer | None
    macro: Macro | None
    trusted: bool

    @property
    def name(self) -> str | None:
        """What other sections call it by, as @name."""
        content = self.layer or self.macro
        return content.common.name if content else None


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A whole cfg, typed: what the network takes, and its sections in file order.

    Fields:
        tells_dialect: its text alone says in which dialect it is to be read.
    """

    net: Net
    layers: tuple[WrittenLayer, ...]
    tells_dialect: bool = True


def specify(
    cfg: CfgFile, diagnostics: Diagnostics, dialect: Dialect | None = None
) -> NetworkSpec | None:
    """Type every section. None if the file has no [net] to start from.

    Unknown kinds, keys and values go into `diagnostics`.

    Args:
        dialect: the one to read the file in, whatever it says itself.
    """
    if not cfg.sections:
        return None
    told = choose_dialect(cfg, Diagnostics() if dialect else diagnostics)
    dialect = dialect or told
    if cfg.sections[0].kind not in _NET_KINDS:
        return _without_net(cfg, dialect, diagnostics)
    net_options = Options(cfg.sections[0], diagnostics, dialect=dialect)
    net = Net.parse(net_options)
    net_options.finish(NET_IGNORED)
    if len(cfg.sections) == 1:
        diagnostics.error(
            Rule.NOT_A_CFG,
            cfg.sections[0].span,
            "the file has no layer after [net]",
            expected="at least one section after [net]",
        )
    layers = _specify_layers(cfg.sections[1:], dialect, diagnostics)
    return NetworkSpec(net, layers, tells_dialect=dialect is told)


def _without_net(cfg: CfgFile, dialect: Dialect, diagnostics: Diagnostics) -> NetworkSpec:
    """The layers of a file that lacks its [net], so that their mistakes are reported too."""
    net = Net(span=cfg.sections[0].span, input_shape=PartialShape(), letter_box=False)
    first = 0 if cfg.sections[0].kind in _KINDS else 1  # otherwise it is a misspelt [net]
    sections = [s for s in cfg.sections[first:] if s.kind not in _NET_KINDS]
    return NetworkSpec(net, _specify_layers(sections, dialect, diagnostics))


def _specify_layers(
    sections: Sequence[Section], dialect: Dialect, diagnostics: Diagnostics
) -> tuple[WrittenLayer, ...]:
    following = [LAYERS.get(section.kind) for section in sections[1:]]
    before_head = [kind is not None and dialect in kind.activates_in for kind in following]
    before_head.append(False)
    return tuple(
        _specify_layer(index, section, dialect, before, diagnostics)
        for index, (section, before) in enumerate(zip(sections, before_head, strict=False))
    )


def _specify_layer(
    index: int, section: Section, dialect: Dialect, before_head: bool, diagnostics: Diagnostics
) -> WrittenLayer:
    options = Options(section, diagnostics, dialect=dialect)
    layer, macro = None, None
    if _is_of_other_dialect(section.kind, dialect):
        _report_other_dialect(section, diagnostics)
    elif section.kind in LAYERS:
        kind = LAYERS[section.kind]
        common = CommonKeys.parse(options, ours=kind.ours, before_head=before_head)
        layer = kind.parse(options, common)
        options.finish(_ignored(kind, dialect), ours=kind.ours)
    elif section.kind in MACROS:
        macro = MACROS[section.kind].parse(options, CommonKeys.parse(options, ours=True))
        options.finish({}, ours=True)
    else:
        _report_unknown_kind(section, diagnostics)
    known = layer is not None or macro is not None
    trusted = known and not options.failed
    return WrittenLayer(index, section.kind, section.span, layer, macro, trusted)


def _report_unknown_kind(section: Section, diagnostics: Diagnostics) -> None:
    if section.kind in _NET_KINDS:
        diagnostics.error(
            Rule.FIRST_SECTION,
            section.span,
            f"a second [{section.kind}]",
            expected="one [net], at the top of the file",
        )
    elif section.kind in UNSUPPORTED | YOLOR_UNSUPPORTED:
        whose = "Darknet" if section.kind in UNSUPPORTED else "YOLOR"
        diagnostics.error(
            Rule.UNSUPPORTED,
            section.span,
            f"[{section.kind}] is a {whose} section that this version cannot compile",
            expected="one of " + ", ".join(sorted({kind.kind for kind in _KINDS.values()})),
        )
    elif section.kind:
        diagnostics.error(
            Rule.UNKNOWN_SECTION,
            section.span,
            f"there is no layer kind [{shown(section.kind)}]",
            expected="one of " + ", ".join(sorted({kind.kind for kind in _KINDS.values()})),
            help=did_you_mean(section.kind, {*_KINDS, *UNSUPPORTED}),
        )


# -- dialects --------------------------------------------------------------------------------------


def choose_dialect(cfg: CfgFile, diagnostics: Diagnostics) -> Dialect:
    """The dialect a file is written in: what its [net] says, or what its sections tell."""
    if cfg.sections and cfg.sections[0].kind in _NET_KINDS:
        for option in cfg.sections[0].options:
            if option.key == "dialect" and option.value in DIALECT_NAMES:
                return Dialect(option.value)
    if any(section.kind in YOLOR_KINDS for section in cfg.sections):
        return Dialect.YOLOR
    for option in (option for section in cfg.sections for option in section.options):
        if option.key == "activation" and option.value in YOLOR_ACTIVATIONS:
            diagnostics.warning(
                Rule.OTHER_DIALECT,
                option.value_span,
                f"activation={option.value} is none of Darknet's, so the whole file is read as "
                f"{Dialect.YOLOR.code} reads it: batch norm, max pools and [yolo] differ",
                help="say dialect=yolor in [net] if that is meant, activation=swish if not",
            )
            return Dialect.YOLOR
    return Dialect.DARKNET


def _is_of_other_dialect(kind: str, dialect: Dialect) -> bool:
    return dialect is not Dialect.YOLOR and kind in YOLOR_KINDS


def _report_other_dialect(section: Section, diagnostics: Diagnostics) -> None:
    diagnostics.error(
        Rule.OTHER_DIALECT,
        section.span,
        f"[{section.kind}] is a section of the YOLOR dialect; the file is to be read as Darknet's",
        expected="sections that Darknet knows",
        help="read it with --dialect yolor, or dialect=yolor in [net]",
    )


def _ignored(kind: type[Layer], dialect: Dialect) -> Mapping[str, str]:
    """The keys that a section of that kind may have without effect."""
    if kind.ours:
        return {}
    return {**COMMON_IGNORED, **kind.ignored, **kind.ignored_in.get(dialect, {})}
