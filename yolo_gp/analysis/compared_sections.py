"""The sections of two cfgs as a comparison sees them, and which of them correspond."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from yolo_gp.analysis.written_settings import Settings, layer_settings, net_settings
from yolo_gp.fingerprint import fingerprint
from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT, Edge, Node
from yolo_gp.shapes import FeatureShape
from yolo_gp.spec import WrittenLayer
from yolo_gp.syntax import CfgFile, Section

_ALIKE = 0.5  # sections of one kind that share less are two sections, not one that changed
_LARGEST_TABLE = 200_000  # pairs of sections weighed against each other, half a second


@dataclass(frozen=True, slots=True)
class Place:
    """A layer that a section reads: its section's number, and its position from that one's end.

    The number is INPUT for the network's input.
    """

    number: int
    from_end: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One layer that a section reads, or whose weights it uses.

    Fields:
        place: as the cfg names it.
        origin: behind layers that only pass their input on.
        is_previous: it is the section right before.
    """

    place: Place
    origin: Place
    is_previous: bool = False

    def __str__(self) -> str:
        return "input" if self.place.number == INPUT else str(self.place.number)


@dataclass(frozen=True, slots=True)
class ComparedSection:
    """A section after [net].

    Fields:
        number: 0 is the first.
        kind: its canonical name.
        nodes: the layers it stands for, one unless it is a macro.
        computes: what each of them computes, be its inputs what they may.
        settings: its keys.
        readings: what it reads of others, in the order of its layers.
        sharing: the layers whose weights it uses.
    """

    number: int
    kind: str
    nodes: tuple[Node, ...]
    computes: tuple[str, ...]
    settings: Settings
    readings: tuple[Reading, ...]
    sharing: tuple[Reading, ...]

    @property
    def output_shape(self) -> FeatureShape:
        return self.nodes[-1].output_shape

    @property
    def params(self) -> int:
        return sum(node.cost.params for node in self.nodes)

    @property
    def macs(self) -> int:
        return sum(node.cost.macs for node in self.nodes)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of every map that it reads and makes."""
        shapes = (shape for n in self.nodes for shape in (*n.input_shapes, n.output_shape))
        return tuple(shape.channels for shape in shapes)

    @property
    def label(self) -> str:
        """Its settings in short; of a macro, how many layers it stands for."""
        layer = self.nodes[0].layer
        return layer.label() if layer.kind == self.kind else f"{len(self.nodes)} layers"


@dataclass(frozen=True, slots=True)
class ComparedNetwork:
    """A compiled cfg with what its text says.

    Fields:
        net: the keys of [net].
        sections: those after it.
    """

    graph: Graph
    net: Settings
    sections: tuple[ComparedSection, ...]


def compared_network(graph: Graph, cfg: CfgFile) -> ComparedNetwork:
    """What there is to compare of a cfg; `graph` is what its text compiles to."""
    net, *sections = cfg.sections
    groups: list[list[Node]] = [[] for _ in sections]
    for node in graph.nodes:
        groups[node.written].append(node)
    places = _places(graph, groups)
    compared = (
        _compared(written, section, nodes, places)
        for written, section, nodes in zip(graph.spec.layers, sections, groups, strict=True)
    )
    return ComparedNetwork(graph, net_settings(net, graph.dialect), tuple(compared))


def _compared(
    written: WrittenLayer, section: Section, nodes: Sequence[Node], places: _Places
) -> ComparedSection:
    content = written.layer or written.macro
    assert content is not None
    first = nodes[0].index
    outside = (edge.source for node in nodes for edge in node.inputs if edge.source < first)
    shared = (node.weights_of for node in nodes if node.weights_of is not None)
    return ComparedSection(
        number=written.written,
        kind=content.kind,
        nodes=tuple(nodes),
        computes=tuple(_computes(node, first) for node in nodes),
        settings=layer_settings(section, content.common.dialect),
        readings=tuple(places.reading(source, first) for source in outside),
        sharing=tuple(places.reading(source) for source in shared),
    )


def _computes(node: Node, first: int) -> str:
    """A hash over kind and settings, and what it reads of its own section (`first` starts it)."""
    alone = dataclasses.replace(
        node, index=0, inputs=tuple(Edge(INPUT) for _ in node.inputs), weights_of=None
    )
    inner = [edge.source - first for edge in node.inputs if edge.source >= first]
    return f"{node.layer.kind} {inner} {fingerprint(0, [alone])}"


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each layer stands, and which layer its output is really made by."""

    of_layer: tuple[Place, ...]
    origins: tuple[int, ...]

    def reading(self, source: int, reader: int = INPUT) -> Reading:
        origin = INPUT if source == INPUT else self.origins[source]
        return Reading(self._place(source), self._place(origin), source == reader - 1)

    def _place(self, index: int) -> Place:
        return Place(INPUT) if index == INPUT else self.of_layer[index]


