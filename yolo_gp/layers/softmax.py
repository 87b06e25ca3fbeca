"""[softmax]: normalises all elements of a map, or of each group, to probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.class_tree import ClassTree, parse_tree
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.named_files import NamedFile
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Layer):
    """[softmax]: softmax(x / temperature) over all C H W elements, or over `groups` equal parts.

    With spatial=1 over the channels of each pixel; with a tree over each group of its nodes, which
    are the C H W elements, whatever the other keys say. Keeps the shape.

    Source: Darknet src/softmax_layer.c; darknet.md 2.9.  Stores no weights.
    """

    kind: ClassVar[str] = "softmax"
    ignored: ClassVar[Mapping[str, str]] = {**training_only("noloss")}
    meanings: ClassVar[Mapping[str, str]] = {
        "groups": "how many equal parts of the flattened map are normalised, each by itself",
        "temperature": "what every number is divided by first; not 0",
        "spatial": "1: over the channels of each pixel",
        "tree": "a file with the tree of classes; each of its groups is normalised by itself",
        "noloss": "1: no loss is computed here",
    }

    span: Span
    common: CommonKeys
    groups: int
    temperature: float
    spatial: bool
    groups_span: Span
    tree: NamedFile[ClassTree] | None = None

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Softmax:
        tree = parse_tree(options, None)
        groups = options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS)
        spatial = options.flag("spatial")
        if spatial and tree is None:
            options.warning(
                Rule.SPATIAL_SOFTMAX,
                "spatial",
                "AlexeyAB's CPU build ignores spatial=1; it is honoured here, as on its GPU build",
            )
        for key, is_set in (("groups", groups > 1), ("spatial", spatial)):
            if is_set and tree is not None:
                message = f"[softmax] {key} has no effect beside tree, as in Darknet"
                options.warning(Rule.NO_EFFECT, key, message)
        return cls(
            span=options.span,
            common=common,
            groups=1 if tree else groups,
            temperature=_parse_temperature(options),
            spatial=spatial and tree is None,
            groups_span=options.span_of("groups"),
            tree=tree,
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        shape = inputs[0].complete
        tree = self.tree.content if self.tree else None
        if self.tree and tree and shape and shape.elements != tree.size:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.tree.span,
                f"[softmax] tree has {tree.size} nodes, but {{0}} gives {shape.elements} numbers",
                expected="a node for each number",
            )
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
        from yolo_gp.layers.head_modules import TreeSoftmax
        from yolo_gp.layers.modules import Softmax as Module

        if self.tree is not None:
            return TreeSoftmax(self.tree, self.temperature)
        return Module(self.groups, self.temperature, self.spatial)

    def require_files(self) -> None:
        if self.tree is not None:
            self.tree.required()

    def class_tree(self) -> ClassTree | None:
        return self.tree.content if self.tree else None


def _parse_temperature(options: Options) -> float:
    temperature = options.number("temperature", 1.0)
    if temperature == 0.0:
        options.error(
            Rule.OUT_OF_RANGE,
            "temperature",
            "[softmax] temperature=0 divides by zero",
            expected="a temperature other than 0",
        )
    return temperature
