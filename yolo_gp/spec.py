"""Syntax to typed, frozen layers: `CfgFile` -> `NetworkSpec`, all findings gathered in one go."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.errors import Diagnostics, Span, did_you_mean, shown
from yolo_gp.layers import LAYERS, UNSUPPORTED
from yolo_gp.layers.base import COMMON_IGNORED, CommonKeys, Layer
from yolo_gp.layers.net import NET_IGNORED, Net
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.syntax import CfgFile, Section


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """One section after [net].

    Fields:
        written: its number as users count: 0 is the first section after [net].
        kind: the section's name as written.
        span: the section's header.
        layer: the typed layer; None if the kind is unknown.
        trusted: its numbers are what the author wrote; otherwise an error has been reported and
            its output shape counts as unknown.
    """

    written: int
    kind: str
    span: Span
    layer: Layer | None
    trusted: bool


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A whole cfg, typed: what the network takes, and its sections in file order."""

    net: Net
    layers: tuple[WrittenLayer, ...]


def specify(cfg: CfgFile, diagnostics: Diagnostics) -> NetworkSpec | None:
    """Type every section. None if the file has no [net] to start from.

    Unknown kinds, keys and values go into `diagnostics`.
    """
    if not cfg.sections or cfg.sections[0].kind not in ("net", "network"):
        return None
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


def _specify_layer(index: int, section: Section, diagnostics: Diagnostics) -> WrittenLayer:
    kind = LAYERS.get(section.kind)
    if kind is None:
        _report_unknown_kind(section, diagnostics)
        return WrittenLayer(index, section.kind, section.span, None, trusted=False)
    options = Options(section, diagnostics)
    common = CommonKeys(
        dont_load=options.flag("dontload"), dont_load_scales=options.flag("dontloadscales")
    )
    layer = kind.parse(options, common)
    options.finish({**COMMON_IGNORED, **kind.ignored})
    return WrittenLayer(index, section.kind, section.span, layer, trusted=not options.failed)


def _report_unknown_kind(section: Section, diagnostics: Diagnostics) -> None:
    if section.kind in ("net", "network"):
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
            expected="one of " + ", ".join(sorted({kind.kind for kind in LAYERS.values()})),
        )
    elif section.kind:
        diagnostics.error(
            Rule.UNKNOWN_SECTION,
            section.span,
            f"there is no layer kind [{shown(section.kind)}]",
            expected="one of " + ", ".join(sorted({kind.kind for kind in LAYERS.values()})),
            help=did_you_mean(section.kind, LAYERS),
        )
