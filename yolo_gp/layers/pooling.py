"""What [maxpool] and [local_avgpool] have in common: the window, its keys and its formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.base import ShapeProblem
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size, window_output

_MAX_KERNEL = 4096


@dataclass(frozen=True, slots=True)
class Window:
    """A pooling window. `padding` is the total per axis: half of it, rounded down, lies before.

    Source: Darknet src/maxpool_layer.c; darknet.md 2.3.
    """

    kernel_size: int
    stride: tuple[int, int]  # (y, x)
    padding: int

    @classmethod
    def parse(cls, options: Options) -> Window:
        stride = options.integer("stride", 1, minimum=1)
        stride_y = options.integer("stride_y", stride, minimum=1)
        stride_x = options.integer("stride_x", stride, minimum=1)
        kernel_size = options.integer("size", stride, minimum=1, maximum=_MAX_KERNEL)
        padding = options.integer("padding", kernel_size - 1, maximum=2 * _MAX_KERNEL)
        if options.trusts("stride", "size", "padding") and padding > 2 * kernel_size - 2:
            options.error(
                Rule.OUT_OF_RANGE,
                "padding",
                f"[{options.kind}] padding={padding} leaves windows of size={kernel_size} without "
                "a single pixel of the map",
                expected=f"0 to {2 * kernel_size - 2} (the sum of both sides)",
            )
        return cls(kernel_size, (stride_y, stride_x), padding)

    def output_shape(self, kind: str, span: Span, source: PartialShape) -> PartialShape:
        height, width = (
            window_output(length, self.kernel_size, stride, self.padding)
            for length, stride in zip((source.height, source.width), self.stride, strict=True)
        )
        if source.size and ((height or 0) < 1 or (width or 0) < 1):
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                span,
                f"[{kind}] of size={self.kernel_size} does not fit into {{0}}, which is "
                f"{format_size(source.size)}",
                expected=f"a map of at least {self.kernel_size - self.padding} pixels each way",
                help="use a smaller size, or a larger input, or fewer strides before",
            )
        return PartialShape(source.channels, height, width)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        operations = self.kernel_size**2 * inputs[0].channels * output.height * output.width
        return Cost(darknet_operations=operations, activations=output.elements)

    def label(self) -> str:
        stride_y, stride_x = self.stride
        strides = f"{stride_y}" if stride_y == stride_x else f"{stride_y}x{stride_x}"
        return f"{self.kernel_size}x{self.kernel_size}/{strides}"
