"""[reorg]: YOLOv2's shuffle from space to depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import CommonKeys, Layer, ShapeProblem
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, divided, format_size, times

if TYPE_CHECKING:
    from torch import nn

_MAX_STRIDE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg(Layer):
    """[reorg]: (C, H, W) -> (C s^2, H / s, W / s), s = stride; reverse=1 the other way.

    No plain space-to-depth: Darknet reads the flat input as if it had C / s^2 channels of
    H s x W s pixels, and trained YOLOv2 weights rely on that order.

    Source: Darknet src/reorg_old_layer.c; darknet.md 2.7.  Stores no weights.
    """

    kind: ClassVar[str] = "reorg"

    span: Span
    common: CommonKeys
    stride: int
    reverse: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Reorg:
        for key in ("flatten", "extra"):
            options.unsupported(key, "pjreddie's variant")
        return cls(
            span=options.span,
            common=common,
            stride=options.integer("stride", 1, minimum=1, maximum=_MAX_STRIDE),
            reverse=options.flag("reverse"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source, stride = inputs[0], self.stride
        if source.channels is not None and source.channels % stride**2:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.span,
                f"[reorg] stride={stride} needs a multiple of {stride**2} channels, {{0}} has "
                f"{source.channels}",
                expected=f"channels that {stride**2} divides",
            )
        if self.reverse:
            channels = divided(source.channels, stride**2)
            return PartialShape(channels, times(source.height, stride), times(source.width, stride))
        if source.size and any(length % stride for length in source.size):
            raise ShapeProblem(
                Rule.SIZE_MISMATCH,
                self.span,
                f"[reorg] stride={stride} does not divide {{0}}, which is "
                f"{format_size(source.size)}",
                expected=f"a map whose height and width are multiples of {stride}",
            )
        channels = times(source.channels, stride**2)
        return PartialShape(channels, divided(source.height, stride), divided(source.width, stride))

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=False),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Reorg as Module

        return Module(self.stride, self.reverse)

    def label(self) -> str:
        return f"/{self.stride}" + (" reverse" if self.reverse else "")
