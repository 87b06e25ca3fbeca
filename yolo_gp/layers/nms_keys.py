"""The keys by which a head asks for its suppression: nms_kind and beta_nms."""

from __future__ import annotations

from yolo_gp.detections import NmsRule
from yolo_gp.options import Options
from yolo_gp.rules import Rule

_KINDS = ("default", "greedynms", "diounms")
_DARKNET_EXPONENT = 0.6


def parse_darknet_nms(options: Options, *, knows_corners: bool = False) -> NmsRule:
    """Read a Darknet section's keys as Darknet reads them.  Source: darknet.md 3.4.

    Args:
        knows_corners: "cornersnms" is a kind of its own there. It is plain IoU too.
    """
    beta = options.number("beta_nms", _DARKNET_EXPONENT)
    kind = options.choice("nms_kind", "default", (*_KINDS, "cornersnms"))
    if kind == "cornersnms" and not knows_corners:
        options.warning(
            Rule.NMS_NAME,
            "nms_kind",
            f"Darknet reads nms_kind={kind} in [{options.kind}] as default, and so do we",
            help="write nms_kind=default",
        )
    return _rule(kind, beta)


def parse_nms(options: Options) -> NmsRule:
    """Read the same keys in a section of our own, where a key without effect is an error."""
    beta = options.number("beta_nms", _DARKNET_EXPONENT)
    kind = options.choice("nms_kind", "default", _KINDS)
    if kind != "diounms" and "beta_nms" in options and not options.failed:
        options.error(
            Rule.NO_EFFECT,
            "beta_nms",
            f"[{options.kind}] beta_nms has no effect with nms_kind={kind}",
            expected="nms_kind=diounms, or no beta_nms",
        )
    return _rule(kind, beta)


def _rule(kind: str, beta: float) -> NmsRule:
    if kind == "greedynms":  # despite its name: distance-IoU with a fixed exponent
        return NmsRule("diou", _DARKNET_EXPONENT)
    return NmsRule("diou", beta) if kind == "diounms" else NmsRule("iou")
