"""[blank]: a name that Darknets list and none of them computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank(Layer):
    """[blank]: (C, H, W) -> (C, H, W), the identity, with a warning.

    Source: darknet.md 9: in all Darknets the name of a layer of which nothing is left.
    """

    kind: ClassVar[str] = "blank"
    reader: ClassVar[Reader] = "yolo-gp"

    span: Span
    common: CommonKeys

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Blank:
        return cls(span=options.span, common=common)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def remarks(self, inputs: Sequence[PartialShape]) -> Sequence[ShapeProblem]:
        return [
            ShapeProblem(
                Rule.BLANK_SECTION,
                self.span,
                "no Darknet can run a [blank]; it passes its input on here, as [empty] does",
                help="write [empty]",
            )
        ]

    def is_identity(self) -> bool:
        return True

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        return nn.Identity()
