"""Darknet's activations by name (darknet.md 2.16); the functions are in activation_modules.py."""

from __future__ import annotations

from yolo_gp.dialect import Dialect
from yolo_gp.options import Options
from yolo_gp.rules import Rule

ACTIVATIONS = frozenset(
    "linear logistic loggy relu relu6 elu selu gelu relie ramp leaky revleaky tanh plse stair "
    "hardtan lhtan swish mish hard_mish normalize_channels normalize_channels_softmax "
    "normalize_channels_softmax_maxval".split()
)
YOLOR_ACTIVATIONS = frozenset({"silu"})
"""Names that the YOLOR dialect has beside those."""

_ZERO_OUTSIDE_CONVOLUTIONS = frozenset(
    name for name in ACTIVATIONS if name in ("swish", "mish", "hard_mish") or "normalize" in name
)


def parse_activation(
    options: Options, default: str, *, computed: frozenset[str] = frozenset()
) -> str:
    """Read `activation`, and warn where AlexeyAB's CPU build gives zeros and we do not.

    The YOLOR dialect calls swish silu as well.

    Args:
        computed: the names among swish, mish, hard_mish and normalize_* that Darknet does
            compute in this kind of section.
    """
    if options.dialect is Dialect.YOLOR:
        return activation_by_name(options, "activation", default)
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


def activation_by_name(options: Options, key: str, default: str) -> str:
    """Read an activation of convolutions, without a word on what Darknet makes of it."""
    if options.dialect is not Dialect.YOLOR:
        return options.choice(key, default, ACTIVATIONS)
    name = options.choice(key, default, ACTIVATIONS | YOLOR_ACTIVATIONS)
    return "swish" if name in YOLOR_ACTIVATIONS else name


def mixes_channels(activation: str) -> bool:
    """Whether each number depends on the other channels of its pixel."""
    return activation.startswith("normalize_channels")


CONVOLUTION_ACTIVATIONS = _ZERO_OUTSIDE_CONVOLUTIONS
SHORTCUT_ACTIVATIONS = frozenset({"swish", "mish"})
