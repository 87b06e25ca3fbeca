"""antialiasing=1 or 2: a fixed blur behind a layer, which takes over the section's stride."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from yolo_gp.layers.base import Layer
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape, format_size, window_output

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Blur:
    """A blur of each channel alone, behind the activation.  H -> (H + 2 padding - size) // s + 1.

    Source: Darknet src/convolutional_layer.c; darknet.md 2.2.

    Fields:
        kernel_size: 3 for [1 2 1] / 4 both ways, padded by a pixel of zeros; 2 for the plain mean.
        stride: (y, x), the section's; the layer itself runs with stride 1.
    """

    kernel_size: int
    stride: tuple[int, int]

    @property
    def padding(self) -> int:
        """Pixels on each of the four sides."""
        return 1 if self.kernel_size == 3 else 0

    def output_shape(self, layer: Layer, source: PartialShape) -> PartialShape:
        """The blurred map's shape; `source` is the map before the blur.

        Raises:
            ShapeProblem: that is smaller than the blur.
        """
        if source.size and min(source.size) + 2 * self.padding < self.kernel_size:
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                layer.span,
                f"[{layer.kind}] antialiasing has a map of {format_size(source.size)} to blur by "
                f"{format_size((self.kernel_size, self.kernel_size))}",
                expected=f"a map of at least {self.kernel_size} pixels each way",
                help="remove antialiasing, or use antialiasing=1",
            )
        height, width = (
            window_output(length, self.kernel_size, stride, 2 * self.padding)
            for length, stride in zip((source.height, source.width), self.stride, strict=True)
        )
        return PartialShape(source.channels, height, width)

    def module(self) -> nn.Module:
        from yolo_gp.layers.pooling_modules import Blur as Module

        return Module(self.kernel_size, self.stride)

    def label(self) -> str:
        """Such as "blur 3x3/2"."""
        stride_y, stride_x = self.stride
        strides = f"{stride_y}" if stride_y == stride_x else f"{stride_y}x{stride_x}"
        return f"blur {self.kernel_size}x{self.kernel_size}/{strides}"


def parse_blur(options: Options, stride: tuple[int, int]) -> Blur | None:
    """Read `antialiasing` of a section with that stride; None without a blur."""
    kind = options.integer("antialiasing", 0, maximum=2)
    return Blur(3 if kind == 1 else 2, stride) if kind else None


def blurred_source_remark(reference: Reference) -> ShapeProblem:
    """What to tell a section that names an antialiased one."""
    return ShapeProblem(
        Rule.ANTIALIASED_SOURCE,
        reference.span,
        "{0} has antialiasing: a section that names it gets, in Darknet, a map as large as before "
        "the blur, with the blurred numbers in its first part; the blurred map is read here",
    )
