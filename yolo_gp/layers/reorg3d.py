"""[reorg3d]: space to depth, AlexeyAB's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.reorg import MAX_STRIDE, shuffled_shape
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg3d(Layer):
    """[reorg3d]: (C, H, W) -> (C s^2, H / s, W / s), s = stride; reverse=1 the other way.

    Output channel (dy s + dx) C + c is channel c of the pixels (y s + dy, x s + dx). reverse=1 does
    not undo that: it shuffles the flat map as [reorg] reverse=1 would one of the output's shape,
    and needs a multiple of s^4 channels.

    Source: AlexeyAB's src/reorg_layer.c; darknet.md 2.7.  Stores no weights.
    """

    kind: ClassVar[str] = "reorg3d"
    meanings: ClassVar[Mapping[str, str]] = {
        "stride": "s: the map becomes s times smaller each way, with s^2 times the channels",
        "reverse": "1: the map becomes s times larger; this does not undo reverse=0",
    }
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys
    stride: int
    reverse: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Reorg3d:
        return cls(
            span=options.span,
            common=common,
            stride=options.integer("stride", 1, minimum=1, maximum=MAX_STRIDE),
            reverse=options.flag("reverse"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        multiple = self.stride**4 if self.reverse else 1
        return shuffled_shape(
            self, inputs[0], stride=self.stride, reverse=self.reverse, multiple=multiple
        )

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=False),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.shuffle_modules import Reorg3d as Module

        return Module(self.stride, self.reverse)

    def label(self) -> str:
        return f"/{self.stride}" + (" reverse" if self.reverse else "")