def _places(graph: Graph, groups: Sequence[Sequence[Node]]) -> _Places:
    places = (
        Place(node.written, groups[node.written][-1].index - node.index) for node in graph.nodes
    )
    origins: list[int] = []
    for node in graph.nodes:
        origin = node.index
        if node.layer.is_identity():
            source = node.inputs[0].source
            origin = INPUT if source == INPUT else origins[source]
        origins.append(origin)
    return _Places(tuple(places), tuple(origins))


# -- which correspond ------------------------------------------------------------------------------

Pair = tuple[ComparedSection | None, ComparedSection | None]
"""An old section and a new one; one of them may be absent."""


def align_sections(
    old: Sequence[ComparedSection], new: Sequence[ComparedSection]
) -> Iterator[Pair]:
    """All sections of both, in order, each once: pairs that correspond, and the rest alone.

    First runs of sections that compute the same on maps of as many channels; between them sections
    of one kind, if their settings are alike or they replace each other one for one.
    """
    ours, theirs = ([(s.kind, s.computes, s.channels) for s in side] for side in (old, new))
    start = to = 0
    for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        yield from _pair_gap(old[start : block.a], new[to : block.b])
        start, to = block.a + block.size, block.b + block.size
        yield from zip(old[block.a : start], new[block.b : to], strict=True)


def _pair_gap(old: Sequence[ComparedSection], new: Sequence[ComparedSection]) -> Iterator[Pair]:
    kinds = [[section.kind for section in side] for side in (old, new)]
    start = to = 0
    for position, other in (*_gap_pairs(old, new, kinds), (len(old), len(new))):
        yield from ((section, None) for section in old[start:position])
        yield from ((None, section) for section in new[to:other])
        if position < len(old):
            yield old[position], new[other]
        start, to = position + 1, other + 1


def _gap_pairs(
    old: Sequence[ComparedSection], new: Sequence[ComparedSection], kinds: Sequence[Sequence[str]]
) -> list[tuple[int, int]]:
    """Positions that correspond, in order."""
    if kinds[0] == kinds[1]:
        return [(position, position) for position in range(len(old))]
    if len(old) * len(new) > _LARGEST_TABLE:
        blocks = SequenceMatcher(None, kinds[0], kinds[1], autojunk=False).get_matching_blocks()
        return [(b.a + step, b.b + step) for b in blocks for step in range(b.size)]
    return _most_alike(old, new)


def _most_alike(
    old: Sequence[ComparedSection], new: Sequence[ComparedSection]
) -> list[tuple[int, int]]:
    """The pairs, in order, whose similarities have the largest sum."""
    alike = [[_similarity(ours, theirs) for theirs in new] for ours in old]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]  # of what follows from here
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            paired = alike[i][j] + best[i + 1][j + 1] if alike[i][j] else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    pairs = []
    i = j = 0
    while i < len(old) and j < len(new):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def _similarity(old: ComparedSection, new: ComparedSection) -> float:
    """0 for sections that are not to be compared."""
    if old.kind != new.kind:
        return 0.0
    similarity = old.settings.similarity(new.settings)
    return similarity if similarity >= _ALIKE else 0.0
