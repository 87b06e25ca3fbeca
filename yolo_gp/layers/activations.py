"""Darknet's activations by name (darknet.md 2.16); the functions are in activation_modules.py."""

from __future__ import annotations

from yolo_gp.options import Options
from yolo_gp.rules import Rule

ACTIVATIONS = frozenset(
    "linear logistic loggy relu relu6 elu selu gelu relie ramp leaky revleaky tanh plse stair "
    "hardtan lhtan swish mish hard_mish normalize_channels normalize_channels_softmax "
    "normalize_channels_softmax_maxval".split()
)
_ZERO_OUTSIDE_CONVOLUTIONS = frozenset(
    name for name in ACTIVATIONS if name in ("swish", "mish", "hard_mish") or "normalize" in name
)


def parse_activation(
    options: Options, default: str, *, computed: frozenset[str] = frozenset()
) -> str:
    """Read `activation`, and warn where AlexeyAB's CPU build gives zeros and we do not.

    Args:
        computed: the names among swish, mish, hard_mish and normalize_* that Darknet does
            compute in this kind of section.
    """
    name = options.choice("activation", default, ACTIVATIONS)
    if name == "relu6":
        options.warning(
            Rule.RELU6,
            "activation",
            "AlexeyAB's CPU build outputs zeros for relu6; clamped to 0..6 here",
        )
    elif name in _ZERO_OUTSIDE_CONVOLUTIONS - computed:
        options.warning(
            Rule.ACTIVATION_ZERO,
            "activation",
            f"AlexeyAB's CPU build outputs zeros for {name} in [{options.kind}]; "
            "it is applied here",
        )
    return name


CONVOLUTION_ACTIVATIONS = _ZERO_OUTSIDE_CONVOLUTIONS
SHORTCUT_ACTIVATIONS = frozenset({"swish", "mish"})
