"""[sam]: multiplies an earlier map by the previous layer, element by element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.activations import parse_activation
from yolo_gp.layers.base import Layer, single_source
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam(Layer):
    """[sam]: activation(source * x), both (C, H, W).  Spatial attention.

    Source: Darknet src/sam_layer.c; darknet.md 2.6.  Stores no weights.
    """

    kind: ClassVar[str] = "sam"
    meanings: ClassVar[Mapping[str, str]] = {"from": "the earlier layer to multiply"}
    reader: ClassVar[Reader] = "AlexeyAB"

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]
    activation: str

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Sam:
        return cls(
            span=options.span,
            common=common,
            layers=single_source(options),
            activation=parse_activation(options, "linear"),
        )

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.layers)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        left, right = inputs[0].complete, inputs[1].complete
        if left and right and left != right:
            raise ShapeProblem(
                Rule.SIZE_MISMATCH,
                self.layers[0].span,
                f"[sam] multiplies {{1}}, {right}, by {{0}}, {left}",
                expected="two maps of equal shape",
            )
        return inputs[1]

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return Passes(0, output.channels), Passes(1, output.channels)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Product

        return Product(self.activation)
