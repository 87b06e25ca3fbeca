"""[local]: a convolution whose filters differ from place to place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import parse_activation
from yolo_gp.layers.answers import Filters, WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size, window_output

if TYPE_CHECKING:
    from torch import nn

_MAX_KERNEL = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Local(Layer):
    """[local]: (C, H, W) -> (filters, H', W'), H' = (H - (1 if pad else size)) // stride + 1.

    `pad` is the padding in pixels as well, so only some values fit a size; the others are refused.
    Each place of the output has a bias per filter, and no batch norm.

    Source: Darknet src/local_layer.c; darknet.md 2.11, 4.2.
    """

    kind: ClassVar[str] = "local"
    width_key: ClassVar[str | None] = "filters"
    meanings: ClassVar[Mapping[str, str]] = {
        "filters": "channels of the output",
        "size": "height and width of the window",
        "pad": "pixels of zeros on each side; size // 2 keeps the map's size",
    }

    span: Span
    common: CommonKeys
    out_channels: int
    kernel_size: int
    stride: int
    padding: int  # pixels on each of the four sides
    activation: str
    padding_span: Span

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Local:
        return cls(
            span=options.span,
            common=common,
            out_channels=options.integer("filters", 1, minimum=1, maximum=MAX_CHANNELS),
            kernel_size=options.integer("size", 1, minimum=1, maximum=_MAX_KERNEL),
            stride=options.integer("stride", 1, minimum=1),
            padding=options.integer("pad", 0, maximum=_MAX_KERNEL),
            activation=parse_activation(options, "logistic"),
            padding_span=options.span_of("pad"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source = inputs[0]
        covered = 1 if self.padding else self.kernel_size
        declared, computed = (
            tuple(
                window_output(length, kernel, self.stride, padding)
                for length in (source.height, source.width)
            )
            for kernel, padding in ((covered, 0), (self.kernel_size, 2 * self.padding))
        )
        if source.size and min(length or 0 for length in declared) < 1:
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                self.span,
                f"[local] of size={self.kernel_size} does not fit into {{0}}, which is "
                f"{format_size(source.size)}",
                expected=f"a map of at least {self.kernel_size} pixels each way",
                help="use a smaller size, or a larger input, or fewer strides before",
            )
        if declared != computed:
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                self.padding_span,
                f"[local] pad={self.padding} with size={self.kernel_size}: Darknet's declared map "
                "and its arithmetic differ in size",
                expected=f"pad={self.kernel_size // 2} or pad=0"
                if self.kernel_size % 2
                else "pad=0, or an odd size",
            )
        return PartialShape(self.out_channels, *declared)

    def _weights(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> int:
        return inputs[0].channels * self.kernel_size**2 * output.elements

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        weights = self._weights(inputs, output)
        params = weights + output.elements
        return Cost(params=params, macs=weights, activations=output.elements)

    def _output(self, inputs: Sequence[FeatureShape]) -> FeatureShape:
        output = self.output_shape([inputs[0].partial]).complete
        assert output is not None
        return output

    def filters(self, inputs: Sequence[FeatureShape]) -> Filters:
        output = self._output(inputs)
        return Filters(output.elements, self._weights(inputs, output), batch_norm=False)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.parameter_modules import Local as Module

        return Module(
            in_channels=inputs[0].channels,
            output=(output.channels, *output.size),
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            activation=self.activation,
        )

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        output = self._output(inputs)
        inputs_of_filter = inputs[0].channels * self.kernel_size**2
        places = output.height * output.width
        return (
            WeightBlock("bias", (output.channels, *output.size)),
            WeightBlock("weight", (places, output.channels, inputs_of_filter)),
        )

    def label(self) -> str:
        return f"{self.kernel_size}x{self.kernel_size}/{self.stride} {self.activation}"
