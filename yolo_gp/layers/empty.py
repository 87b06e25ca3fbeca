"""[empty], [silence]: sections that pass their input on."""

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
class Empty(Layer):
    """[empty]: (C, H, W) -> (C, H, W), the identity.

    Source: AlexeyAB's src/parser.c; darknet.md 2.8.  Takes no keys, stores no weights.
    """

    kind: ClassVar[str] = "empty"
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Empty:
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
