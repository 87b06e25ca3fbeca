"""What [maxpool] and [local_avgpool] have in common: the window, its keys and its formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo_gp.cost import Cost
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size, window_output

_MAX_KERNEL = 4096

PADDING_IGNORED: Mapping[Dialect, Mapping[str, str]] = {
    Dialect.YOLOR: {"padding": "YOLOR's code works it out from the size"}
}

WINDOW_MEANINGS: Mapping[str, str] = {
    "size": "side of the window",
    "padding": "rows and columns added in all, half of them before; size - 1 by default",
}


@dataclass(frozen=True, slots=True)
class Window:
    """A pooling window. `padding` is the total per axis: half of it, rounded down, lies before.

    The YOLOR dialect pads (size - 1) // 2 on each side whatever the keys say, and size=2 with
    stride=1 behind the last row and column only.

    Source: Darknet src/maxpool_layer.c; darknet.md 2.3; yolor-dialect.md.
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
        if options.dialect is Dialect.YOLOR:
            pads_corner = (kernel_size, stride_y, stride_x) == (2, 1, 1)
            padding = 1 if pads_corner else 2 * ((kernel_size - 1) // 2)
            return cls(kernel_size, (stride_y, stride_x), padding)
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
