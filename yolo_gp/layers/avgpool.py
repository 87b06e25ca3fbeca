"""[avgpool]: the mean over the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(Layer):
    """[avgpool]: global mean.  (C, H, W) -> (C, 1, 1).

    Source: Darknet src/avgpool_layer.c.  Takes no keys, stores no weights.
    """

    kind: ClassVar[str] = "avgpool"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> AvgPool:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return PartialShape(inputs[0].channels, 1, 1)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        return nn.AdaptiveAvgPool2d(1)
