"""[iseg]: the output of pjreddie's instance segmentation; its map, not the instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Iseg(Layer):
    """[iseg]: (classes + ids, H, W) -> the same; sigmoid of the classes, ids as they are.

    A pixel's ids are an embedding in which the pixels of one instance lie together. Nothing here
    makes instances out of them, nor does pjreddie's `detector test`.

    Source: pjreddie's src/iseg_layer.c; darknet.md 2.14.  Stores no weights.
    """

    kind: ClassVar[str] = "iseg"
    meanings: ClassVar[Mapping[str, str]] = {"ids": "numbers of a pixel's embedding"}
    reader: ClassVar[Reader] = "pjreddie"

    span: Span
    common: CommonKeys
    num_classes: int
    ids: int

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Iseg:
        return cls(
            span=options.span,
            common=common,
            num_classes=options.integer("classes", 20, minimum=1, maximum=MAX_CHANNELS),
            ids=options.integer("ids", 32, maximum=MAX_CHANNELS),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        channels, wanted = inputs[0].channels, self.num_classes + self.ids
        if channels is not None and channels != wanted:
            raise ShapeProblem(
                Rule.HEAD_FILTERS,
                self.span,
                f"[iseg] needs classes + ids = {self.num_classes} + {self.ids} = {wanted} "
                f"channels, but {{0}} gives {channels}",
                expected=f"filters={wanted} in the section at line {{0.line}}",
            )
        return same_shape(inputs)

    def remarks(self, inputs: Sequence[PartialShape]) -> Sequence[ShapeProblem]:
        return [
            ShapeProblem(
                Rule.ISEG_MAP,
                self.span,
                "[iseg] gives its map of class scores and ids here; no instances or boxes are made "
                "of it, so detect, val and train cannot use the network",
            )
        ]

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import LeadingSigmoid

        return LeadingSigmoid(self.num_classes)
