"""[partial_shortcut]: adds the leading channels of earlier maps (Partial Residual Networks)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.layers.answers import GradientStop, PlainSection
from yolo_gp.layers.base import Layer, parse_gradient_stop
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.route import plain_route
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.layers.shortcut import plain_shortcut
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, exact_factor, format_size

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialShortcut(Layer):
    """[partial_shortcut]: y[k] = activation(x[k] + sum over sources j with k < c_j of s_j[k]).

    x is the previous layer, (C, H, W), and gives the shape. c_j is `channels` (one number, or one
    per source), or `ratio` times min(C, C_j) rounded half up, or min(C, C_j) if neither stands.
    A source is as large as x, or exactly s times larger both ways; then every s-th row and column
    counts.

    Source: PRN paper, equation 1.  Stores no weights.
    """

    kind: ClassVar[str] = "partial_shortcut"
    training_fields: ClassVar[frozenset[str]] = frozenset({"stop"})
    ours: ClassVar[bool] = True
    meanings: ClassVar[Mapping[str, str]] = {
        "from": "the earlier layers to add to the previous one",
        "channels": "how many leading channels are added: one number, or one per source; as many "
        "as both have by default",
        "ratio": "the same as a share of the channels both have, above 0, rounded half up; not "
        "beside `channels`",
    }
    reader: ClassVar[Reader] = "yolo-gp"

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]
    channels: tuple[int, ...]  # one per source; empty if `ratio` or the overlap decides
    ratio: float
    channels_span: Span
    activation: str
    stop: GradientStop

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> PartialShortcut:
        layers = options.references("from")
        return cls(
            span=options.span,
            common=common,
            layers=layers,
            channels=_parse_channels(options, len(layers)),
            ratio=parse_ratio(options),
            channels_span=options.span_of("channels"),
            activation=options.choice("activation", "linear", ACTIVATIONS),
            stop=parse_gradient_stop(options),
        )

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.layers)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        for position, source in enumerate(inputs[1:], start=1):
            self._check_size(position, inputs[0], source)
            self._check_channels(position, inputs[0], source)
        return inputs[0]

    def _check_size(self, position: int, x: PartialShape, source: PartialShape) -> None:
        if x.size and source.size and exact_factor(source.size, x.size) is None:
            raise ShapeProblem(
                Rule.SIZE_MISMATCH,
                self.layers[position - 1].span,
                f"[partial_shortcut] adds maps of different size: {{0}} is "
                f"{format_size(x.size)}, {{{position}}} is {format_size(source.size)}",
                expected="a source of equal size, or an exact multiple of it both ways",
                wanted_size=x.size,
            )

    def _check_channels(self, position: int, x: PartialShape, source: PartialShape) -> None:
        if not self.channels or x.channels is None or source.channels is None:
            return
        wanted, most = self.channels[position - 1], min(x.channels, source.channels)
        if wanted > most:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.channels_span,
                f"[partial_shortcut] channels={wanted}, but {{0}} has {x.channels} channels and "
                f"{{{position}}} has {source.channels}",
                expected=f"1 to {most}",
            )

    def added_channels(self, inputs: Sequence[FeatureShape]) -> tuple[int, ...]:
        """c_j of each source: how many of its leading channels are added."""
        most = [min(inputs[0].channels, source.channels) for source in inputs[1:]]
        if self.channels:
            return self.channels
        return tuple(share(self.ratio, count) for count in most)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        # Darknet counts a [shortcut] over all of x's channels, and an unmasked source becomes one.
        is_masked = self.channels or self.ratio < 1
        added = (
            sum(self.added_channels(inputs)) if is_masked else output.channels * len(self.layers)
        )
        operations = added * output.height * output.width
        return Cost(darknet_operations=operations, activations=output.elements)

    def adds_maps(self) -> bool:
        return True

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        added = enumerate(self.added_channels(inputs), start=1)
        return (Passes(0, output.channels), *(Passes(position, n) for position, n in added))

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Shortcut

        steps = (exact_factor(source.size, output.size) or 1 for source in inputs[1:])
        counts = self.added_channels(inputs)
        overlaps = tuple((count, step, 1) for count, step in zip(counts, steps, strict=True))
        return Shortcut(overlaps, self.activation)

    def stops_gradient(self) -> GradientStop:
        return self.stop

    def plain_sections(self, inputs: Sequence[FeatureShape]) -> tuple[PlainSection, ...]:
        """[shortcut], after the [route]s that cut the leading channels out of masked sources.

        Darknet cuts channels into equal groups only: c of C channels are the first c / g of
        C / g groups, g = gcd(C, c), joined if they are several (zoo.md C.2).
        """
        sections: list[PlainSection] = []
        addends: list[int] = []  # as an input's number, or the position of a slice, negative
        for position, count in enumerate(self.added_channels(inputs), start=1):
            source = inputs[position]
            if count == min(inputs[0].channels, source.channels):
                addends.append(position)
                continue
            self._check_can_be_cut(position, inputs[0], source)
            sections += _leading_channels(position, source.channels, count)
            addends.append(-len(sections))
        if sections:
            sections.append(plain_route(0))
        reads = (n if n > 0 else -n - 1 - len(sections) for n in addends)
        return (*sections, plain_shortcut(*reads, activation=self.activation))

    def _check_can_be_cut(self, position: int, x: FeatureShape, source: FeatureShape) -> None:
        if source.size != x.size:
            raise ShapeProblem(
                Rule.NOT_PLAIN,
                self.channels_span,
                f"[partial_shortcut] adds some channels of {{{position}}}, which is "
                f"{format_size(source.size)}, to {{0}}, which is {format_size(x.size)}: no Darknet "
                "does both at once",
                expected="a source of equal size, or neither channels nor ratio",
            )

    def label(self) -> str:
        share_text = f"channels {', '.join(map(str, self.channels))}" if self.channels else ""
        if self.ratio < 1:
            share_text = f"ratio {self.ratio:g}"
        activation = "" if self.activation == "linear" else self.activation
        return " ".join(text for text in (share_text, activation) if text)


def _leading_channels(position: int, channels: int, count: int) -> list[PlainSection]:
    """Sections of which the last gives the first `count` of an input's `channels`."""
    part = math.gcd(channels, count)
    slices = [
        plain_route(position, groups=channels // part, group_id=group)
        for group in range(count // part)
    ]
    if len(slices) == 1:
        return slices
    return [*slices, plain_route(*range(-len(slices), 0))]


def share(ratio: float, channels: int) -> int:
    """`ratio` of `channels`, rounded half up, at least 1 (zoo.md C.1)."""
    millionths = round(ratio * 10**6)  # as written, not as rounded to float32
    return max(1, (2 * millionths * channels + 10**6) // (2 * 10**6))


def parse_ratio(options: Options) -> float:
    """Read `ratio`; 1.0 where it is absent."""
    ratio = options.number("ratio", 1.0)
    if not 0 < ratio <= 1:
        options.error(
            Rule.OUT_OF_RANGE,
            "ratio",
            f"[{options.kind}] ratio={ratio:g} is out of range",
            expected="above 0, at most 1",
        )
        return 1.0
    if "ratio" in options and "channels" in options:
        options.error(
            Rule.NO_EFFECT,
            "ratio",
            f"[{options.kind}] has both channels and ratio",
            expected="one of the two",
        )
    return ratio


def _parse_channels(options: Options, sources: int) -> tuple[int, ...]:
    values = options.integers("channels", minimum=1, maximum=MAX_CHANNELS)
    if values is None:
        return ()
    counts = tuple(value for value, _ in values)
    if len(counts) == 1:
        return counts * max(1, sources)
    if len(counts) != sources and not options.failed:
        options.error(
            Rule.OUT_OF_RANGE,
            "channels",
            f"[{options.kind}] channels lists {len(counts)} numbers for {sources} "
            f"source{'s' * (sources > 1)}",
            expected=f"one number, or {sources}" if sources > 1 else "one number",
        )
    return counts
