"""[l2norm]: each pixel's channels brought to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Norm(Layer):
    """[l2norm]: x / sqrt(sum of x^2 over the channels), per pixel.  (C, H, W) -> the same.

    A pixel of zeros, which pjreddie's Darknet makes NaN, stays zero.

    Source: pjreddie's src/l2norm_layer.c; darknet.md 2.14.  Stores no weights.
    """

    kind: ClassVar[str] = "l2norm"
    reader: ClassVar[Reader] = "pjreddie"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> L2Norm:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=False),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.normalization_modules import PixelNorm

        return PixelNorm()
