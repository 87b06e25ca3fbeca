"""Weight surgery: what of one network's weights another can take, and why not the rest.

This only plans, on graphs, and loads no torch; `transferring.py` carries the plan out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph
from yolo_gp.weights.differences import difference
from yolo_gp.weights.layout import check_cutoff, shape_text
from yolo_gp.weights.matching import (
    SHORTEST_STRETCH,
    Match,
    Owner,
    owners,
    shared_prefix,
    similar_stretches,
)
from yolo_gp.weights.transfer_plan import Move, NotMoved, TransferPlan, Way

__all__ = ["TransferPlan", "Way", "plan_transfer"]

_DONT_LOAD = "dontload=1 here"


def plan_transfer(
    source: Graph,
    target: Graph,
    *,
    cutoff: int | None = None,
    mapping: Mapping[int, int] | None = None,
) -> TransferPlan:
    """Find what of the source's weights the target can take.

    First the layers that `mapping` names; then the part that both networks begin with, layer for
    layer (`shared_prefix`); then, behind it, stretches of layers with equal weights and equal
    connections (`similar_stretches`), so that what follows an inserted, removed or changed layer
    moves too. Batch norm moves with its convolution. Layers are numbered as written: 0 is the
    first section after [net].

    A layer with dontload=1 gets nothing, unless the mapping names it, and gives nothing.

    Args:
        cutoff: only the source's layers 0 to cutoff - 1 give their weights.
        mapping: layers of the source to layers of the target. A macro's layers go in their order.

    Raises:
        UsageError: a number names no layer with weights, two mapped layers do not fit each other,
            or the cutoff is out of range.
    """
    check_cutoff(source, cutoff)
    mapped = _Mapping(source, target, cutoff).matches(mapping or {})
    moves = {theirs.node.index: Move(ours, theirs, Way.MAP) for ours, theirs in mapped}
    given = {ours.node.index for ours, _ in mapped}
    alignment = _align(source, target)
    reasons = dict(alignment.reasons)
    for ours, theirs, way in alignment.matches:
        index = theirs.node.index
        if index in moves:
            continue
        if ours.node.index in given:
            reasons[index] = f"layer {ours.node.written} of the source goes elsewhere, as mapped"
        elif reason := _withheld(ours, theirs, cutoff):
            reasons[index] = reason
        else:
            moves[index] = Move(ours, theirs, way)
    return _plan(source, target, moves, reasons)


def _plan(
    source: Graph, target: Graph, moves: Mapping[int, Move], reasons: Mapping[int, str]
) -> TransferPlan:
    """The plan; moves and reasons stand at the index of the target's layer."""
    used = {move.source.node.index for move in moves.values()}
    return TransferPlan(
        moves=tuple(moves[index] for index in sorted(moves)),
        not_moved=tuple(
            NotMoved(owner, reasons[owner.node.index])
            for owner in owners(target)
            if owner.node.index not in moves
        ),
        unused=tuple(owner for owner in owners(source) if owner.node.index not in used),
    )


def _withheld(ours: Owner, theirs: Owner, cutoff: int | None) -> str | None:
    """Why these layers' weights stay where they are though they fit."""
    if theirs.node.layer.common.dont_load:
        return _DONT_LOAD
    if ours.node.layer.common.dont_load:
        return (
            f"layer {ours.node.written} of the source has dontload=1, so no file holds its weights"
        )
    if cutoff is not None and ours.node.written >= cutoff:
        return f"cut off with the source's layers from {cutoff} on"
    return None


# -- by position and structure ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Alignment:
    """Which layers correspond and why; for layers of the target without a counterpart, by their
    index, the reason."""

    matches: list[tuple[Owner, Owner, Way]]
    reasons: dict[int, str]


def _align(source: Graph, target: Graph) -> _Alignment:
    prefix = shared_prefix(source, target)
    found = _Alignment([(*match, Way.POSITION) for match in prefix], {})
    sources, targets = owners(source)[len(prefix) :], owners(target)[len(prefix) :]
    start = to = 0
    for stretch in similar_stretches(source, target, sources, targets, anchored=bool(prefix)):
        gap = sources[start : stretch.start], targets[to : stretch.to]
        found.reasons.update(_gap_reasons(source, target, *gap))
        start, to = stretch.start + stretch.length, stretch.to + stretch.length
        agreeing = zip(sources[stretch.start : start], targets[stretch.to : to], strict=True)
        found.matches.extend((*match, Way.STRUCTURE) for match in agreeing)
    found.reasons.update(_gap_reasons(source, target, sources[start:], targets[to:]))
    return found


