"""[batchnorm]: batch normalisation in a section of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormSection(Layer):
    """[batchnorm]: scale * (x - mean) / sqrt(variance + 1e-5) + bias.  (C, H, W) -> the same.

    A `.weights` file holds bias, scale, mean and variance, `dontloadscales` or not; pjreddie's has
    no bias.

    Source: AlexeyAB's src/batchnorm_layer.c, src/parser.c; darknet.md 2.8, 4.2, 4.5.
    """

    kind: ClassVar[str] = "batchnorm"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> BatchNormSection:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        return Cost(params=2 * output.channels, activations=output.elements)

    def depends_on_dialect(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.normalization_modules import BatchNorm

        dialect = self.common.dialect
        return BatchNorm(output.channels, dialect.batch_norm_epsilon, dialect.batch_norm_momentum)

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        names = ("bias", "weight", "running_mean", "running_var")
        return tuple(WeightBlock(f"batch_norm.{name}", (inputs[0].channels,)) for name in names)

    def pjreddies_weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return self.weight_order(inputs)[1:]
