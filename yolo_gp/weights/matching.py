"""Which layers of two networks correspond: by position, then by structure. Loads no torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT, Node
from yolo_gp.weights.layout import NetworkTensor, network_tensors

SHORTEST_STRETCH = 5
"""So many layers with weights in a row must agree before they count as the same part of a network:
three in a row, such as 1x1, 3x3, 1x1 of usual widths, are found in networks of any descent."""

_READS_COMPARED = 8  # sums of a long residual chain read dozens of layers; the nearest tell enough


Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Name and shape of each of a layer's tensors."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A layer that owns weights. Tensors that several layers share belong to one of them."""

    node: Node
    tensors: tuple[NetworkTensor, ...]

    @property
    def shapes(self) -> Shapes:
        return tuple((tensor.block.tensor, tensor.block.shape) for tensor in self.tensors)

    @property
    def floats(self) -> int:
        return sum(tensor.block.count for tensor in self.tensors)

    @property
    def signature(self) -> Signature:
        inputs, made = self.node.input_shapes, self.node.output_shape
        read = inputs[0] if inputs else made
        return Signature(
            self.node.layer.kind,
            self.shapes,
            tuple(shape.channels for shape in inputs),
            (round(read.height / made.height), round(read.width / made.width)),
        )

    def __str__(self) -> str:
        return f"layer {self.node.written} [{self.node.layer.kind}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """What two layers must share for their weights to do the same work.

    Fields:
        kind: the section's kind.
        shapes: of its tensors, with their names.
        channels: of each map it reads; tells groups apart that tensors of one shape may have.
        reduction: by what it divides height and width of the map.
    """

    kind: str
    shapes: Shapes
    channels: tuple[int, ...]
    reduction: tuple[int, int]


def owners(graph: Graph) -> tuple[Owner, ...]:
    """The layers that own weights, in file order."""
    groups = itertools.groupby(network_tensors(graph), key=lambda tensor: tensor.node.index)
    return tuple(Owner(graph.nodes[index], tuple(tensors)) for index, tensors in groups)


Match = tuple[Owner, Owner]
"""A layer of the source, and the one of the target that can take its weights."""


def shared_prefix(source: Graph, target: Graph) -> list[Match]:
    """Layers with weights from the start on, up to the first layer that differs.

    Layers agree in kind, in the shapes of their tensors, and in what they read. Layers that only
    pass their input on do not count. Strides and activations may differ.
    """
    found = []
    for (ours, our_facts), (theirs, their_facts) in zip(
        _facts(source), _facts(target), strict=False
    ):
        if our_facts != their_facts:
            break
        if ours and theirs:
            found.append((ours, theirs))
    return found


def _facts(graph: Graph) -> Iterator[tuple[Owner | None, object]]:
    """Each layer that computes something: its owner if it owns weights, and what must agree."""
    owning = {owner.node.index: owner for owner in owners(graph)}
    place = {INPUT: INPUT}
    count = 0
    for node in graph.nodes:
        if node.layer.is_identity():
            place[node.index] = place[node.inputs[0].source]
            continue
        place[node.index] = count
        count += 1
        owner = owning.get(node.index)
        reads = tuple(place[edge.source] for edge in node.inputs)
        shared = None if node.weights_of is None else place[node.weights_of]
        yield owner, (node.layer.kind, owner.shapes if owner else (), reads, shared)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Layers with weights that agree one by one: source[start + i] with target[to + i]."""

    start: int
    to: int
    length: int


def similar_stretches(
    source: Graph,
    target: Graph,
    sources: Sequence[Owner],
    targets: Sequence[Owner],
    *,
    anchored: bool,
) -> list[Stretch]:
    """The stretches in which two sequences of layers with weights agree, in order.

    Layers agree in their signature, and in which layers of the stretch they read, be it through
    others that have no weights. A stretch counts if it has SHORTEST_STRETCH layers or more. A
    shorter one counts where it stands between layers that were replaced one for one: between it
    and the part that agrees before it, and the one after it or the end, both sequences have the
    same number of layers, SHORTEST_STRETCH at most.

    Args:
        anchored: the layers before these sequences agree, so their start is no mere start.
    """
    found = _agreeing(source, target, sources, targets)
    long = [stretch for stretch in found if stretch.length >= SHORTEST_STRETCH]
    edges = [*long, Stretch(len(sources), len(targets), 0)]
    kept: list[Stretch] = []
    last = Stretch(0, 0, 0) if anchored else None
    for stretch in found:
        after = next(edge for edge in edges if edge.start >= stretch.start)
        if stretch.length >= SHORTEST_STRETCH or (last and _in_place(last, stretch, after)):
            kept.append(stretch)
            last = stretch
    return kept


def _agreeing(
    source: Graph, target: Graph, sources: Sequence[Owner], targets: Sequence[Owner]
) -> list[Stretch]:
    """Every stretch of whatever length, in order."""
    ours, theirs = ([owner.signature for owner in layers] for layers in (sources, targets))
    reads = _weighted_reads(source, sources), _weighted_reads(target, targets)
    return [
        stretch
        for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
        for stretch in _split(Stretch(block.a, block.b, block.size), *reads)
    ]


def _in_place(before: Stretch, stretch: Stretch, after: Stretch) -> bool:
    gaps = [
        (right.start - left.start - left.length, right.to - left.to - left.length)
        for left, right in ((before, stretch), (stretch, after))
    ]
    return all(ours == theirs <= SHORTEST_STRETCH for ours, theirs in gaps)


def _split(
    stretch: Stretch, source_reads: Sequence[set[int]], target_reads: Sequence[set[int]]
) -> Iterator[Stretch]:
    """The stretch, cut wherever the two sides read different layers of it."""
    first = 0
    for step in range(stretch.length):
        start, to = stretch.start + first, stretch.to + first
        ours = {n - start for n in source_reads[stretch.start + step] if n >= start}
        theirs = {n - to for n in target_reads[stretch.to + step] if n >= to}
        if ours != theirs:
            yield Stretch(start, to, step - first)
            first = step
    if stretch.length > first:
        yield Stretch(stretch.start + first, stretch.to + first, stretch.length - first)


def _weighted_reads(graph: Graph, layers: Sequence[Owner]) -> list[set[int]]:
    """For each of `layers`, the nearest before it that it reads, as positions in `layers`."""
    position = {owner.node.index: number for number, owner in enumerate(layers)}
    behind: dict[int, tuple[int, ...]] = {INPUT: ()}  # what a layer's output is made of
    reads = []
    for node in graph.nodes:
        read = {number for edge in node.inputs for number in behind[edge.source]}
        nearest = tuple(sorted(read)[-_READS_COMPARED:])
        number = position.get(node.index)
        behind[node.index] = nearest if number is None else (number,)
        if number is not None:
            reads.append(set(nearest))
    return reads
