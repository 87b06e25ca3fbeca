"""[logistic]: pjreddie's output layer for yes-or-no labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic(Layer):
    """[logistic]: 1 / (1 + e^-x); its loss is the cross entropy.  (C, H, W) -> the same.

    Source: pjreddie's src/logistic_layer.c; darknet.md 2.14.  Takes no keys, stores no weights.
    """

    kind: ClassVar[str] = "logistic"
    reader: ClassVar[Reader] = "pjreddie"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Logistic:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.activation_modules import Activation

        return Activation("logistic")
