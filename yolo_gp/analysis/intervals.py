"""A value for every channel of a map, kept by runs of channels that share it.

A map of thousands of channels has a handful of runs, so nothing here works channel by channel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from yolo_gp.layers.channel_flow import Mixes, Passes


class Value(Protocol):
    """What a channel holds: it adds up where ways meet."""

    def __add__(self, other: Self, /) -> Self: ...

    def times(self, count: int, /) -> Self:
        """The sum of `count` of it, at least 1."""
        ...


V = TypeVar("V", bound=Value)


class Run(NamedTuple, Generic[V]):
    """The channels from `first` up to `end`, `end` excluded, and the value of each of them."""

    first: int
    end: int
    value: V

    @property
    def length(self) -> int:
        return self.end - self.first


Runs = tuple[Run[V], ...]
"""Sorted; neighbours do not overlap and differ in value. Gaps hold no value."""


def add_up(contributions: Sequence[Run[V]]) -> Runs[V]:
    """The runs of a map of which each contribution gives its value to some channels."""
    if len(contributions) == 1:
        return tuple(contributions)
    opening: dict[int, list[int]] = {}
    closing: dict[int, list[int]] = {}
    for number, run in enumerate(contributions):
        opening.setdefault(run.first, []).append(number)
        closing.setdefault(run.end, []).append(number)
    borders = sorted({*opening, *closing})
    present: dict[int, None] = {}  # a set that keeps its order
    runs: list[Run[V]] = []
    for first, end in itertools.pairwise(borders):
        for number in closing.get(first, ()):
            del present[number]
        present.update(dict.fromkeys(opening.get(first, ())))
        values = [contributions[number].value for number in present]
        if values:
            total = values[0]
            for value in values[1:]:
                total = total + value
            _append(runs, Run(first, end, total))
    return tuple(runs)


def _append(runs: list[Run[V]], run: Run[V]) -> None:
    """Add a run behind the others; it joins the last one if both hold the same."""
    if runs and runs[-1].end == run.first and runs[-1].value == run.value:
        runs[-1] = Run(runs[-1].first, run.end, run.value)
    else:
        runs.append(run)


def move(runs: Iterable[Run[V]], first: int, count: int, to: int) -> list[Run[V]]:
    """The part of `runs` on the `count` channels from `first` on, moved so that it starts at `to`.

    Other channels are left out.
    """
    end = first + count
    return [
        Run(max(run.first, first) - first + to, min(run.end, end) - first + to, run.value)
        for run in runs
        if run.first < end and run.end > first
    ]


def forward(flow: Passes | Mixes, runs: Runs[V], source: int, target: int) -> list[Run[V]]:
    """What of an input's runs arrives in the output, by one way of a layer's channel flow.

    Args:
        source: channels of the input.
        target: channels of the output.
    """
    if isinstance(flow, Passes):
        return move(runs, flow.start, flow.count, flow.target)
    outputs = target if flow.outputs is None else flow.outputs
    mixed = spread(runs, source // flow.groups, outputs // flow.groups)
    return move(mixed, 0, outputs, flow.target)


def backward(flow: Passes | Mixes, runs: Runs[V], source: int, target: int) -> list[Run[V]]:
    """What of an output's runs comes back to the input, by one way of a layer's channel flow."""
    if isinstance(flow, Passes):
        return move(runs, flow.target, flow.count, flow.start)
    outputs = target if flow.outputs is None else flow.outputs
    own = move(runs, flow.target, outputs, 0)
    return spread(own, outputs // flow.groups, source // flow.groups)


def spread(runs: Iterable[Run[V]], group: int, width: int) -> list[Run[V]]:
    """Add up the channels of each group of `group`, and give the sum to `width` channels each."""
    spread_out: list[Run[V]] = []
    for number, end, total in _group_sums(runs, group):
        _append(spread_out, Run(number * width, end * width, total))
    return spread_out


def _group_sums(runs: Iterable[Run[V]], group: int) -> list[tuple[int, int, V]]:
    """(first group, end, sum over the channels of each): groups that lie inside a run together."""
    sums: list[tuple[int, int, V]] = []
    open_group, open_sum = -1, None  # a group whose channels several runs share

    for run in runs:
        position = run.first
        while position < run.end:
            number = position // group
            whole = run.end // group - number if position % group == 0 else 0
            count = whole * group or min(run.end, (number + 1) * group) - position
            if open_sum is not None and number != open_group:
                sums.append((open_group, open_group + 1, open_sum))
                open_sum = None
            if whole:
                sums.append((number, number + whole, run.value.times(group)))
            else:
                part = run.value.times(count)
                open_sum = part if open_sum is None else open_sum + part
                open_group = number
            position += count
    if open_sum is not None:
        sums.append((open_group, open_group + 1, open_sum))
    return sums
