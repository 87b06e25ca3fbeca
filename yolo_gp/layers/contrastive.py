"""[contrastive]: a loss over embeddings; it computes nothing at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.meanings import Reader
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrastive(Layer):
    """[contrastive]: (C, H, W) -> (C, H, W), the identity. Darknet's has no output at all.

    In training it pulls the embeddings of one object together, which is not done here: a training
    says so.

    Source: AlexeyAB's src/yolo_layer.c, src/parser.c; darknet.md 2.9.  Stores no weights.
    """

    kind: ClassVar[str] = "contrastive"
    ignored = training_only(
        "classes", "yolo_layer", "temperature", "cls_normalizer", "max_delta", "contrastive_neg_max"
    )
    meanings: ClassVar[Mapping[str, str]] = {
        "yolo_layer": "the [yolo] whose objects the embeddings belong to",
        "temperature": "divides the similarities of two embeddings",
        "cls_normalizer": "factor of the loss",
        "max_delta": "bound of the gradient",
        "contrastive_neg_max": "pairs of different objects per pair of the same one",
    }
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Contrastive:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def is_loss(self) -> bool:
        return True

    def is_identity(self) -> bool:
        return True

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        return nn.Identity()
