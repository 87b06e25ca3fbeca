"""[implicit]: learned numbers that no image changes, AlexeyAB's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Implicit(Layer):
    """[implicit]: (filters, atoms, 1), its own weights, whatever the image.

    They start within std of mean.

    Source: AlexeyAB's src/representation_layer.c; darknet.md 2.13.
    """

    kind: ClassVar[str] = "implicit"
    width_key: ClassVar[str | None] = "filters"
    training_fields: ClassVar[frozenset[str]] = frozenset({"mean", "deviation"})
    meanings: ClassVar[Mapping[str, str]] = {
        "filters": "channels of the output",
        "atoms": "rows of the output",
        "mean": "middle of the range that the weights start in",
        "std": "half the width of that range",
    }
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys
    out_channels: int
    atoms: int
    mean: float
    deviation: float

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Implicit:
        return cls(
            span=options.span,
            common=common,
            out_channels=options.integer("filters", 128, minimum=1, maximum=MAX_CHANNELS),
            atoms=options.integer("atoms", 1, minimum=1),
            mean=options.number("mean", 0.0),
            deviation=options.number("std", 0.2),
        )

    def sources(self) -> tuple[Reference, ...]:
        return ()

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return PartialShape(self.out_channels, self.atoms, 1)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        return Cost(params=output.elements, activations=output.elements)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return ()

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.parameter_modules import Implicit as Module

        return Module(self.out_channels, self.atoms, self.mean, self.deviation)

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return (WeightBlock("weight", (self.out_channels, self.atoms)),)
