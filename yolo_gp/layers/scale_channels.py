"""[scale_channels]: multiplies an earlier map by the previous layer, per channel or per pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.activations import parse_activation
from yolo_gp.layers.base import Layer, single_source
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleChannels(Layer):
    """[scale_channels]: activation(source * x).  Shape of the source `from`.

    x, the previous layer, is (C, 1, 1), or (1, H, W) with scale_wh=1. Squeeze-and-excitation.

    Source: Darknet src/scale_channels_layer.c; darknet.md 2.6.  Stores no weights.
    """

    kind: ClassVar[str] = "scale_channels"
    meanings: ClassVar[Mapping[str, str]] = {
        "from": "the earlier layer to multiply",
        "scale_wh": "0: the previous layer has a factor per channel; 1: one per pixel",
    }
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]
    per_pixel: bool
    activation: str

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> ScaleChannels:
        return cls(
            span=options.span,
            common=common,
            layers=single_source(options),
            per_pixel=options.flag("scale_wh"),
            activation=parse_activation(options, "linear"),
        )

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.layers)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        factor, source = inputs
        if self.per_pixel:
            wanted = PartialShape(1, source.height, source.width)
        else:
            wanted = PartialShape(source.channels, 1, 1)
        if _differ(factor, wanted):
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.layers[0].span,
                f"[scale_channels] multiplies {{1}}, {source}, by {{0}}, {factor}",
                expected=f"{wanted} from {{0}}",
                help="scale_wh=1 takes one factor per pixel, scale_wh=0 one per channel",
            )
        return source

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        factors = Mixes(0, learned=False) if self.per_pixel else Passes(0, output.channels)
        return factors, Passes(1, output.channels)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Product

        return Product(self.activation)

    def label(self) -> str:
        return "per pixel" if self.per_pixel else "per channel"


def _differ(found: PartialShape, wanted: PartialShape) -> bool:
    pairs = (
        (found.channels, wanted.channels),
        (found.height, wanted.height),
        (found.width, wanted.width),
    )
    return any(a is not None and b is not None and a != b for a, b in pairs)
