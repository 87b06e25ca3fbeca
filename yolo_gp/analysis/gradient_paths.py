"""Gradient paths: at what timestamps, from where and in how many ways gradients reach each layer.

The words, as the ELAN paper uses them, made computable:

* A *weight layer* learns how to mix channels (convolutional, connected). Every other layer is
  transparent: a gradient passes in no time.
* The *loss* is at every map that a head reads; in a network without heads, at the last layer's
  output.
* A gradient reaches the output of a layer at *timestamp* t if a path from the loss to that output
  crosses t - 1 weight layers.
* The *path polynomial* of a channel is the sum over t of (number of paths of length t) z^t. Paths
  are counted from channel to channel, as autograd adds them up where every weight is 1.
* Channels of a layer belong to one *combination* if their polynomials are equal. Channels that no
  gradient reaches belong to none.
* A *source* of a layer is a node whose gradient reaches the layer's output with no weight layer in
  between: a later weight layer, or a head (its loss).
* *Features* of a layer: earlier weight layers whose output reaches its input with no weight layer
  in between.
* *Shared* gradient of a layer: of all triples (timestamp, emitting map, channel of that map) that
  reach its output, those that also reach the output of another weight layer.

Source: ELAN paper, sections 3 and 4; PRN paper, section 3. Exact integers; loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from yolo_gp.analysis.intervals import Run, Runs, add_up, backward, forward
from yolo_gp.analysis.polynomials import LayerSet, Polynomial, members
from yolo_gp.graph import Graph
from yolo_gp.layers.channel_flow import Mixes, Passes
from yolo_gp.nodes import INPUT, Node

_LOSS = Polynomial(1, (1,))


@dataclass(frozen=True, slots=True)
class ChannelGradient:
    """The gradient of a run of channels of a layer's output.

    Fields:
        first, end: the channels, `end` excluded.
        timestamps: ascending.
        paths: how many paths there are from the loss to each of these channels.
        combination: runs of equal number have the same polynomial; numbered from 0.
    """

    first: int
    end: int
    timestamps: tuple[int, ...]
    paths: int
    combination: int


@dataclass(frozen=True, slots=True)
class LayerPaths:
    """What gradients do at one layer's output.

    Fields:
        learned: it is a weight layer.
        channels: its channels that a gradient reaches.
        timestamps: of all channels, ascending.
        combinations: how many different polynomials its channels have.
        sources: numbers of the nodes whose gradient reaches it directly, ascending.
        features: numbers of the weight layers whose output reaches its input directly, ascending.
        shared, triples: gradient that it shares with other weight layers, of all that reaches it;
            0 and 0 for layers other than weight layers.
    """

    node: Node
    learned: bool
    channels: tuple[ChannelGradient, ...]
    timestamps: tuple[int, ...]
    combinations: int
    sources: tuple[int, ...]
    features: tuple[int, ...]
    shared: int
    triples: int

    @property
    def shortest(self) -> int | None:
        """The length of the shortest gradient path; None if no gradient reaches the layer."""
        return self.timestamps[0] if self.timestamps else None

    @property
    def longest(self) -> int | None:
        return self.timestamps[-1] if self.timestamps else None

    @property
    def shared_fraction(self) -> Fraction | None:
        return Fraction(self.shared, self.triples) if self.triples else None


@dataclass(frozen=True, slots=True)
class GradientPaths:
    """The gradient paths of a network, layer by layer in file order.

    Fields:
        layers: of every node of the graph.
    """

    layers: tuple[LayerPaths, ...]

    @property
    def weight_layers(self) -> tuple[LayerPaths, ...]:
        return tuple(layer for layer in self.layers if layer.learned)

    @property
    def longest_shortest(self) -> int:
        """The greatest shortest path of a weight layer; 0 if no gradient reaches any."""
        return max((layer.timestamps[0] for layer in self._reached), default=0)

    @property
    def longest(self) -> int:
        """The greatest timestamp of a weight layer."""
        return max((layer.timestamps[-1] for layer in self._reached), default=0)

    @property
    def combinations(self) -> int:
        """Timestamp combinations, summed over the weight layers."""
        return sum(layer.combinations for layer in self.weight_layers)

    @property
    def sources(self) -> int:
        """Sources, summed over the weight layers."""
        return sum(len(layer.sources) for layer in self.weight_layers)

    @property
    def shared_fraction(self) -> Fraction | None:
        """Shared gradient of all weight layers together, by triples."""
        triples = sum(layer.triples for layer in self.layers)
        return Fraction(sum(layer.shared for layer in self.layers), triples) if triples else None

    @property
    def unreached(self) -> tuple[LayerPaths, ...]:
        """Weight layers that no gradient reaches: they cannot learn."""
        return tuple(layer for layer in self.weight_layers if not layer.timestamps)

    @property
    def _reached(self) -> list[LayerPaths]:
        return [layer for layer in self.weight_layers if layer.timestamps]


@dataclass(frozen=True, slots=True)
class Emission:
    """A gradient as it comes out of a weight layer, or of a loss, into a map.

    Fields:
        emitter: the number of the weight layer, or of the head; of the last layer in a network
            without heads.
        source: the number of the layer whose output the map is.
        runs: the polynomials of its channels.
    """

    emitter: int
    source: int
    runs: Runs[Polynomial]


def gradient_paths(graph: Graph) -> GradientPaths:
    """Analyse a network. Pure; grows with the number of layers times the longest path."""
    flows = [node.layer.channel_flow(node.input_shapes, node.output_shape) for node in graph.nodes]
    learned = [any(isinstance(way, Mixes) and way.learned for way in flow) for flow in flows]
    features = _features(graph, flows, learned, cut=False)
    reaching = _features(graph, flows, learned, cut=True)
    channels: dict[int, tuple[ChannelGradient, ...]] = {}
    tally = _Tally(len(graph.nodes))
    for node, gradient, emissions in backward_pass(graph):
        channels[node.index] = _channel_gradients(gradient)
        for emission in emissions:
            tally.count(emission, reaching[emission.source])
    for emission in losses(graph):
        tally.count(emission, reaching[emission.source])
    return GradientPaths(
        tuple(
            _layer_paths(node, learned[node.index], channels[node.index], features, tally)
            for node in graph.nodes
        )
    )


def losses(graph: Graph) -> Iterator[Emission]:
    """The gradients that losses emit, one for each map that a head reads."""
    emitters = [node.index for node, _ in graph.heads for _ in node.inputs]
    for edge, emitter in zip(graph.output_edges, emitters or [len(graph.nodes) - 1], strict=True):
        if not edge.detached and edge.source != INPUT:
            run = Run(0, graph.shape_of(edge.source).channels, _LOSS)
            yield Emission(emitter, edge.source, (run,))


def backward_pass(graph: Graph) -> Iterator[tuple[Node, Runs[Polynomial], list[Emission]]]:
    """Each node from the last to the first, its output's polynomials, and what it emits.

    Only weight layers emit. Polynomials are dropped once their node is done, so that memory stays
    small however deep the network is.
    """
    arriving: list[list[Run[Polynomial]]] = [[] for _ in graph.nodes]
    for emission in losses(graph):
        arriving[emission.source].extend(emission.runs)
    for node in reversed(graph.nodes):
        gradient = add_up(arriving[node.index])
        arriving[node.index] = []
        emissions = []
        for way in node.layer.channel_flow(node.input_shapes, node.output_shape):
            edge = node.inputs[way.input]
            if edge.detached or edge.source == INPUT or not gradient:
                continue
            channels = node.input_shapes[way.input].channels
            returned = backward(way, gradient, channels, node.output_shape.channels)
            if isinstance(way, Mixes) and way.learned:
                returned = [Run(run.first, run.end, run.value.shifted()) for run in returned]
                emissions.append(Emission(node.index, edge.source, tuple(returned)))
            arriving[edge.source].extend(returned)
        yield node, gradient, emissions


_Flows = list[tuple[Passes | Mixes, ...]]


def _features(
    graph: Graph, flows: _Flows, learned: list[bool], *, cut: bool
) -> list[Runs[LayerSet]]:
    """For each node's output, the weight layers whose output reaches it directly, by channel.

    Args:
        cut: detached edges do not count; gradients cannot come back over them.
    """
    found: list[Runs[LayerSet]] = []
    for node, flow in zip(graph.nodes, flows, strict=True):
        if learned[node.index]:
            itself = LayerSet(1 << node.index)
            found.append((Run(0, node.output_shape.channels, itself),))
            continue
        arriving: list[Run[LayerSet]] = []
        for way in flow:
            edge = node.inputs[way.input]
            if edge.source == INPUT or (cut and edge.detached):
                continue
            source = node.input_shapes[way.input].channels
            arriving += forward(way, found[edge.source], source, node.output_shape.channels)
        found.append(add_up(arriving))
    return found


def _channel_gradients(gradient: Runs[Polynomial]) -> tuple[ChannelGradient, ...]:
    numbers: dict[Polynomial, int] = {}
    return tuple(
        ChannelGradient(
            run.first,
            run.end,
            tuple(members(run.value.exponents)),
            sum(run.value.counts),
            numbers.setdefault(run.value, len(numbers)),
        )
        for run in gradient
    )


class _Tally:
    """Who emits to whom, and how much of that goes to several weight layers."""

    def __init__(self, layers: int) -> None:
        self.sources: list[set[int]] = [set() for _ in range(layers)]
        self.triples = [0] * layers
        self.shared = [0] * layers

    def count(self, emission: Emission, reaching: Runs[LayerSet]) -> None:
        """Add an emission into a map that the weight layers `reaching` write to directly."""
        for channels, polynomial, layers in _overlay(emission.runs, reaching):
            triples = channels * polynomial.exponents.bit_count()
            for layer in layers:
                self.sources[layer].add(emission.emitter)
                self.triples[layer] += triples
                if len(layers) > 1:
                    self.shared[layer] += triples


def _overlay(
    gradient: Runs[Polynomial], layers: Runs[LayerSet]
) -> Iterator[tuple[int, Polynomial, LayerSet]]:
    """The channels where both have a value: how many, and both values."""
    place = 0
    for run in gradient:
        while place < len(layers) and layers[place].end <= run.first:
            place += 1
        for other in layers[place:]:
            if other.first >= run.end:
                break
            count = min(run.end, other.end) - max(run.first, other.first)
            yield count, run.value, other.value


def _layer_paths(
    node: Node,
    learned: bool,
    channels: tuple[ChannelGradient, ...],
    features: list[Runs[LayerSet]],
    tally: _Tally,
) -> LayerPaths:
    at_input = {
        layer
        for edge in node.inputs
        if edge.source != INPUT
        for run in features[edge.source]
        for layer in run.value
    }
    return LayerPaths(
        node=node,
        learned=learned,
        channels=channels,
        timestamps=tuple(sorted({t for run in channels for t in run.timestamps})),
        combinations=len({run.combination for run in channels}),
        sources=tuple(sorted(tally.sources[node.index])),
        features=tuple(sorted(at_input)),
        shared=tally.shared[node.index],
        triples=tally.triples[node.index],
    )
