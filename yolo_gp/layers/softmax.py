"""[softmax]: normalises all elements of a map, or of each group, to probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import CommonKeys, Layer, ShapeProblem, same_shape, training_only
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Layer):
    """[softmax]: softmax(x / temperature) over all C H W elements, or over `groups` equal parts.

    With spatial=1 over the channels of each pixel. Keeps the shape.

    Source: Darknet src/softmax_layer.c; darknet.md 2.9.  Stores no weights.
    """

    kind: ClassVar[str] = "softmax"
    ignored: ClassVar[Mapping[str, str]] = {**training_only("noloss"), "tree": "refused by parse"}

    span: Span
    common: CommonKeys
    groups: int
    temperature: float
    spatial: bool
    groups_span: Span

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Softmax:
        if "tree" in options:
            options.error(
                Rule.UNSUPPORTED,
                "tree",
                "[softmax] over a tree is not supported",
                expected="[softmax] without tree",
            )
        spatial = options.flag("spatial")
        if spatial:
            options.warning(
                Rule.SPATIAL_SOFTMAX,
                "spatial",
                "AlexeyAB's CPU build ignores spatial=1; it is honoured here, as on its GPU build",
            )
        temperature = options.number("temperature", 1.0)
        if temperature == 0.0:
            options.error(
                Rule.OUT_OF_RANGE,
                "temperature",
                "[softmax] temperature=0 divides by zero",
                expected="a temperature other than 0",
            )
        return cls(
            span=options.span,
            common=common,
            groups=options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS),
            temperature=temperature,
            spatial=spatial,
            groups_span=options.span_of("groups"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        shape = inputs[0].complete
        if shape and shape.elements % self.groups:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.groups_span,
                f"[softmax] groups={self.groups} does not divide the {shape.elements} numbers "
                "of {0}",
                expected=f"groups that divide {shape.elements}",
            )
        return same_shape(inputs)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        # Groups cut the flattened map; they are groups of channels if each holds whole channels.
        groups = 1 if self.spatial or output.channels % self.groups else self.groups
        return (Mixes(0, learned=False, groups=groups),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Softmax as Module

        return Module(self.groups, self.temperature, self.spatial)
