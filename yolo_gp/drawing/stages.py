"""Which layers of a network stand together: cells, by map size and by leg.

A picture has a horizontal band for each map size, the largest on top. A network runs through the
bands in legs: a backbone goes down, a feature pyramid comes up again beside it, a path aggregation
goes down once more. Where a leg crosses a band there is a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from yolo_gp.drawing.scheme import Thing

_DETOUR = 4
"""A side way of at most so many layers that returns to the map it left stays in its cell: squeeze
and excitation goes over a map of one pixel, an elastic block over one of half the size. A thing
that reads nothing stands with its first reader, whatever its own size."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The layers of one leg in one band.

    Fields:
        band: numbered from 0, the largest maps first.
        leg: numbered from 0, left to right.
        upward: the leg goes from small maps to large ones.
        members: indices of things, ascending.
    """

    band: int
    leg: int
    upward: bool
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stages:
    """A network sorted into bands and legs.

    Fields:
        sizes: (height, width) of each band.
        cells: every thing is in exactly one.
    """

    sizes: tuple[tuple[int, int], ...]
    cells: tuple[Cell, ...]


@dataclass(slots=True)
class _Region:
    """A cell in the making: connected layers of one map size, and where they branched off.

    Fields:
        layers: how many it has, those of macros counted one by one.
        is_loose: nothing in it reads anything, but it is not the network's input.
    """

    number: int
    size: tuple[int, int]
    parent: _Region | None
    members: list[int] = field(default_factory=list)
    layers: int = 0
    has_head: bool = False
    is_loose: bool = False
    absorbed_by: _Region | None = None

    @property
    def alive(self) -> _Region:
        """The region that its layers belong to now."""
        return self.absorbed_by.alive if self.absorbed_by else self

    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]


def find_stages(things: Sequence[Thing]) -> Stages:
    """Sort the things of a scheme into cells."""
    regions = _Regions()
    for thing in things:
        regions.add(thing)
    left = regions.all()
    sizes = sorted({region.size for region in left}, key=lambda size: (-size[0] * size[1], size))
    legs = _Legs({size: band for band, size in enumerate(sizes)})
    return Stages(tuple(sizes), tuple(legs.cell(region) for region in left))


class _Regions:
    """Things by region. A layer stays where it reads a map of its own size, else it moves on."""

    def __init__(self) -> None:
        self._of: dict[int, _Region] = {}
        self._onward: dict[tuple[int, tuple[int, int]], _Region] = {}
        self._count = 0

    def all(self) -> list[_Region]:
        found = {region.number: region for region in self._of.values()}
        return [found[number] for number in sorted(found)]

    def add(self, thing: Thing) -> None:
        read = [self._of[source] for source in thing.sources]
        region = self._place(thing, read)
        region.is_loose = not thing.sources and thing.role != "end"
        for other in {other.number: other for other in read}.values():
            leaves = other.parent is not None and other.parent.alive is region
            if other is not region and (other.is_loose or (leaves and _is_detour(other))):
                self._absorb(other, region)
        region.members.append(thing.index)
        region.layers += thing.layers
        region.has_head |= thing.head
        self._of[thing.index] = region

    def _place(self, thing: Thing, read: list[_Region]) -> _Region:
        if not read:
            return self._open(thing.size, None)
        same = [region for region in read if region.size == thing.size]
        if same:
            return max(same, key=lambda region: (not region.is_loose, region.number))
        latest = max(read, key=lambda region: region.number)
        if latest.parent and latest.parent.alive.size == thing.size and _is_detour(latest):
            return latest.parent.alive
        key = (latest.number, thing.size)
        if key not in self._onward:
            self._onward[key] = self._open(thing.size, latest)
        return self._onward[key]

    def _open(self, size: tuple[int, int], parent: _Region | None) -> _Region:
        self._count += 1
        return _Region(self._count, size, parent)

    def _absorb(self, detour: _Region, region: _Region) -> None:
        """Let a detour's layers belong to the region; the next one like it is another."""
        detour.absorbed_by = region
        if region.parent is detour:
            region.parent = None
        region.members.extend(detour.members)
        region.layers += detour.layers
        for index in detour.members:
            self._of[index] = region
        self._onward.pop((region.number, detour.size), None)


def _is_detour(region: _Region) -> bool:
    return region.layers <= _DETOUR and not region.has_head


class _Legs:
    """Regions become cells: each goes on in its parent's leg if it can, else farther right."""

    def __init__(self, bands: dict[tuple[int, int], int]) -> None:
        self._bands = bands
        self._upward: list[bool] = []
        self._taken: set[tuple[int, int]] = set()
        self._leg_of: dict[int, int] = {}

    def cell(self, region: _Region) -> Cell:
        band = self._bands[region.size]
        leg = self._leg(region, band)
        self._taken.add((leg, band))
        self._leg_of[region.number] = leg
        return Cell(band, leg, self._upward[leg], tuple(sorted(region.members)))

    def _leg(self, region: _Region, band: int) -> int:
        parent = region.parent.alive if region.parent else None
        upward = parent is not None and region.area > parent.area
        first = self._leg_of[parent.number] if parent else 0
        for leg in range(first, len(self._upward)):
            if self._upward[leg] == upward and (leg, band) not in self._taken:
                return leg
        self._upward.append(upward)
        return len(self._upward) - 1
