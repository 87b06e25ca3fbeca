"""[maxpool]: the largest value of each window; taps outside the map do not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.blur import Blur, blurred_source_remark, parse_blur
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.pooling import PADDING_IGNORED, WINDOW_MEANINGS, Window
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Layer):
    """[maxpool]: (C, H, W) -> (C, H', W'), H' = (H + padding - size) // stride + 1.

    In the YOLOR dialect the padding of size=2, stride=1 are zeros, which count.

    With maxpool_depth=1 -> (out_channels, H, W): channel g is the largest of the channels g,
    g + out_channels, g + 2 out_channels ... of its pixel; the window counts for nothing.

    Source: Darknet src/maxpool_layer.c; darknet.md 2.3.  Stores no weights.
    """

    kind: ClassVar[str] = "maxpool"
    ignored = training_only("maxpool_zero_nonmax")
    meanings: ClassVar[Mapping[str, str]] = {
        **WINDOW_MEANINGS,
        "maxpool_depth": "1: the largest value over channels, in place of pixels",
        "out_channels": "channels that are left with `maxpool_depth=1`",
        "maxpool_zero_nonmax": "1: in training all values but the largest become 0",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to(
        "AlexeyAB", "maxpool_depth", "out_channels", "maxpool_zero_nonmax"
    )
    ignored_in: ClassVar[Mapping[Dialect, Mapping[str, str]]] = PADDING_IGNORED

    span: Span
    common: CommonKeys
    window: Window
    depth: int | None = None  # the output's channels, if it pools over channels
    depth_span: Span
    blur: Blur | None = None  # it has the section's stride, the window has none

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> MaxPool:
        window = Window.parse(options)
        blur = parse_blur(options, window.stride)
        depth = options.integer("out_channels", 1, minimum=1, maximum=MAX_CHANNELS)
        return cls(
            span=options.span,
            common=common,
            window=window if blur is None else replace(window, stride=(1, 1)),
            depth=depth if options.flag("maxpool_depth") else None,
            depth_span=options.span_of("out_channels"),
            blur=blur,
        )

    @property
    def _pads_with_zeros(self) -> bool:
        plain = self.window == Window(2, (1, 1), 1) and self.blur is None and self.depth is None
        return plain and self.common.dialect is Dialect.YOLOR

    def depends_on_dialect(self) -> bool:
        return self._pads_with_zeros

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        pooled = self._pooled(inputs[0])
        return pooled if self.blur is None else self.blur.output_shape(self, pooled)

    def _pooled(self, source: PartialShape) -> PartialShape:
        """The shape before the blur."""
        if self.depth is None:
            return self.window.output_shape(self.kind, self.span, source)
        if source.channels is not None and source.channels < self.depth:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.depth_span,
                f"[maxpool] cannot take the maximum over {{0}}'s {source.channels} channels in "
                f"out_channels={self.depth} runs",
                expected=f"out_channels up to {source.channels}",
            )
        return PartialShape(self.depth, source.height, source.width)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        pooled = self._pooled(inputs[0].partial).complete
        assert pooled is not None
        operations = self.window.cost(inputs, pooled).darknet_operations
        return Cost(darknet_operations=operations, activations=output.elements)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        channels = inputs[0].channels
        starts = range(0, channels, output.channels)
        return tuple(Passes(0, min(output.channels, channels - s), start=s) for s in starts)

    def remark_to_reader(self, reference: Reference) -> ShapeProblem | None:
        return blurred_source_remark(reference) if self.blur else None

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        from yolo_gp.layers.dialect_modules import CornerPaddedMaxPool
        from yolo_gp.layers.modules import MaxPool as Module
        from yolo_gp.layers.pooling_modules import ChannelMaxPool

        window = self.window
        if self._pads_with_zeros:
            return CornerPaddedMaxPool()
        pool = (
            Module(window.kernel_size, window.stride, window.padding)
            if self.depth is None
            else ChannelMaxPool(self.depth)
        )
        return pool if self.blur is None else nn.Sequential(pool, self.blur.module())

    def label(self) -> str:
        what = self.window.label() if self.depth is None else "channels"
        return what if self.blur is None else f"{what} {self.blur.label()}"
