"""[history]: the maps of several frames in one; with a single frame, that one and zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape, times

if TYPE_CHECKING:
    from torch import nn

_MAX_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Layer):
    """[history]: (C, H, W) -> (C history_size, H, W), the input's channels first, then zeros.

    Darknet, which sees one frame at a time outside training, never fills the other places either.

    Source: AlexeyAB's src/conv_lstm_layer.c forward_history_layer; darknet.md 2.12.
    """

    kind: ClassVar[str] = "history"
    meanings: ClassVar[Mapping[str, str]] = {"history_size": "maps that one output has room for"}
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys
    frames: int

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> History:
        frames = options.integer("history_size", 4, minimum=1, maximum=_MAX_SIZE)
        return cls(span=options.span, common=common, frames=frames)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        source = inputs[0]
        return PartialShape(times(source.channels, self.frames), source.height, source.width)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Passes(0, inputs[0].channels),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import ZeroChannels

        return ZeroChannels(output.channels - inputs[0].channels)

    def label(self) -> str:
        return f"{self.frames} frames"
