"""[convolutional]: cross-correlation, batch norm or bias, activation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.answers import CpuDelta, Filters, PlainSection, WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.blur import Blur, blurred_source_remark, parse_blur
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.convolution_keys import (
    parse_convolution_activation,
    parse_dilation,
    parse_groups,
    parse_kernel_size,
    parse_padding,
    parse_stride,
    warn_of_coordconv,
)
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size, window_output

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolutional(Layer):
    """[convolutional]: (C, H, W) -> (filters, H', W'), H' = (H + 2 padding - kernel) // stride + 1.

    Dilation is absent from Darknet's size formula; settings for which that matters are refused.
    Batch norm has its dialect's epsilon inside the root, 1e-5 for Darknet. `xnor` binarises
    weights and input at inference.

    Source: Darknet src/convolutional_layer.c; darknet.md 2.2.
    """

    kind: ClassVar[str] = "convolutional"
    cpu_delta: ClassVar[CpuDelta] = "overwrites"
    width_key: ClassVar[str | None] = "filters"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only(
            "assisted_excitation", "sway", "rotate", "stretch", "stretch_sway", "angle",
            "grad_centr", "reverse",
        ),
        "binary": "has no effect on Darknet's CPU inference",
        "bin_output": "changes how signs are stored, not what the next xnor layer reads",
        "dot": "read by Darknet, used nowhere",
        "stream": "schedules CUDA streams",
        "wait_stream": "schedules CUDA streams",
    }  # fmt: skip
    meanings: ClassVar[Mapping[str, str]] = {
        "filters": "output channels",
        "size": "side of the square kernel",
        "pad": "1: padding is size // 2, whatever `padding` says",
        "padding": "rows and columns of zeros on each of the four sides",
        "dilation": "distance of the kernel's taps",
        "groups": "input and output channels are cut into so many parts that do not mix",
        "share_index": "the convolution whose parameters this one uses; it stores none of its own",
        "cbn": "1: batch normalisation whose statistics, in training, cover the whole batch",
        "xnor": "1: weights and input are binarised",
        "binary": "1: weights are binarised",
        "bin_output": "1: the output is stored as signs",
        "flipped": "1: the `.weights` file holds the matrix transposed",
        "coordconv": "1: planes with each pixel's coordinates are added",
        "assisted_excitation": "in the first iterations activations inside objects are raised",
        "sway": "1: kernels are turned a little",
        "rotate": "1: kernels are turned",
        "stretch": "1: kernels are stretched",
        "stretch_sway": "1: kernels are stretched and turned",
        "angle": "by up to so many degrees kernels are turned",
        "grad_centr": "1: gradients of kernels are made to sum up to 0",
        "reverse": "an experiment of Darknet's GPU code",
        "dot": "nothing",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to(
        "AlexeyAB", "dilation", "share_index", "cbn", "bin_output", "coordconv", "sway", "rotate",
        "stretch", "stretch_sway", "angle", "grad_centr", "reverse", "assisted_excitation",
    )  # fmt: skip

    span: Span
    common: CommonKeys
    out_channels: int
    kernel_size: int
    stride: tuple[int, int]  # (y, x)
    padding: int  # pixels on each of the four sides, before dilation
    dilation: int
    groups: int
    batch_norm: bool
    activation: str
    xnor: bool
    flipped: bool  # the .weights file holds the matrix transposed
    shared: Reference | None
    groups_span: Span
    blur: Blur | None = None  # it has the section's stride, the convolution has none

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Convolutional:
        kernel_size = parse_kernel_size(options)
        stride = parse_stride(options)
        padding = parse_padding(options, kernel_size)
        xnor = options.flag("xnor")
        blur = parse_blur(options, stride)
        warn_of_coordconv(options)
        cross_iteration = options.flag("cbn")  # other statistics in training, same inference
        spec = cls(
            span=options.span,
            common=common,
            out_channels=options.integer("filters", 1, minimum=1, maximum=MAX_CHANNELS),
            kernel_size=kernel_size,
            stride=stride if blur is None else (1, 1),
            padding=padding,
            dilation=parse_dilation(options, kernel_size, padding),
            groups=parse_groups(options, xnor),
            batch_norm=options.flag("batch_normalize") or cross_iteration,
            activation=parse_convolution_activation(options, common),
            xnor=xnor,
            flipped=options.flag("flipped"),
            shared=options.reference("share_index"),
            groups_span=options.span_of("groups"),
            blur=blur,
        )
        spec._check_pointwise(options)
        spec._check_groups(options)
        return spec

    def _check_pointwise(self, options: Options) -> None:
        if self.kernel_size > 1 or not options.trusts("size", "padding", "stride", "stride_x"):
            return
        if self.padding:
            what, key = f"padding={self.padding}", "padding"
        elif self.stride[1] == 1 and self.stride[0] > 1:
            what, key = f"stride_y={self.stride[0]} beside stride_x=1", "stride_y"
        else:
            return
        options.warning(
            Rule.POINTWISE_PADDING,
            key,
            f"[convolutional] {what} with size=1 reads garbage in Darknet; it is computed "
            "properly here",
        )

    def _check_groups(self, options: Options) -> None:
        if options.trusts("filters", "groups") and self.out_channels % self.groups:
            options.error(
                Rule.CHANNEL_MISMATCH,
                "groups",
                f"[convolutional] cannot share out filters={self.out_channels} "
                f"over groups={self.groups}",
                expected="filters that are a multiple of groups",
            )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source = inputs[0]
        if source.channels is not None and source.channels % self.groups:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.groups_span,
                f"[convolutional] cannot share out the {source.channels} channels of {{0}} over "
                f"groups={self.groups}",
                expected=f"groups that divide {source.channels}",
            )
        shape = self._convolved(source)
        if source.size and ((shape.height or 0) < 1 or (shape.width or 0) < 1):
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                self.span,
                f"[convolutional] of size={self.kernel_size} does not fit into {{0}}, which is "
                f"{format_size(source.size)}",
                expected=f"a map of at least {self.kernel_size - 2 * self.padding} pixels each way",
                help="use a smaller size, or a larger input, or fewer strides before",
            )
        return shape if self.blur is None else self.blur.output_shape(self, shape)

    def _convolved(self, source: PartialShape) -> PartialShape:
        """The shape before the blur."""
        height, width = (
            window_output(length, self.kernel_size, stride, 2 * self.padding)
            for length, stride in zip((source.height, source.width), self.stride, strict=True)
        )
        return PartialShape(self.out_channels, height, width)

    def _weights(self, inputs: Sequence[FeatureShape]) -> int:
        per_filter = inputs[0].channels // self.groups * self.kernel_size**2
        return per_filter * self.out_channels

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        weights = self._weights(inputs)
        macs = weights * math.prod(self._convolved(inputs[0].partial).size or ())
        own = weights + self.out_channels * (2 if self.batch_norm else 1)
        return Cost(
            params=0 if self.shared else own,
            macs=macs,
            darknet_operations=2 * macs // 32 if self.xnor else 2 * macs,
            activations=output.elements,
        )

    def filters(self, inputs: Sequence[FeatureShape]) -> Filters:
        return Filters(self.out_channels, self._weights(inputs), self.batch_norm)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True, groups=self.groups),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.convolution_modules import Convolution

        return Convolution(
            in_channels=inputs[0].channels,
            out_channels=self.out_channels,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding * self.dilation,
            dilation=self.dilation,
            groups=self.groups,
            batch_norm=self.batch_norm,
            activation=self.activation,
            xnor=self.xnor and self.stride[0] == self.stride[1],
            blur=self.blur.module() if self.blur else None,
            dialect=self.common.dialect,
        )

    def depends_on_dialect(self) -> bool:
        return self.batch_norm

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        if self.shared:
            return ()
        filters = (self.out_channels,)
        size = self.kernel_size
        shape = (self.out_channels, inputs[0].channels // self.groups, size, size)
        weights = WeightBlock("convolution.weight", shape, transposed=self.flipped)
        if not self.batch_norm:
            return (WeightBlock("convolution.bias", filters), weights)
        names = ["bias"]
        if not self.common.dont_load_scales:
            names += ["weight", "running_mean", "running_var"]
        return (*(WeightBlock(f"batch_norm.{name}", filters) for name in names), weights)

    def shares_weights_of(self) -> Reference | None:
        return self.shared

    def sharing_problem(
        self, inputs: Sequence[PartialShape], other: Layer, other_inputs: Sequence[FeatureShape]
    ) -> str | None:
        if not isinstance(other, Convolutional):
            return f"it is [{other.kind}]"
        own = {**self._filter_settings, "input channels": inputs[0].channels}
        theirs = {**other._filter_settings, "input channels": other_inputs[0].channels}
        differing = [
            f"{name} {theirs[name]} there, {value} here"
            for name, value in own.items()
            if value != theirs[name]
        ]
        return "; ".join(differing) or None

    def with_own_weights(self, other: Layer) -> Layer | None:
        if not isinstance(other, Convolutional) or self._filter_settings != other._filter_settings:
            return None
        return replace(self, shared=None)

    @property
    def _filter_settings(self) -> Mapping[str, int]:
        """What the section itself says of its parameters, by the key that says it."""
        return {
            "filters": self.out_channels,
            "size": self.kernel_size,
            "groups": self.groups,
            "batch_normalize": int(self.batch_norm),
        }

    def remark_to_reader(self, reference: Reference) -> ShapeProblem | None:
        return blurred_source_remark(reference) if self.blur else None

    def plain_sections(self, inputs: Sequence[FeatureShape]) -> tuple[PlainSection, ...]:
        # Those of expansions only: stride 1, padded to keep the size.
        values = (
            ("batch_normalize", int(self.batch_norm), 0),
            ("filters", self.out_channels, None),
            ("size", self.kernel_size, None),
            ("stride", self.stride[0], None),
            ("pad", 1, None),
            ("groups", self.groups, 1),
            ("activation", self.activation, None),
        )
        options = tuple((key, str(value)) for key, value, default in values if value != default)
        return (PlainSection(self.kind, options),)

    def label(self) -> str:
        size, (stride_y, stride_x) = self.kernel_size, self.stride
        strides = f"{stride_y}" if stride_y == stride_x else f"{stride_y}x{stride_x}"
        extra = f" g{self.groups}" if self.groups > 1 else ""
        extra += f" d{self.dilation}" if self.dilation > 1 else ""
        blur = f" {self.blur.label()}" if self.blur else ""
        return f"{size}x{size}/{strides}{extra} {self.activation}{blur}"
