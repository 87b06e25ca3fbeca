"""Rows and columns: a place on a grid for every thing, by cell."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo_gp.drawing.scheme import Thing
from yolo_gp.drawing.stages import Cell, Stages


@dataclass(frozen=True, slots=True)
class Grid:
    """A place for every thing. Rows count from the top, columns from the left.

    Fields:
        places: (row, column) by index of the thing; no two are equal.
        bands: (first row, end) of each band.
        rows, columns: how many there are.
        upward: indices of the things in upward legs.
        parts: (leg, band, part of a folded cell) by index.
    """

    places: Mapping[int, tuple[int, int]]
    bands: tuple[tuple[int, int], ...]
    rows: int
    columns: int
    upward: frozenset[int]
    parts: Mapping[int, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class _Block:
    """A cell with its things in place, counted from its own corner, downwards."""

    cell: Cell
    places: dict[int, tuple[int, int]]
    parts: dict[int, int]
    rows: int
    columns: int


def place(things: Sequence[Thing], stages: Stages, fold: int) -> Grid:
    """Put every thing on the grid.

    Within a cell a thing stands below all that it reads; a chain of layers keeps its column.
    Upward legs are mirrored.

    Args:
        fold: a cell of more rows than this is folded, as the columns of a newspaper are.
    """
    sources = {thing.index: thing.sources for thing in things}
    blocks = [_block(cell, sources, fold) for cell in stages.cells]
    heights = [0] * len(stages.sizes)
    for block in blocks:
        heights[block.cell.band] = max(heights[block.cell.band], block.rows)
    lefts = _lefts(blocks)
    tops = [sum(heights[:band]) for band in range(len(heights))]
    places: dict[int, tuple[int, int]] = {}
    parts: dict[int, tuple[int, int, int]] = {}
    for block in blocks:
        band, leg = block.cell.band, block.cell.leg
        for index, (row, column) in block.places.items():
            row = _turned(block, row, heights[band])
            places[index] = (tops[band] + row, lefts[leg] + column)
            parts[index] = (leg, band, block.parts[index])
    bands = tuple((top, top + height) for top, height in zip(tops, heights, strict=True))
    upward = frozenset(i for cell in stages.cells if cell.upward for i in cell.members)
    columns = 1 + max(column for _, column in places.values())
    return Grid(places, bands, sum(heights), columns, upward, parts)


def _lefts(blocks: Sequence[_Block]) -> list[int]:
    """The first column of each leg: as far left as the bands allow that it crosses."""
    lefts: list[int] = []
    taken: dict[int, int] = {}  # columns by band
    for leg in range(1 + max(block.cell.leg for block in blocks)):
        own = [block for block in blocks if block.cell.leg == leg]
        left = max(taken.get(block.cell.band, 0) for block in own)
        left = max(left, lefts[-1] + 1) if lefts else left
        taken |= {block.cell.band: left + block.columns for block in own}
        lefts.append(left)
    return lefts


def _turned(block: _Block, row: int, height: int) -> int:
    """The row within the band: the first leg hangs from its top, the others stand on its floor."""
    if block.cell.upward:
        return height - 1 - row
    return row if block.cell.leg == 0 else row + height - block.rows


def _block(cell: Cell, sources: Mapping[int, tuple[int, ...]], fold: int) -> _Block:
    inside = set(cell.members)
    reads = {i: [s for s in dict.fromkeys(sources[i]) if s in inside] for i in cell.members}
    rows = _rows(cell.members, reads)
    columns = _columns(_chains(cell.members, reads), rows)
    starts = _folds(rows, reads, fold)
    part_of = {index: bisect.bisect(starts, row) - 1 for index, row in rows.items()}
    parts = range(len(starts))
    widths = [1 + max(columns[i] for i in rows if part_of[i] == part) for part in parts]
    places = {
        index: (row - starts[part_of[index]], columns[index] + sum(widths[: part_of[index]]))
        for index, row in rows.items()
    }
    height = 1 + max(row for row, _ in places.values())
    return _Block(cell, places, part_of, height, sum(widths))


_SHIFT = 3  # rows that a fold may move, so that fewer maps go on from part to part


def _folds(rows: Mapping[int, int], reads: Mapping[int, Sequence[int]], fold: int) -> list[int]:
    """The first rows of the parts of a cell: about equal, and where few maps go on."""
    count = 1 + max(rows.values())
    parts = math.ceil(count / fold)
    reach = dict(rows)  # the last row that reads each thing
    for index, sources in reads.items():
        for source in sources:
            reach[source] = max(reach[source], rows[index])

    def cut(row: int) -> int:
        """How many things above that row are read in it or below."""
        return sum(rows[index] < row <= last for index, last in reach.items())

    starts = [0]
    for part in range(1, parts):
        ideal = part * count // parts
        near = range(max(starts[-1] + 1, ideal - _SHIFT), min(count - 1, ideal + _SHIFT) + 1)
        starts.append(min(near, key=lambda row: (cut(row), abs(row - ideal))))
    return starts


def _rows(members: Sequence[int], reads: Mapping[int, Sequence[int]]) -> dict[int, int]:
    rows: dict[int, int] = {}
    for index in members:
        rows[index] = 1 + max((rows[source] for source in reads[index]), default=-1)
    return rows


def _chains(members: Sequence[int], reads: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """The longest way through the things, then the longest through the rest, and so on."""
    left = list(members)
    chains = []
    while left:
        chain = _longest_way(left, reads)
        chains.append(chain)
        taken = set(chain)
        left = [index for index in left if index not in taken]
    return chains


def _longest_way(members: Sequence[int], reads: Mapping[int, Sequence[int]]) -> list[int]:
    before: dict[int, int | None] = {}
    length: dict[int, int] = {}
    for index in members:
        inside = [source for source in reads[index] if source in length]
        before[index] = max(inside, key=lambda source: length[source], default=None)
        length[index] = 1 + max((length[source] for source in inside), default=0)
    way = [max(members, key=lambda index: length[index])]
    while (source := before[way[-1]]) is not None:
        way.append(source)
    return way[::-1]


def _columns(chains: list[list[int]], rows: Mapping[int, int]) -> dict[int, int]:
    """The first chain takes the first column; every other, from the top, the first free one."""
    columns: dict[int, int] = {}
    taken: list[list[tuple[int, int]]] = []
    main, *others = chains
    for chain in [main, *sorted(others, key=lambda chain: (rows[chain[0]], chain[0]))]:
        first, last = rows[chain[0]], rows[chain[-1]]
        for column in range(len(taken) + 1):
            if column == len(taken):
                taken.append([])
            if all(last < a or first > b for a, b in taken[column]):
                break
        taken[column].append((first, last))
        columns.update(dict.fromkeys(chain, column))
    return columns
