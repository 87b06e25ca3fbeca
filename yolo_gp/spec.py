"""Syntax to typed, frozen layers: `CfgFile` -> `NetworkSpec`, all findings gathered in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_gp.errors import Diagnostics, Span, did_you_mean, shown
from yolo_gp.layers import LAYERS, UNSUPPORTED
from yolo_gp.layers.base import COMMON_IGNORED, CommonKeys, Layer
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
    """A whole cfg, typed: what the network takes, and its sections in file order."""

    net: Net
    layers: tuple[WrittenLayer, ...]


def specify(cfg: CfgFile, diagnostics: Diagnostics) -> NetworkSpec | None:
    """Type every section. None if the file has no [net] to start from.

    Unknown kinds, keys and values go into `diagnostics`.
    """
    if not cfg.sections:
        return None
    if cfg.sections[0].kind not in _NET_KINDS:
        return _without_net(cfg, diagnostics)
    net_options = Options(cfg.sections[0], diagnostics)
    net = Net.parse(net_options)
    net_options.finish(NET_IGNORED)
    if len(cfg.sections) == 1:
        diagnostics.error(
            Rule.NOT_A_CFG,
            cfg.sections[0].span,
            "the file has no layer after [net]",
            expected="at least one section after [net]",
        )
    layers = tuple(
        _specify_layer(index, section, diagnostics)
        for index, section in enumerate(cfg.sections[1:])
    )
    return NetworkSpec(net, layers)


def _without_net(cfg: CfgFile, diagnostics: Diagnostics) -> NetworkSpec:
    """The layers of a file that lacks its [net], so that their mistakes are reported too."""
    net = Net(span=cfg.sections[0].span, input_shape=PartialShape(), letter_box=False)
    first = 0 if cfg.sections[0].kind in _KINDS else 1  # otherwise it is a misspelt [net]
    sections = [s for s in cfg.sections[first:] if s.kind not in _NET_KINDS]
    layers = (_specify_layer(index, s, diagnostics) for index, s in enumerate(sections))
    return NetworkSpec(net, tuple(layers))


def _specify_layer(index: int, section: Section, diagnostics: Diagnostics) -> WrittenLayer:
    options = Options(section, diagnostics)
    layer, macro = None, None
    if section.kind in LAYERS:
        kind = LAYERS[section.kind]
        layer = kind.parse(options, CommonKeys.parse(options, ours=kind.ours))
        options.finish({} if kind.ours else {**COMMON_IGNORED, **kind.ignored}, ours=kind.ours)
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
    elif section.kind in UNSUPPORTED:
        diagnostics.error(
            Rule.UNSUPPORTED,
            section.span,
            f"[{section.kind}] is a Darknet section that this version cannot compile",
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
