"""Which edges carry the gradient that reaches a layer, and at what timestamps.

An edge lies on a gradient path of a layer at timestamp t if a path from a loss to the layer's
output runs over it, and t - 1 weight layers are crossed before the gradient comes out of the edge,
at the map that the edge reads. Followed channel by channel, exactly: what a concatenation or a
partial shortcut keeps apart stays apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from yolo_gp.analysis.gradient_paths import GradientPaths
from yolo_gp.analysis.intervals import Run, Runs, add_up, backward, forward
from yolo_gp.analysis.polynomials import LayerSet, members
from yolo_gp.graph import Graph
from yolo_gp.layers.base import is_head
from yolo_gp.layers.channel_flow import Mixes
from yolo_gp.nodes import INPUT, Node


@dataclass(frozen=True, slots=True)
class TimeSet:
    """A set of timestamps, as bits: 2^t is set if t belongs to it."""

    bits: int

    def __add__(self, other: TimeSet) -> TimeSet:
        return TimeSet(self.bits | other.bits)

    def times(self, count: int) -> TimeSet:
        return self

    def __iter__(self) -> Iterator[int]:
        return members(self.bits)


EdgeName = tuple[int, int]
"""(target, number among its inputs). A network without heads has one edge more, from its last
layer to the loss; its target is the number of layers."""


@dataclass(frozen=True, slots=True)
class Lighting:
    """Where the gradients of all layers run.

    Fields:
        edges: for every edge that carries a gradient, its timestamps on the way to each layer
            that the gradient goes on to.
    """

    edges: Mapping[EdgeName, Mapping[int, TimeSet]]

    def of(self, layer: int) -> dict[EdgeName, TimeSet]:
        """The edges on gradient paths of a layer, with their timestamps."""
        return {edge: found[layer] for edge, found in self.edges.items() if layer in found}


def light(graph: Graph, paths: GradientPaths) -> Lighting:
    """Follow the gradient of every layer. Pure; grows with edges times layers."""
    reaching = _reaching(graph)
    edges: dict[EdgeName, Mapping[int, TimeSet]] = {}
    for (target, number), source, gradient in _gradients(graph, paths):
        found = _meet(gradient, reaching[source])
        if found:
            edges[target, number] = found
    return Lighting(edges)


def layer_times(graph: Graph, lit: Mapping[EdgeName, TimeSet]) -> dict[int, TimeSet]:
    """When gradient comes to each layer's output, where `lit` are the edges that carry it."""
    found: dict[int, TimeSet] = {}
    for (target, number), times in lit.items():
        at_loss = target == len(graph.nodes)
        source = target - 1 if at_loss else graph.nodes[target].inputs[number].source
        found[source] = found.get(source, TimeSet(0)) + times
    return found


def _reaching(graph: Graph) -> list[Runs[LayerSet]]:
    """For each node's output, the layers from which a gradient path leads there, by channel."""
    found: list[Runs[LayerSet]] = []
    for node in graph.nodes:
        channels = node.output_shape.channels
        arriving = [Run(0, channels, LayerSet(1 << node.index))]
        for way in node.layer.channel_flow(node.input_shapes, node.output_shape):
            edge = node.inputs[way.input]
            if edge.source != INPUT and not edge.detached:
                source = node.input_shapes[way.input].channels
                arriving += forward(way, found[edge.source], source, channels)
        found.append(add_up(arriving))
    return found


def _gradients(graph: Graph, paths: GradientPaths) -> Iterator[tuple[EdgeName, int, Runs[TimeSet]]]:
    """Every edge that a gradient can take: its name, its source, the timestamps by channel."""
    for node in graph.nodes:
        for number, edge in enumerate(node.inputs):
            if edge.source == INPUT or edge.detached:
                continue
            returned = list(_returned(node, number, paths))
            if is_head(node.layer):
                returned.append(_loss(node.input_shapes[number].channels))
            yield (node.index, number), edge.source, add_up(returned)
    if not graph.heads:
        last = graph.nodes[-1]
        yield (len(graph.nodes), 0), last.index, (_loss(last.output_shape.channels),)


def _loss(channels: int) -> Run[TimeSet]:
    return Run(0, channels, TimeSet(1 << 1))


def _returned(node: Node, number: int, paths: GradientPaths) -> Iterator[Run[TimeSet]]:
    """The timestamps that an input gets back from the node's output."""
    gradient = tuple(
        Run(run.first, run.end, TimeSet(sum(1 << t for t in run.timestamps)))
        for run in paths.layers[node.index].channels
    )
    for way in node.layer.channel_flow(node.input_shapes, node.output_shape):
        if way.input != number or not gradient:
            continue
        channels = node.input_shapes[number].channels
        learned = isinstance(way, Mixes) and way.learned
        for run in backward(way, gradient, channels, node.output_shape.channels):
            yield Run(run.first, run.end, TimeSet(run.value.bits << learned))


def _meet(gradient: Runs[TimeSet], layers: Runs[LayerSet]) -> dict[int, TimeSet]:
    """For each layer, the timestamps of the channels that lead to it."""
    bits: dict[int, int] = {}
    for run in gradient:
        for other in layers:
            if other.first < run.end and run.first < other.end:
                for layer in other.value:
                    bits[layer] = bits.get(layer, 0) | run.value.bits
    return {layer: TimeSet(found) for layer, found in bits.items()}
