"""[convolutional]: cross-correlation, batch norm or bias, activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import CONVOLUTION_ACTIVATIONS, parse_activation
from yolo_gp.layers.base import (
    CommonKeys,
    Filters,
    Layer,
    PlainSection,
    ShapeProblem,
    WeightBlock,
    training_only,
)
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size, window_output

if TYPE_CHECKING:
    from torch import nn

_MAX_KERNEL = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolutional(Layer):
    """[convolutional]: (C, H, W) -> (filters, H', W'), H' = (H + 2 padding - kernel) // stride + 1.

    Dilation is absent from Darknet's size formula; settings for which that matters are refused.
    Batch norm has epsilon 1e-5 inside the root. `xnor` binarises weights and input at inference.

    Source: Darknet src/convolutional_layer.c; darknet.md 2.2.
    """

    kind: ClassVar[str] = "convolutional"
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

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Convolutional:
        kernel_size = options.integer("size", 1, minimum=1, maximum=_MAX_KERNEL)
        stride = _stride(options)
        padding = _padding(options, kernel_size)
        xnor = options.flag("xnor")
        for key, what in (("antialiasing", "the blur"), ("coordconv", "adding coordinate planes")):
            options.unsupported(key, what)
        cross_iteration = options.flag("cbn")  # other statistics in training, same inference
        spec = cls(
            span=options.span,
            common=common,
            out_channels=options.integer("filters", 1, minimum=1, maximum=MAX_CHANNELS),
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=_dilation(options, kernel_size, padding),
            groups=_groups(options, xnor),
            batch_norm=options.flag("batch_normalize") or cross_iteration,
            activation=_activation(options),
            xnor=xnor,
            flipped=options.flag("flipped"),
            shared=options.reference("share_index"),
            groups_span=options.span_of("groups"),
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
        height, width = (
            window_output(length, self.kernel_size, stride, 2 * self.padding)
            for length, stride in zip((source.height, source.width), self.stride, strict=True)
        )
        if source.size and ((height or 0) < 1 or (width or 0) < 1):
            raise ShapeProblem(
                Rule.EMPTY_OUTPUT,
                self.span,
                f"[convolutional] of size={self.kernel_size} does not fit into {{0}}, which is "
                f"{format_size(source.size)}",
                expected=f"a map of at least {self.kernel_size - 2 * self.padding} pixels each way",
                help="use a smaller size, or a larger input, or fewer strides before",
            )
        return PartialShape(self.out_channels, height, width)

    def _weights(self, inputs: Sequence[FeatureShape]) -> int:
        per_filter = inputs[0].channels // self.groups * self.kernel_size**2
        return per_filter * self.out_channels

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        weights = self._weights(inputs)
        macs = weights * output.height * output.width
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
        )

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
        pairs = (
            ("filters", self.out_channels, other.out_channels),
            ("size", self.kernel_size, other.kernel_size),
            ("groups", self.groups, other.groups),
            ("batch_normalize", int(self.batch_norm), int(other.batch_norm)),
            ("input channels", inputs[0].channels, other_inputs[0].channels),
        )
        differing = [
            f"{name} {theirs} there, {own} here" for name, own, theirs in pairs if own != theirs
        ]
        return "; ".join(differing) or None

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
        return f"{size}x{size}/{strides}{extra} {self.activation}"


def _stride(options: Options) -> tuple[int, int]:
    both = options.integer("stride", 1, minimum=1)
    return (
        options.integer("stride_y", both, minimum=1),
        options.integer("stride_x", both, minimum=1),
    )


def _padding(options: Options, kernel_size: int) -> int:
    explicit = options.integer("padding", 0, maximum=_MAX_KERNEL)
    if not options.flag("pad"):
        return explicit
    trusted = options.trusts("size", "padding")
    if trusted and "padding" in options and explicit != kernel_size // 2:
        options.warning(
            Rule.NO_EFFECT,
            "padding",
            f"[convolutional] padding={explicit} has no effect beside pad=1, which sets "
            f"size // 2 = {kernel_size // 2}",
            help="remove pad=1 to use the padding given",
        )
    return kernel_size // 2


def _groups(options: Options, xnor: bool) -> int:
    groups = options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS)
    if xnor and groups > 1:
        options.warning(
            Rule.NO_EFFECT,
            "groups",
            f"[convolutional] groups={groups} has no effect beside xnor=1",
            help="remove groups or xnor",
        )
    return 1 if xnor else groups


def _dilation(options: Options, kernel_size: int, padding: int) -> int:
    dilation = options.integer("dilation", 1, minimum=1, maximum=_MAX_KERNEL)
    if kernel_size == 1:
        return 1  # Darknet forces it
    known = options.trusts("dilation", "size", "padding", "pad")
    if known and dilation > 1 and 2 * padding != kernel_size - 1:
        options.error(
            Rule.EMPTY_OUTPUT,
            "dilation",
            f"[convolutional] dilation={dilation} with size={kernel_size} and padding {padding}: "
            "Darknet's declared map and its arithmetic differ in size",
            expected="an odd size with pad=1, or dilation=1",
        )
    return dilation


def _activation(options: Options) -> str:
    if "activation" not in options:
        options.warning(
            Rule.SILENT_DEFAULT,
            "activation",
            "[convolutional] has no activation; Darknet takes logistic, OpenCV linear; "
            "logistic is used here",
            help="write activation=linear or activation=logistic",
        )
    return parse_activation(options, "logistic", computed=CONVOLUTION_ACTIVATIONS)
