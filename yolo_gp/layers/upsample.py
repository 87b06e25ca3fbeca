"""[upsample]: enlarges a map by repeating pixels, or, with a negative stride, sums blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.answers import CpuDelta
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, divided, format_size, times

if TYPE_CHECKING:
    from torch import nn

_MAX_STRIDE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Layer):
    """[upsample]: nearest neighbour.  (C, H, W) -> (C, H stride, W stride), values times scale.

    A negative stride sums blocks instead: (C, H, W) -> (C, H / |stride|, W / |stride|).

    Source: Darknet src/upsample_layer.c; darknet.md 2.7.  Stores no weights.
    """

    kind: ClassVar[str] = "upsample"
    cpu_delta: ClassVar[CpuDelta] = "kept"
    meanings: ClassVar[Mapping[str, str]] = {
        "stride": "output pixels per input pixel, both ways; negative: blocks of so many pixels "
        "are summed; not 0",
        "scale": "factor of all values",
    }

    span: Span
    common: CommonKeys
    stride: int  # output pixels per input pixel, at least 1
    reverse: bool
    scale: float

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Upsample:
        stride = options.integer("stride", 2, minimum=-_MAX_STRIDE, maximum=_MAX_STRIDE)
        if stride == 0:
            options.error(
                Rule.OUT_OF_RANGE,
                "stride",
                "[upsample] stride=0 gives an empty map",
                expected="1 or more; -2 and below sum blocks",
            )
        return cls(
            span=options.span,
            common=common,
            stride=max(1, abs(stride)),
            reverse=stride < 0,
            scale=options.number("scale", 1.0),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source = inputs[0]
        if not self.reverse:
            height, width = times(source.height, self.stride), times(source.width, self.stride)
            return PartialShape(source.channels, height, width)
        if source.size and any(length % self.stride for length in source.size):
            raise ShapeProblem(
                Rule.SIZE_MISMATCH,
                self.span,
                f"[upsample] stride=-{self.stride} does not divide {{0}}, which is "
                f"{format_size(source.size)}",
                expected=f"a map whose height and width are multiples of {self.stride}",
            )
        height, width = divided(source.height, self.stride), divided(source.width, self.stride)
        return PartialShape(source.channels, height, width)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import BlockSum, NearestUpsample

        return (BlockSum if self.reverse else NearestUpsample)(self.stride, self.scale)

    def label(self) -> str:
        return f"-{self.stride}x" if self.reverse else f"{self.stride}x"
