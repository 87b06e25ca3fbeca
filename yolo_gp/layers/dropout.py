"""[dropout]: drops elements while training; passes everything at inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import CommonKeys, Layer, same_shape, training_only
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Layer):
    """[dropout]: (C, H, W) -> (C, H, W); in training zeroes with `probability`, scales the rest.

    Source: Darknet src/dropout_layer.c; darknet.md 2.8.  Stores no weights.
    """

    kind: ClassVar[str] = "dropout"
    ignored = training_only("dropblock", "dropblock_size_rel", "dropblock_size_abs")

    span: Span
    common: CommonKeys
    probability: float

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Dropout:
        probability = options.number("probability", 0.2, minimum=0.0, maximum=1.0)
        return cls(span=options.span, common=common, probability=probability)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def is_identity(self) -> bool:
        return True

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        return nn.Dropout(self.probability)

    def label(self) -> str:
        return f"p = {self.probability:g}"
