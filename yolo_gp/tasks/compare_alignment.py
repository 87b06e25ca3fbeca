"""Which values of two networks ought to be equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT, Edge, Node
from yolo_gp.tasks.compare_sides import HEAD_PARTS, Place, Side


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of places, in a's order.

    Fields:
        parted: where two networks of different structure part, and why; None for the same.
        shared: how many of the first pairs have all that they depend on before them.
        complete: all that the networks return is among the pairs.
        notes: what is left out, each a sentence.
    """

    pairs: tuple[tuple[Place, Place], ...]
    shared: int
    complete: bool
    parted: str | None = None
    notes: tuple[str, ...] = ()


def align(a: Side, b: Side) -> Alignment:
    """Find what to compare.

    Two networks are compared layer by layer, leaving out layers that only pass their input on; if
    their structure differs, up to where they part, and then outputs and heads whose shapes agree.
    Of a file that does not say what its layers are, the outputs are compared, in their order,
    where the shapes agree.

    Raises:
        WeightsError: there is nothing to compare.
    """
    if a.graph is None or b.graph is None:
        found = _by_shape(a, b)
    else:
        found = _by_layer(a, b, a.graph, b.graph)
    if not found.pairs:
        raise WeightsError(_nothing_text(a, b))
    return found


def _by_shape(a: Side, b: Side) -> Alignment:
    left = [place for place in b.output_places() if place in b.shapes]
    pairs = []
    alone = []
    for x in (place for place in a.output_places() if place in a.shapes):
        fitting = [y for y in left if b.shapes[y] == a.shapes[x]]
        if fitting:
            left.remove(fitting[0])
            pairs.append((x, fitting[0]))
        else:
            alone.append(a.shapes[x])
    notes = [
        f"an output of {side.label} has no partner of its shape, {_shape_text(shape)}"
        for side, shapes in ((a, alone), (b, [b.shapes[y] for y in left]))
        for shape in shapes
    ]
    return Alignment(tuple(pairs), len(pairs), complete=not alone, notes=tuple(notes))


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _nothing_text(a: Side, b: Side) -> str:
    lines = [f"{a.label} and {b.label} have no values of the same shape to compare"]
    for side in (a, b):
        given = (side.shapes[place] for place in side.output_places() if place in side.shapes)
        shapes = map(_shape_text, given)
        lines.append(f"{side.label}: {', '.join(shapes) or 'no output of float32'}")
    return "\n".join([*lines, "expected: two files of the same network, or of similar ones"])


def _by_layer(a: Side, b: Side, first: Graph, second: Graph) -> Alignment:
    nodes, parted = _alike(first, second)
    pairs = []
    hiding = set()
    for x, y in nodes:
        pair = Place(x.index), Place(y.index)
        if pair[0] in a.shapes and pair[1] in b.shapes:
            pairs.append(pair)
        elif pair[0] in a.shapes and not x.layer.passes_input():
            hiding.add(b.label)
        elif pair[1] in b.shapes and not y.layer.passes_input():
            hiding.add(a.label)
    shared = len(pairs)
    pairs += [pair for pair in _ends(a, b, first, second) if pair not in pairs]
    notes = tuple(f"{label} does not show the values of all its layers" for label in sorted(hiding))
    if parted is None:
        return Alignment(tuple(pairs), len(pairs), complete=True, notes=notes)
    left = set(a.output_places()).difference(x for x, _ in pairs)
    left |= set(b.output_places()).difference(y for _, y in pairs)
    return Alignment(tuple(pairs), shared, not left, parted, notes)


def _ends(a: Side, b: Side, first: Graph, second: Graph) -> Iterator[tuple[Place, Place]]:
    """What the networks return, and what their heads make of it, where the shapes agree."""
    ends = list(zip(a.output_places(), b.output_places(), strict=False))
    for (x, _), (y, _) in zip(first.heads, second.heads, strict=False):
        ends += [(Place(x.index, part), Place(y.index, part)) for part in HEAD_PARTS]
    for x_place, y_place in ends:
        shape = a.shapes.get(x_place)
        if shape is not None and shape == b.shapes.get(y_place):
            yield x_place, y_place


def _alike(first: Graph, second: Graph) -> tuple[list[tuple[Node, Node]], str | None]:
    """The layers that two networks share from the start; and how they go on, if they differ."""
    places = {INPUT: INPUT}  # the second's layer for each of the first's
    pairs: list[tuple[Node, Node]] = []
    ours, theirs = _computing(first), _computing(second)
    for x, y in zip(ours, theirs, strict=False):
        difference = _difference(x, y)
        reads = [places[_source(first, edge)] for edge in x.inputs]
        if difference is None and reads != [_source(second, edge) for edge in y.inputs]:
            difference = f"[{x.layer.kind}] reads other layers"
        if difference is not None:
            return pairs, f"layer {x.written} of a, layer {y.written} of b: {difference}"
        places[x.index] = y.index
        pairs.append((x, y))
    longer = max(ours, theirs, key=len)
    rest = longer[len(pairs) :]
    if not rest:
        return pairs, None
    which = "a" if longer is ours else "b"
    return pairs, f"layer {rest[0].written} of {which}: the other network ends before it"


def _computing(graph: Graph) -> list[Node]:
    """Its layers but for those that pass their input on, which the fingerprint skips as well."""
    return [node for node in graph.nodes if not node.layer.is_identity()]


def _source(graph: Graph, edge: Edge) -> int:
    """The layer that made what is read, behind those that passed it on."""
    source = edge.source
    while source != INPUT and graph.nodes[source].layer.is_identity():
        source = graph.nodes[source].inputs[0].source
    return source


def _difference(x: Node, y: Node) -> str | None:
    """Why two layers cannot be compared."""
    if x.layer.kind != y.layer.kind:
        return f"[{x.layer.kind}] against [{y.layer.kind}]"
    if x.output_shape != y.output_shape:
        return f"[{x.layer.kind}] gives {x.output_shape} against {y.output_shape}"
    return None
