"""Ways for edges between boxes on a grid: straight down a column, or along tracks beside it.

Boxes stand at crossings of rows and columns. Left of every column, and right of the last, is a
*gutter*; above every row, and below the last, a *channel*. No box is in them, so an edge that keeps
to them passes none. All edges from one source share their track, like a branch in the history of a
program; two sources never share a stretch of one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from yolo_gp.drawing.placing import Grid

_PORTS = {("right", "in"): -6, ("left", "in"): -3, ("left", "out"): 3, ("right", "out"): 6}
_ROW = 100  # rows and channels as whole numbers that tell which of two heights is lower


@dataclass(frozen=True, slots=True)
class Route:
    """How an edge gets from its source to its target.

    Fields:
        leaves, enters: the sides of source and target: left, right, top or bottom.
        gutters: it runs along; none if it is straight, two if it has to pass a column.
        channel: that joins two gutters.
    """

    leaves: str
    enters: str
    gutters: tuple[int, ...] = ()
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracks of all gutters, or of all channels.

    Fields:
        of: the number of the track, from the left or the top, by (gutter or channel, source).
        counts: how many each gutter or channel has.
    """

    of: Mapping[tuple[int, int], int]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of all edges.

    Fields:
        of: the route of every edge, by (source, target).
    """

    of: Mapping[tuple[int, int], Route]
    gutters: Tracks
    channels: Tracks


def port_offset(grid: Grid, index: int, side: str, role: str) -> int:
    """How far below the middle of a box an edge meets its side; above, if negative.

    All four differ between boxes that face each other, so that their edges never touch.

    Args:
        side: left or right.
        role: in or out.
    """
    offset = _PORTS[side, role]
    return -offset if index in grid.upward else offset


def find_routes(grid: Grid, edges: Iterable[tuple[int, int]]) -> Routes:
    """A route for each edge, given as (source, target), and tracks for all of them."""
    occupied = {place: index for index, place in grid.places.items()}
    routes = {edge: _route(grid, occupied, *edge) for edge in dict.fromkeys(edges)}
    gutters: dict[tuple[int, int], _Net] = {}
    channels: dict[tuple[int, int], _Net] = {}
    for (source, target), route in routes.items():
        for gutter, height, side in _gutter_ends(grid, source, target, route):
            gutters.setdefault((gutter, source), _Net(gutter, source)).cover(height, side)
        if route.channel is not None:
            net = channels.setdefault((route.channel, source), _Net(route.channel, source))
            for gutter in route.gutters:
                net.cover(gutter)
    return Routes(
        routes,
        _assign(gutters.values(), grid.columns + 1),
        _assign(channels.values(), grid.rows + 1),
    )


def _route(grid: Grid, occupied: Mapping[tuple[int, int], int], source: int, target: int) -> Route:
    (row, column), (to_row, to_column) = grid.places[source], grid.places[target]
    if column == to_column:
        between = range(min(row, to_row) + 1, max(row, to_row))
        if not any((r, column) in occupied for r in between):
            return Route("bottom", "top") if to_row > row else Route("top", "bottom")
        return Route("right", "right", (column + 1,))
    rightward = to_column > column
    leaves, enters = ("right", "left") if rightward else ("left", "right")
    first, last = (column + 1, to_column) if rightward else (column, to_column + 1)
    if first == last:
        return Route(leaves, enters, (first,))
    return Route(leaves, enters, (first, last), row + 1 if to_row > row else row)


def _gutter_ends(
    grid: Grid, source: int, target: int, route: Route
) -> Iterator[tuple[int, int, str]]:
    """(gutter, height, side) of the ends of its vertical stretches; "" is no box's side."""
    if not route.gutters:
        return
    yield route.gutters[0], _height(grid, source, route.leaves, "out"), route.leaves
    yield route.gutters[-1], _height(grid, target, route.enters, "in"), route.enters
    if route.channel is not None:
        for gutter in route.gutters:
            yield gutter, route.channel * _ROW, ""


def _height(grid: Grid, index: int, side: str, role: str) -> int:
    row, _ = grid.places[index]
    return row * _ROW + _ROW // 2 + port_offset(grid, index, side, role)


@dataclass(slots=True)
class _Net:
    """What one source needs of a gutter or channel.

    Fields:
        place: the number of the gutter or channel.
        first, last: the stretch that its edges cover.
        sides: of boxes that it meets.
    """

    place: int
    source: int
    first: int = 1 << 30
    last: int = -1
    sides: set[str] = field(default_factory=set)

    def cover(self, position: int, side: str = "") -> None:
        self.first = min(self.first, position)
        self.last = max(self.last, position)
        self.sides.add(side)

    @property
    def from_the_right(self) -> bool:
        """It meets only boxes to the right of the gutter, so it should be near them."""
        return "left" in self.sides and "right" not in self.sides


def _assign(nets: Iterable[_Net], places: int) -> Tracks:
    """Give every net a track on which no other net touches its stretch; short nets first."""
    numbers: dict[tuple[int, int], int] = {}
    counts = [0] * places
    by_place = sorted(nets, key=lambda net: (net.place, net.last - net.first, net.first))
    for place, group in itertools.groupby(by_place, key=lambda net: net.place):
        members = list(group)
        left = _fill([net for net in members if not net.from_the_right])
        right = _fill([net for net in members if net.from_the_right])
        width = 1 + max(left.values(), default=-1)
        counts[place] = width + 1 + max(right.values(), default=-1)
        numbers |= {(place, source): track for source, track in left.items()}
        numbers |= {(place, source): counts[place] - 1 - t for source, t in right.items()}
    return Tracks(numbers, tuple(counts))


def _fill(nets: Iterable[_Net]) -> dict[int, int]:
    """The lowest track that is free, for each net by its source."""
    tracks: list[list[_Net]] = []
    found: dict[int, int] = {}
    for net in nets:
        free = (place for place, track in enumerate(tracks) if _is_free(track, net))
        number = next(free, len(tracks))
        if number == len(tracks):
            tracks.append([])
        tracks[number].append(net)
        found[net.source] = number
    return found


def _is_free(track: Iterable[_Net], net: _Net) -> bool:
    return all(net.last < other.first or other.last < net.first for other in track)
