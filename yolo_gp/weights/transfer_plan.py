"""What moves from one network's weights to another's, and how that reads. Loads no torch."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from yolo_gp.weights.matching import Owner

SCHEMA_VERSION = 1


class Way(enum.StrEnum):
    """Why two layers correspond."""

    MAP = "map"
    POSITION = "position"
    STRUCTURE = "structure"


@dataclass(frozen=True, slots=True)
class Move:
    """One layer's weights go to another.

    Fields:
        source, target: layers of the two graphs, whose tensors agree in names and shapes.
        way: why these two.
    """

    source: Owner
    target: Owner
    way: Way


@dataclass(frozen=True, slots=True)
class NotMoved:
    """A layer of the target that keeps the weights it has, and why."""

    target: Owner
    reason: str


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """What moves from one network's weights to another's.

    Fields:
        moves: in the target's order; a tensor that several layers share stands here once, at the
            layer that owns it.
        not_moved: every other layer of the target that owns weights, in its order.
        unused: the layers of the source that own weights which go nowhere, in its order.
    """

    moves: tuple[Move, ...]
    not_moved: tuple[NotMoved, ...]
    unused: tuple[Owner, ...]

    @property
    def floats(self) -> int:
        """Floats that move."""
        return sum(move.target.floats for move in self.moves)

    @property
    def total_floats(self) -> int:
        """Floats that the target owns."""
        return self.floats + sum(left.target.floats for left in self.not_moved)

    @property
    def total_layers(self) -> int:
        """Layers of the target that own weights."""
        return len(self.moves) + len(self.not_moved)

    def to_text(self) -> str:
        """Counts, what moved by ranges of layers, what did not and why, what went unused."""
        parts = [self._counts(), *map(_moved_line, self._moved_runs())]
        if self.not_moved:
            parts.append("not moved (here is the target, there the source):")
            parts += [f"  {_kept_line(run)}" for run in self._kept_runs()]
        if self.unused:
            parts.append(f"not used of the source: {', '.join(self._unused_ranges())}")
        return "\n".join(parts)

    def _moved_runs(self) -> list[list[Move]]:
        """Moves whose layers with weights follow on each other in both networks, by one way."""
        sources, targets = self._source_ranks(), self._target_ranks()

        def follows(last: Move, move: Move) -> bool:
            return (
                last.way is move.way
                and targets[move.target.node.index] == targets[last.target.node.index] + 1
                and sources[move.source.node.index] == sources[last.source.node.index] + 1
            )

        return _runs(self.moves, follows)

    def _kept_runs(self) -> list[list[NotMoved]]:
        ranks = self._target_ranks()
        return _runs(
            self.not_moved,
            lambda last, kept: (
                last.reason == kept.reason
                and ranks[kept.target.node.index] == ranks[last.target.node.index] + 1
            ),
        )

    def _unused_ranges(self) -> list[str]:
        ranks = self._source_ranks()
        runs = _runs(
            self.unused, lambda last, owner: ranks[owner.node.index] == ranks[last.node.index] + 1
        )
        return [_range(run) for run in runs]

    def _source_ranks(self) -> dict[int, int]:
        return _ranks([*(move.source for move in self.moves), *self.unused])

    def _target_ranks(self) -> dict[int, int]:
        return _ranks([*(move.target for move in self.moves), *(n.target for n in self.not_moved)])

    def _counts(self) -> str:
        share = 100 * self.floats / self.total_floats if self.total_floats else 0
        return (
            f"moved {len(self.moves)} of {self.total_layers} layers with weights, "
            f"{self.floats:,} of {self.total_floats:,} floats ({share:.1f} %)"
        )

    def to_data(self) -> dict[str, object]:
        """The same as plain data for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "layers": {"moved": len(self.moves), "total": self.total_layers},
            "floats": {"moved": self.floats, "total": self.total_floats},
            "moved": [_move_data(move) for move in self.moves],
            "not_moved": [
                {**_layer_data(left.target), "reason": left.reason} for left in self.not_moved
            ],
            "unused": [_layer_data(owner) for owner in self.unused],
        }


_WORDS = {
    Way.MAP: "as mapped",
    Way.POSITION: "same position",
    Way.STRUCTURE: "same structure",
}


_Item = TypeVar("_Item")


def _runs(items: Iterable[_Item], follows: Callable[[_Item, _Item], bool]) -> list[list[_Item]]:
    """The items in groups of those that follow on each other."""
    runs: list[list[_Item]] = []
    for item in items:
        if runs and follows(runs[-1][-1], item):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _ranks(layers: Iterable[Owner]) -> dict[int, int]:
    """The position of each layer among these, by its index."""
    in_order = sorted(layers, key=lambda owner: owner.node.index)
    return {owner.node.index: rank for rank, owner in enumerate(in_order)}


def _moved_line(run: Sequence[Move]) -> str:
    sources = _range([move.source for move in run])
    targets = _range([move.target for move in run]).rpartition(" ")[2]
    return f"{sources} -> {targets} ({_WORDS[run[0].way]}, {len(run)} with weights)"


def _kept_line(run: Sequence[NotMoved]) -> str:
    layers = [kept.target for kept in run]
    what = str(layers[0]) if len(run) == 1 else f"{_range(layers)} ({len(run)} with weights)"
    return f"{what}: {run[0].reason}"


def _range(layers: Sequence[Owner]) -> str:
    first, last = layers[0].node.written, layers[-1].node.written
    return f"layer {first}" if first == last else f"layers {first}-{last}"


def _layer_data(owner: Owner) -> dict[str, object]:
    node = owner.node
    return {"index": node.index, "written": node.written, "kind": node.layer.kind}


def _move_data(move: Move) -> dict[str, object]:
    return {
        "source": _layer_data(move.source),
        "target": _layer_data(move.target),
        "way": str(move.way),
        "tensors": [name for name, _ in move.target.shapes],
        "floats": move.target.floats,
    }
