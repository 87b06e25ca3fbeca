"""Keys that macros share, and the complaint about one that has no effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.activations import activation_by_name
from yolo_gp.layers.answers import GradientStop
from yolo_gp.layers.base import parse_gradient_stop
from yolo_gp.macros.base import Expansion
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule

MAX_KERNEL = 1024
MAX_BLOCKS = 1024

SHARED_MEANINGS: Mapping[str, str] = {
    "activation": "of every convolution",
    "batch_normalize": "1: batch normalisation in every convolution",
    "stop_gradient": "of every add inside, as in `[partial_shortcut]`",
    "kernels": "sizes of the two convolutions of a `dark` or `plain` block; 1,3 by default",
}


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """Keys of every macro: what each convolution and each shortcut inside gets."""

    activation: str
    batch_norm: bool
    stop: GradientStop
    dialect: Dialect = Dialect.DARKNET

    @classmethod
    def parse(cls, options: Options) -> SharedKeys:
        return cls(
            activation=activation_by_name(options, "activation", "leaky"),
            batch_norm=options.flag("batch_normalize", True),
            stop=parse_gradient_stop(options),
            dialect=options.dialect,
        )

    def expansion(self, span: Span) -> Expansion:
        """An empty expansion of the macro at `span`."""
        return Expansion(
            span,
            activation=self.activation,
            batch_norm=self.batch_norm,
            stop=self.stop,
            dialect=self.dialect,
        )


def forbid(options: Options, keys: Iterable[str], beside: str) -> None:
    """Report every key that stands though it has no effect `beside` another setting."""
    for key in keys:
        if key in options:
            options.error_at(
                Rule.NO_EFFECT,
                options.key_span_of(key),
                f"[{options.kind}] {key} has no effect beside {beside}",
                expected=f"no {key}, or another setting than {beside}",
            )


def channels(options: Options, key: str, default: int) -> int:
    """A channel count of at least 1."""
    return options.integer(key, default, minimum=1, maximum=MAX_CHANNELS)


def kernel_pair(options: Options) -> tuple[int, int]:
    """`kernels`: the sizes of a block's two convolutions, 1,3 by default."""
    values = options.integers("kernels", minimum=1, maximum=MAX_KERNEL)
    if values is None:
        return (1, 3)
    if len(values) != 2:
        if not options.failed:
            options.error(
                Rule.OUT_OF_RANGE,
                "kernels",
                f"[{options.kind}] kernels lists {len(values)} size{'s' * (len(values) > 1)}",
                expected="two sizes, such as 1,3",
            )
        return (1, 3)
    return values[0][0], values[1][0]
