"""The parts of a graph: edges and nodes."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.cost import Cost
from yolo_gp.layers.base import Layer
from yolo_gp.shapes import FeatureShape

INPUT = -1
"""The source number that stands for the network's input."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A layer's reading of another layer's output. A detached edge carries no gradient."""

    source: int
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in the graph.

    Fields:
        index: position among all layers; what `Edge.source` means.
        written: the number of the section that it comes from, as users count; the layers of one
            macro share it.
        layer: the typed layer.
        inputs: what it reads, in the layer's order.
        input_shapes, output_shape: of one image.
        cost: for one image.
        weights_of: the layer whose parameters it shares; None if it has its own.
    """

    index: int
    written: int
    layer: Layer
    inputs: tuple[Edge, ...]
    input_shapes: tuple[FeatureShape, ...]
    output_shape: FeatureShape
    cost: Cost
    weights_of: int | None = None


def module_name(node: Node) -> str:
    """The name of a layer's module in the network, and of its value in the generated code."""
    return f"{node.layer.kind}_{node.index}"
