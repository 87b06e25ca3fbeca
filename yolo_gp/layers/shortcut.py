"""[shortcut]: adds earlier maps to the previous one, channel by channel as far as both reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import SHORTCUT_ACTIVATIONS, parse_activation
from yolo_gp.layers.base import (
    CommonKeys,
    GradientStop,
    Layer,
    PlainSection,
    ShapeProblem,
    WeightBlock,
    parse_gradient_stop,
)
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, exact_factor, format_size

if TYPE_CHECKING:
    from torch import nn

_WEIGHTS_TYPES = ("none", "per_feature", "per_layer", "per_channel")
_NORMALIZATIONS = ("none", "relu", "avg_relu", "softmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut(Layer):
    """[shortcut]: activation(w_0 x + sum_i w_i source_i).  Shape of x, the previous layer.

    A source adds its first min(C, C_i) channels; channels of x beyond that stay as they are.
    Partial Residual Networks rely on it. A source whose height and width are both s times larger
    gives every s-th pixel; one that is s times smaller goes to every s-th pixel (pjreddie's rule).
    Weights, if any, are one number per addend ("per_feature") or one per addend and channel.
    `stop_gradient` is ours: see GradientStop.

    Source: Darknet src/shortcut_layer.c, src/blas.c; darknet.md 2.5.
    """

    kind: ClassVar[str] = "shortcut"
    training_fields: ClassVar[frozenset[str]] = frozenset({"stop"})

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]
    activation: str
    weights_type: str  # "none", "per_feature" or "per_channel"
    weights_normalization: str  # "none", "relu" or "softmax"
    stop: GradientStop

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Shortcut:
        weights_type = options.choice("weights_type", "none", _WEIGHTS_TYPES)
        normalization = options.choice("weights_normalization", "none", _NORMALIZATIONS)
        if (
            weights_type != "none"
            and normalization == "none"
            and options.trusts("weights_normalization")
        ):
            options.warning(
                Rule.PLAIN_SHORTCUT_WEIGHTS,
                "weights_type",
                f"[shortcut] weights_type={weights_type} without weights_normalization is fatal in "
                "Darknet; the weights are used as they are here",
                help="add weights_normalization=relu or weights_normalization=softmax",
            )
        return cls(
            span=options.span,
            common=common,
            layers=options.references("from"),
            activation=parse_activation(options, "linear", computed=SHORTCUT_ACTIVATIONS),
            weights_type="per_feature" if weights_type == "per_layer" else weights_type,
            weights_normalization="relu" if normalization == "avg_relu" else normalization,
            stop=parse_gradient_stop(options),
        )

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.layers)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        for position, source in enumerate(inputs[1:], start=1):
            if source.size and inputs[0].size and not _is_multiple(inputs[0].size, source.size):
                raise ShapeProblem(
                    Rule.SIZE_MISMATCH,
                    self.layers[position - 1].span,
                    f"[shortcut] adds maps of different size: {{0}} is "
                    f"{format_size(inputs[0].size)}, {{{position}}} is {format_size(source.size)}",
                    expected="equal sizes, or one an exact multiple of the other both ways",
                    wanted_size=inputs[0].size,
                )
        return inputs[0]

    def remarks(self, inputs: Sequence[PartialShape]) -> Sequence[ShapeProblem]:
        return [
            ShapeProblem(
                Rule.RESIZED_SHORTCUT,
                reference.span,
                f"[shortcut] adds a {format_size(source.size)} map to a "
                f"{format_size(inputs[0].size)} one: fatal in AlexeyAB's Darknet, done by "
                "pjreddie's rule here",
            )
            for reference, source in zip(self.layers, inputs[1:], strict=True)
            if source.size and inputs[0].size and source.size != inputs[0].size
        ]

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        operations = output.elements * len(self.layers)
        if self.weights_type == "none":
            return Cost(darknet_operations=operations, activations=output.elements)
        return Cost(
            params=self._weights_per_map(inputs) * len(inputs),
            darknet_operations=2 * operations,
            activations=output.elements,
        )

    def _weights_per_map(self, inputs: Sequence[FeatureShape]) -> int:
        return inputs[0].channels if self.weights_type == "per_channel" else 1

    def adds_maps(self) -> bool:
        return True

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        channels = (min(output.channels, source.channels) for source in inputs)
        return tuple(Passes(position, count) for position, count in enumerate(channels))

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Shortcut as Module
        from yolo_gp.layers.modules import WeightedShortcut

        overlaps = tuple(
            (min(output.channels, source.channels), *_scale(output.size, source.size))
            for source in inputs[1:]
        )
        if self.weights_type == "none":
            return Module(overlaps, self.activation)
        return WeightedShortcut(
            overlaps, self.activation, self._weights_per_map(inputs), self.weights_normalization
        )

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        if self.weights_type == "none":
            return ()
        return (WeightBlock("weight", (len(inputs), self._weights_per_map(inputs))),)

    def stops_gradient(self) -> GradientStop:
        return self.stop

    def plain_sections(self, inputs: Sequence[FeatureShape]) -> tuple[PlainSection, ...]:
        # Those of expansions only, which have no weights.
        return (plain_shortcut(*range(1, len(inputs)), activation=self.activation),)

    def label(self) -> str:
        return "" if self.activation == "linear" else self.activation


def plain_shortcut(*reads: int, activation: str) -> PlainSection:
    """A [shortcut] as a cfg holds it; `reads` as in `PlainSection`."""
    return PlainSection("shortcut", (("activation", activation),), reads_key="from", reads=reads)


def _scale(target: tuple[int, int], source: tuple[int, int]) -> tuple[int, int]:
    """(step, spread): read every step-th pixel of the source, write to every spread-th."""
    return max(1, source[0] // target[0]), max(1, target[0] // source[0])


def _is_multiple(target: tuple[int, int], source: tuple[int, int]) -> bool:
    return (exact_factor(source, target) or exact_factor(target, source)) is not None
