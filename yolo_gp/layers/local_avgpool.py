"""[local_avgpool]: the mean over each window's pixels inside the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.pooling import PADDING_IGNORED, WINDOW_MEANINGS, Window
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAvgPool(Layer):
    """[local_avgpool]: (C, H, W) -> (C, H', W'), H' = (H + padding - size) // stride + 1.

    In the YOLOR dialect the padding are zeros, which count in the mean.

    Source: Darknet src/avgpool_layer.c; darknet.md 2.3.  Stores no weights.
    """

    kind: ClassVar[str] = "local_avgpool"
    meanings = WINDOW_MEANINGS
    ignored_in: ClassVar[Mapping[Dialect, Mapping[str, str]]] = PADDING_IGNORED
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys
    window: Window

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> LocalAvgPool:
        return cls(span=options.span, common=common, window=Window.parse(options))

    def depends_on_dialect(self) -> bool:
        return True

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return self.window.output_shape(self.kind, self.span, inputs[0])

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        return self.window.cost(inputs, output)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.dialect_modules import ZeroPaddedMean
        from yolo_gp.layers.modules import LocalAvgPool as Module

        window = self.window
        if self.common.dialect is Dialect.YOLOR:
            return ZeroPaddedMean(window.kernel_size, window.stride, window.padding)
        return Module(window.kernel_size, window.stride, window.padding)

    def label(self) -> str:
        return self.window.label()
