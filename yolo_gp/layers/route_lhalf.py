"""[route_lhalf]: the first half of each source's channels, joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem, check_equal_sizes
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLhalf(Layer):
    """[route_lhalf]: (C_i, H, W) of each source -> (sum of C_i // 2, H, W).

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "route_lhalf"
    reader: ClassVar[Reader] = "YOLOR"
    meanings: ClassVar[Mapping[str, str]] = {
        "layers": "the layers the first halves of whose channels are joined, in this order",
    }

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> RouteLhalf:
        return cls(span=options.span, common=common, layers=options.references("layers"))

    def sources(self) -> tuple[Reference, ...]:
        return self.layers

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        what = "[route_lhalf] joins maps of different size"
        halves = []
        for position, source in enumerate(inputs):
            span = self.layers[position].span
            check_equal_sizes(inputs, position, span, what, "sources of equal height and width")
            if source.channels == 1:
                raise ShapeProblem(
                    Rule.EMPTY_GROUP,
                    span,
                    f"[route_lhalf] finds no half of the one channel of {{{position}}}",
                    expected="sources of two channels and more",
                )
            halves.append(None if source.channels is None else source.channels // 2)
        known = [half for half in halves if half is not None]
        channels = sum(known) if len(known) == len(halves) else None
        return PartialShape(channels, inputs[0].height, inputs[0].width)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        ways: list[Passes] = []
        target = 0
        for position, source in enumerate(inputs):
            ways.append(Passes(position, source.channels // 2, target=target))
            target += source.channels // 2
        return tuple(ways)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import ConcatSlices

        return ConcatSlices(tuple(source.channels // 2 for source in inputs), 0)

    def passes_input(self) -> bool:
        return len(self.layers) == 1
