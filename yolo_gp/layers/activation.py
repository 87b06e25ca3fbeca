"""[activation]: an activation function in a section of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.activations import mixes_channels, parse_activation
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationSection(Layer):
    """[activation]: (C, H, W) -> (C, H, W).

    Source: Darknet src/activation_layer.c; darknet.md 2.8.  Stores no weights.
    """

    kind: ClassVar[str] = "activation"

    span: Span
    common: CommonKeys
    activation: str

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> ActivationSection:
        activation = parse_activation(options, "linear")
        return cls(span=options.span, common=common, activation=activation)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        if mixes_channels(self.activation):
            return (Mixes(0, learned=False),)
        return (Passes(0, output.channels),)

    def is_identity(self) -> bool:
        return self.activation == "linear"

    def passes_input(self) -> bool:
        return self.is_identity()

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.activation_modules import Activation

        return Activation(self.activation)

    def label(self) -> str:
        return self.activation
