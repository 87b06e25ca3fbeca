"""[connected]: a fully connected layer over the flattened input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import parse_activation
from yolo_gp.layers.answers import Filters, WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn

_MAX_OUTPUTS = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Layer):
    """[connected]: (C, H, W), flattened channel by channel -> (output, 1, 1).

    Source: Darknet src/connected_layer.c; darknet.md 2.11. Its batch norm follows the weights in
    a `.weights` file (4.2).
    """

    kind: ClassVar[str] = "connected"
    meanings: ClassVar[Mapping[str, str]] = {"output": "how many numbers come out"}
    width_key: ClassVar[str | None] = "output"

    span: Span
    common: CommonKeys
    outputs: int
    batch_norm: bool
    activation: str

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Connected:
        return cls(
            span=options.span,
            common=common,
            outputs=options.integer("output", 1, minimum=1, maximum=_MAX_OUTPUTS),
            batch_norm=options.flag("batch_normalize"),
            activation=parse_activation(options, "logistic"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return PartialShape(self.outputs, 1, 1)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        macs = inputs[0].elements * self.outputs
        params = macs + self.outputs * (2 if self.batch_norm else 1)
        return Cost(params=params, macs=macs, activations=output.elements)

    def filters(self, inputs: Sequence[FeatureShape]) -> Filters:
        return Filters(self.outputs, inputs[0].elements * self.outputs, self.batch_norm)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Connected as Module

        dialect = self.common.dialect
        return Module(inputs[0].elements, self.outputs, self.batch_norm, self.activation, dialect)

    def depends_on_dialect(self) -> bool:
        return self.batch_norm

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        outputs = (self.outputs,)
        shape = (self.outputs, inputs[0].elements)
        weights = WeightBlock("linear.weight", shape, transposed_if_marked=True)
        if not self.batch_norm:
            return (WeightBlock("linear.bias", outputs), weights)
        names = [] if self.common.dont_load_scales else ["weight", "running_mean", "running_var"]
        scales = (WeightBlock(f"batch_norm.{name}", outputs) for name in names)
        return (WeightBlock("batch_norm.bias", outputs), weights, *scales)

    def label(self) -> str:
        return self.activation
