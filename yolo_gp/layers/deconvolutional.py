"""[deconvolutional], [deconv]: transposed convolution, pjreddie's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import CONVOLUTION_ACTIVATIONS, parse_activation
from yolo_gp.layers.answers import Filters, WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.convolution_keys import parse_padding
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size

if TYPE_CHECKING:
    from torch import nn

_MAX_KERNEL = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Deconvolutional(Layer):
    """[deconvolutional]: (C, H, W) -> (filters, H', W'), H' = (H - 1) stride + size - 2 padding.

    A `.weights` file holds bias, batch norm and weights as for a convolution, the weights as
    (C, filters, size, size).

    Source: pjreddie's src/deconvolutional_layer.c; darknet.md 2.14, 4.2.
    """

    kind: ClassVar[str] = "deconvolutional"
    width_key: ClassVar[str | None] = "filters"
    meanings: ClassVar[Mapping[str, str]] = {
        "filters": "channels of the output",
        "size": "height and width of the window",
        "pad": "1: padding of size // 2",
        "padding": "pixels cut off each side of the output, without pad=1",
    }
    reader: ClassVar[Reader] = "pjreddie"

    span: Span
    common: CommonKeys
    out_channels: int
    kernel_size: int
    stride: int
    padding: int
    batch_norm: bool
    activation: str

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Deconvolutional:
        kernel_size = options.integer("size", 1, minimum=1, maximum=_MAX_KERNEL)
        return cls(
            span=options.span,
            common=common,
            out_channels=options.integer("filters", 1, minimum=1, maximum=MAX_CHANNELS),
            kernel_size=kernel_size,
            stride=options.integer("stride", 1, minimum=1, maximum=_MAX_KERNEL),
            padding=parse_padding(options, kernel_size),
            batch_norm=options.flag("batch_normalize"),
            # pjreddie's Darknet has none of the functions that are zero in AlexeyAB's.
            activation=parse_activation(options, "logistic", computed=CONVOLUTION_ACTIVATIONS),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source = inputs[0]
        height, width = (
            None
            if length is None
            else (length - 1) * self.stride + self.kernel_size - 2 * self.padding
            for length in (source.height, source.width)
        )
        if source.size and min(height or 0, width or 0) < 1:
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                self.span,
                f"[{self.kind}] padding={self.padding} leaves nothing of the map that {{0}}, which "
                f"is {format_size(source.size)}, gives with size={self.kernel_size} and "
                f"stride={self.stride}",
                expected="a smaller padding",
            )
        return PartialShape(self.out_channels, height, width)

    def _weights(self, inputs: Sequence[FeatureShape]) -> int:
        return inputs[0].channels * self.out_channels * self.kernel_size**2

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        weights = self._weights(inputs)
        return Cost(
            params=weights + self.out_channels * (2 if self.batch_norm else 1),
            macs=weights * inputs[0].height * inputs[0].width,
            activations=output.elements,
        )

    def filters(self, inputs: Sequence[FeatureShape]) -> Filters:
        return Filters(self.out_channels, self._weights(inputs), self.batch_norm)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True),)

    def depends_on_dialect(self) -> bool:
        return self.batch_norm

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.convolution_modules import Deconvolution

        return Deconvolution(
            in_channels=inputs[0].channels,
            out_channels=self.out_channels,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            batch_norm=self.batch_norm,
            epsilon=self.common.dialect.batch_norm_epsilon,
            activation=self.activation,
        )

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        filters = (self.out_channels,)
        shape = (inputs[0].channels, self.out_channels, self.kernel_size, self.kernel_size)
        weights = WeightBlock("convolution.weight", shape)
        if not self.batch_norm:
            return (WeightBlock("convolution.bias", filters), weights)
        names = ["bias"]
        if not self.common.dont_load_scales:
            names += ["weight", "running_mean", "running_var"]
        return (*(WeightBlock(f"batch_norm.{name}", filters) for name in names), weights)

    def label(self) -> str:
        return f"{self.kernel_size}x{self.kernel_size}/{self.stride} {self.activation}"
