"""[cost]: names the loss of a classifier; passes its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSection(Layer):
    """[cost]: (C, H, W) -> (C, H, W), the identity. Darknet's network output skips it.

    Source: Darknet src/cost_layer.c; darknet.md 2.9.  Stores no weights.
    """

    kind: ClassVar[str] = "cost"
    ignored = training_only("type", "scale", "ratio")
    meanings: ClassVar[Mapping[str, str]] = {
        "type": "`sse` squared differences, `masked` those of known targets, `smooth` Huber's loss",
        "scale": "factor of the gradient that goes back",
        "ratio": "share of the smallest differences that do not count",
    }

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> CostSection:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def is_identity(self) -> bool:
        return True

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        return nn.Identity()
