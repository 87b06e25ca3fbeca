"""[maxpool]: the largest value of each window; taps outside the map do not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.base import CommonKeys, Layer, training_only
from yolo_gp.layers.pooling import Window
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Layer):
    """[maxpool]: (C, H, W) -> (C, H', W'), H' = (H + padding - size) // stride + 1.

    Source: Darknet src/maxpool_layer.c; darknet.md 2.3.  Stores no weights.
    """

    kind: ClassVar[str] = "maxpool"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only("maxpool_zero_nonmax"),
        "out_channels": "belongs to maxpool_depth",
    }

    span: Span
    common: CommonKeys
    window: Window

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> MaxPool:
        options.unsupported("antialiasing", "the blur")
        options.unsupported("maxpool_depth", "pooling over channels")
        return cls(span=options.span, common=common, window=Window.parse(options))

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return self.window.output_shape(self.kind, self.span, inputs[0])

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        return self.window.cost(inputs, output)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import MaxPool as Module

        window = self.window
        return Module(window.kernel_size, window.stride, window.padding)

    def label(self) -> str:
        return self.window.label()
