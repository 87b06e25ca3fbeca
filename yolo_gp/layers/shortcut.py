"""[shortcut]: adds earlier maps to the previous one, channel by channel as far as both reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.activations import SHORTCUT_ACTIVATIONS, parse_activation
from yolo_gp.layers.answers import GradientStop, PlainSection, WeightBlock
from yolo_gp.layers.base import Layer, parse_gradient_stop, warn_of_pjreddies_key
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.shape_problems import ShapeProblem
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
    pjreddie's alpha and beta make it alpha x + beta source where they meet, x elsewhere.
    `stop_gradient` is ours.

    Source: Darknet src/shortcut_layer.c, src/blas.c; darknet.md 2.5.
    """

    kind: ClassVar[str] = "shortcut"
    meanings: ClassVar[Mapping[str, str]] = {
        "from": "the earlier layers to add to the previous one; pjreddie's Darknet takes one",
        "weights_type": "learned weights of the addends: one each (`per_feature`, `per_layer`) or "
        "one per channel",
        "weights_normalization": "how these weights are made to sum up to 1: `relu` or `avg_relu` "
        "by their positive parts, `softmax`",
        "alpha": "factor of the previous layer where the other one is added",
        "beta": "factor of the layer that is added",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = {
        **known_to("AlexeyAB", "weights_type", "weights_normalization"),
        **known_to("pjreddie", "alpha", "beta"),
    }
    training_fields: ClassVar[frozenset[str]] = frozenset({"stop"})
    ignored_in: ClassVar[Mapping[Dialect, Mapping[str, str]]] = {
        Dialect.YOLOR: {
            "activation": "YOLOR's code leaves the sum as it is",
            "weights_normalization": "YOLOR's code takes the sigmoid of weights",
        }
    }

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]
    activation: str
    weights_type: str  # "none", "per_feature" or "per_channel"
    weights_normalization: str  # "none", "relu", "softmax"; the YOLOR dialect's "sigmoid"
    stop: GradientStop
    alpha: float = 1.0
    beta: float = 1.0

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Shortcut:
        if options.dialect is Dialect.YOLOR:
            return cls._parse_yolors(options, common)
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
        layers = options.references("from")
        alpha, beta = _factors(options, simple=len(layers) == 1 and weights_type == "none")
        return cls(
            span=options.span,
            common=common,
            layers=layers,
            activation=parse_activation(options, "linear", computed=SHORTCUT_ACTIVATIONS),
            weights_type="per_feature" if weights_type == "per_layer" else weights_type,
            weights_normalization="relu" if normalization == "avg_relu" else normalization,
            stop=parse_gradient_stop(options),
            alpha=alpha,
            beta=beta,
        )

    @classmethod
    def _parse_yolors(cls, options: Options, common: CommonKeys) -> Shortcut:
        """No activation; weights are one per addend, each 2 / addends times a sigmoid."""
        weighted = options.choice("weights_type", "none", _WEIGHTS_TYPES) != "none"
        return cls(
            span=options.span,
            common=common,
            layers=options.references("from"),
            activation="linear",
            weights_type="per_feature" if weighted else "none",
            weights_normalization="sigmoid" if weighted else "none",
            stop=parse_gradient_stop(options),
        )

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.layers)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        for position, source in enumerate(inputs[1:], start=1):
            if source.size and inputs[0].size and not self._can_add(inputs[0].size, source.size):
                raise ShapeProblem(
                    Rule.SIZE_MISMATCH,
                    self.layers[position - 1].span,
                    f"[shortcut] adds maps of different size: {{0}} is "
                    f"{format_size(inputs[0].size)}, {{{position}}} is {format_size(source.size)}",
                    expected="equal sizes"
                    + ", or one an exact multiple of the other both ways" * self._may_resize,
                    wanted_size=inputs[0].size,
                )
        return inputs[0]

    @property
    def _may_resize(self) -> bool:
        return self.common.dialect is Dialect.DARKNET

    def _can_add(self, target: tuple[int, int], source: tuple[int, int]) -> bool:
        return _is_multiple(target, source) if self._may_resize else target == source

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

    @property
    def is_plain_sum(self) -> bool:
        """Whether no addend has a weight or a factor."""
        return self.weights_type == "none" and (self.alpha, self.beta) == (1.0, 1.0)

    def adds_maps(self) -> bool:
        return True

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        channels = (min(output.channels, source.channels) for source in inputs)
        return tuple(Passes(position, count) for position, count in enumerate(channels))

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import ScaledShortcut, WeightedShortcut
        from yolo_gp.layers.modules import Shortcut as Module

        overlaps = tuple(
            (min(output.channels, source.channels), *_scale(output.size, source.size))
            for source in inputs[1:]
        )
        if (self.alpha, self.beta) != (1.0, 1.0):
            return ScaledShortcut(overlaps[0], self.activation, self.alpha, self.beta)
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


def _factors(options: Options, *, simple: bool) -> tuple[float, float]:
    """Read pjreddie's `alpha` and `beta`; `simple`: one source without weights, as he has it."""
    found = []
    for key in ("alpha", "beta"):
        factor = options.number(key, 1.0)
        found.append(factor)
        if factor != 1.0 and simple:
            warn_of_pjreddies_key(options, key)
        elif factor != 1.0:
            options.error(
                Rule.UNSUPPORTED,
                key,
                f"[shortcut] {key}={factor:g} belongs to one source without weights",
                expected="a single layer in from, and no weights_type",
            )
    return found[0], found[1]


def plain_shortcut(*reads: int, activation: str) -> PlainSection:
    """A [shortcut] as a cfg holds it; `reads` as in `PlainSection`."""
    return PlainSection("shortcut", (("activation", activation),), reads_key="from", reads=reads)


def _scale(target: tuple[int, int], source: tuple[int, int]) -> tuple[int, int]:
    """(step, spread): read every step-th pixel of the source, write to every spread-th."""
    return max(1, source[0] // target[0]), max(1, target[0] // source[0])


def _is_multiple(target: tuple[int, int], source: tuple[int, int]) -> bool:
    return (exact_factor(source, target) or exact_factor(target, source)) is not None
