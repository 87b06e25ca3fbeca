"""[crop]: the middle of an image, brought from 0..1 to -1..1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop(Layer):
    """[crop]: 2 x - 1 of the middle, from ((H - H') // 2, (W - W') // 2) on; noadjust=1 leaves x.

    (C, H, W) -> (C, H', W'). Darknet's training draws the place, a flip and other colours; ours
    leaves that to the loader.

    Source: Darknet src/crop_layer.c; darknet.md 2.11.  Stores no weights.
    """

    kind: ClassVar[str] = "crop"
    ignored = training_only("flip", "angle", "saturation", "exposure", "shift")
    meanings: ClassVar[Mapping[str, str]] = {
        "crop_height": "rows to keep",
        "crop_width": "columns to keep",
        "noadjust": "1: numbers stay as they are; 0: x becomes 2 x - 1",
        "flip": "1: half of the batches are mirrored",
        "angle": "degrees by which images are turned at most, on GPUs",
        "saturation": "factor by which saturation varies, on GPUs",
        "exposure": "factor by which brightness varies, on GPUs",
        "shift": "shift of all colours, on GPUs",
    }

    span: Span
    common: CommonKeys
    size: tuple[int, int]  # (height, width)
    adjusts: bool
    size_span: Span

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Crop:
        return cls(
            span=options.span,
            common=common,
            size=(
                options.integer("crop_height", 1, minimum=1),
                options.integer("crop_width", 1, minimum=1),
            ),
            adjusts=not options.flag("noadjust"),
            size_span=options.span_of("crop_height"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source = inputs[0].size
        if source and any(kept > had for kept, had in zip(self.size, source, strict=True)):
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                self.size_span,
                f"[crop] cannot cut {format_size(self.size)} (height x width) out of {{0}}, which "
                f"is {format_size(source)}",
                expected=f"at most crop_height={source[0]} and crop_width={source[1]}",
                help="or a larger input",
            )
        return PartialShape(inputs[0].channels, *self.size)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Crop as Module

        return Module(self.size, self.adjusts)

    def label(self) -> str:
        return "" if self.adjusts else "noadjust"