def _gap_reasons(
    source: Graph, target: Graph, ours: Sequence[Owner], theirs: Sequence[Owner]
) -> Iterator[tuple[int, str]]:
    """Why layers between two stretches, or before the first, or behind the last, get nothing."""
    for number, owner in enumerate(theirs):
        if owner.node.layer.common.dont_load:
            reason = _DONT_LOAD
        elif len(ours) == len(theirs):
            reason = difference(source, target, ours[number], owner) or (
                f"layer {ours[number].node.written} of the source is like it, but fewer than "
                f"{SHORTEST_STRETCH} layers in a row agree"
            )
        elif not ours:
            reason = "the source has no layer in its place"
        else:
            reason = (
                f"{_counted(len(theirs))} here, {_counted(len(ours))} there, of which no "
                f"{SHORTEST_STRETCH} in a row agree"
            )
        yield owner.node.index, reason


def _counted(layers: int) -> str:
    return f"{layers} layer{'s' * (layers != 1)}"


# -- by an explicit map ----------------------------------------------------------------------------


class _Mapping:
    """Reads and checks an explicit map from layers of the source to layers of the target."""

    def __init__(self, source: Graph, target: Graph, cutoff: int | None) -> None:
        self._source = source
        self._target = target
        self._cutoff = cutoff

    def matches(self, mapping: Mapping[int, int]) -> list[Match]:
        seen: dict[int, int] = {}
        found: list[Match] = []
        for number, wanted in mapping.items():
            if wanted in seen:
                raise UsageError(
                    f"layers {seen[wanted]} and {number} of the source are both mapped to layer "
                    f"{wanted} of the target\nexpected: one source for each layer"
                )
            seen[wanted] = number
            ours = _section(self._source, number, "source")
            self._check_gives(number, ours)
            found += _fitting(ours, _section(self._target, wanted, "target"))
        return found

    def _check_gives(self, number: int, ours: Sequence[Owner]) -> None:
        if self._cutoff is not None and number >= self._cutoff:
            raise UsageError(
                f"layer {number} of the source is mapped, but cutoff {self._cutoff} cuts it off\n"
                f"expected: layers 0 to {self._cutoff - 1}"
            )
        if any(owner.node.layer.common.dont_load for owner in ours):
            raise UsageError(
                f"layer {number} of the source is mapped, but has dontload=1\n"
                "expected: a layer whose weights come from a file"
            )


def _section(graph: Graph, number: int, which: str) -> tuple[Owner, ...]:
    """The layers of one section that own weights."""
    sections = graph.spec.layers
    if not 0 <= number < len(sections):
        raise UsageError(
            f"there is no layer {number} in the {which}\n"
            f"expected: 0 to {len(sections) - 1}; 0 is the first section after [net]"
        )
    found = tuple(owner for owner in owners(graph) if owner.node.written == number)
    if found:
        return found
    shared = [n.weights_of for n in graph.nodes if n.written == number and n.weights_of is not None]
    raise UsageError(
        f"layer {number} [{sections[number].kind}] of the {which} has no weights of its own\n"
        f"expected: a layer with weights"
        + (f", such as layer {graph.nodes[shared[0]].written}, whose it shares" if shared else "")
    )


def _fitting(ours: Sequence[Owner], theirs: Sequence[Owner]) -> Iterator[Match]:
    what = (
        f"layer {ours[0].node.written} of the source cannot be mapped to layer "
        f"{theirs[0].node.written} of the target"
    )
    if len(ours) != len(theirs):
        raise UsageError(
            f"{what}: they expand to {len(ours)} and {len(theirs)} layers with weights\n"
            "expected: as many layers"
        )
    for source, target in zip(ours, theirs, strict=True):
        if source.shapes != target.shapes:
            raise UsageError(
                f"{what}: their weights differ\n"
                f"expected: {_shapes(target)}\nfound: {_shapes(source)}"
            )
        yield source, target


def _shapes(owner: Owner) -> str:
    return ", ".join(f"{name} {shape_text(shape)}" for name, shape in owner.shapes)
