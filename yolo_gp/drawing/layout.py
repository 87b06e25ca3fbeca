"""A network laid out: boxes, edges, bands and frames with coordinates, ready to draw.

Bands from top to bottom are maps of one size, the largest first; columns hold the main path and its
branches; skip connections run along lanes beside the boxes. Units are pixels at full size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yolo_gp.drawing.placing import Grid, place
from yolo_gp.drawing.routing import Route, Routes, find_routes, port_offset
from yolo_gp.drawing.scheme import Role, Scheme, Thing, scheme
from yolo_gp.drawing.stages import Stages, find_stages
from yolo_gp.drawing.titles import channels_title
from yolo_gp.graph import Graph
from yolo_gp.shapes import FeatureShape

BOX_WIDTH = 160.0
_LABELS = 88.0  # room for the names of bands, left of everything
_MARGIN = 12.0
_LANE = 6.0  # between tracks
_BESIDE = 10.0  # between a box and the nearest track
_GAP = 12.0  # between rows
_FRAME = 4.0  # between a frame and the boxes inside
_FRAME_LABEL = 11.0  # room for its name above

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A thing of a scheme in its place.

    Fields:
        index, number, title: as of the thing.
        channels: of its map.
        tip: all of that in one line.
        role: what it does, as colours show it.
        learned: it is a weight layer.
    """

    index: int
    x: float
    y: float
    width: float
    height: float
    number: str
    title: str
    channels: str
    shape: FeatureShape | None
    tip: str
    role: Role
    learned: bool

    @property
    def head(self) -> bool:
        """Losses are here."""
        return self.role == "head"


@dataclass(frozen=True, slots=True)
class Wire:
    """An edge: the line from the layer that is read to the one that reads it.

    Fields:
        source, target: indices of boxes.
        input: the number of the edge among the target's inputs.
        detached: it carries no gradient.
        points: corners, from the source's side to the target's; x or y changes, never both.
    """

    source: int
    target: int
    input: int
    detached: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A stage: all maps of one size.

    Fields:
        size: (height, width).
        stride: (y, x), input pixels per cell; None where that is no whole number.
    """

    y: float
    height: float
    size: tuple[int, int]
    stride: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Frame:
    """Around the layers that one macro stands for.

    Fields:
        name: the section's number as written, and its kind.
    """

    x: float
    y: float
    width: float
    height: float
    name: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A network ready to draw.

    Fields:
        boxes: input, layers in file order, loss.
        wires: every edge of the graph, in the order of targets and their inputs.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    bands: tuple[Band, ...]
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class BoxSizes:
    """How large boxes are, in pixels.

    Fields:
        learned, other: heights of weight layers, of everything else.
        width: of all.
    """

    learned: float = 22.0
    other: float = 18.0
    width: float = BOX_WIDTH


FOLD = 48  # a residual stage of sixteen blocks stays in one piece


def lay_out(network: Graph | Scheme, sizes: BoxSizes | None = None, fold: int = FOLD) -> Layout:
    """Lay a network out. Pure: equal networks give equal layouts.

    Args:
        fold: a stage of more rows than this goes on at its top, in further columns.
    """
    shown = network if isinstance(network, Scheme) else scheme(network)
    stages = find_stages(shown.things)
    grid = place(shown.things, stages, fold)
    edges = [(source, thing.index) for thing in shown.things for source in thing.sources]
    routes = find_routes(grid, edges)
    return _Drafter(shown, stages, grid, routes, sizes or BoxSizes()).draft()


class _Drafter:
    """Turns rows, columns and tracks into coordinates."""

    def __init__(
        self,
        shown: Scheme,
        stages: Stages,
        grid: Grid,
        routes: Routes,
        sizes: BoxSizes,
    ) -> None:
        self._things = shown.things
        self._input_size = shown.input_size
        self._stages = stages
        self._grid = grid
        self._routes = routes
        self._sizes = sizes
        self._groups = _groups(shown.things, grid)
        self._columns, self._gutters = self._horizontal()
        self._rows, self._channels = self._vertical()

    def draft(self) -> Layout:
        boxes = tuple(self._box(thing) for thing in self._things)
        self._boxes = {box.index: box for box in boxes}
        top, bottom = self._channels[0], self._channels[-1]
        return Layout(
            width=self._gutters[-1][1] + _MARGIN,
            height=bottom[1] + top[0],
            boxes=boxes,
            wires=tuple(self._wires()),
            bands=tuple(self._bands()),
            frames=tuple(self._frames()),
        )

    def _horizontal(self) -> tuple[list[float], list[tuple[float, float]]]:
        """The left sides of the columns; (first track, right end) of the gutters."""
        x = _LABELS
        columns, gutters = [], []
        for column, count in enumerate(self._routes.gutters.counts):
            beside = 2 * _BESIDE + _LANE * (count - 1) if count else _BESIDE + _FRAME
            gutters.append((x + _BESIDE, x + beside))
            x += beside
            if column < self._grid.columns:
                columns.append(x)
                x += self._sizes.width
        return columns, gutters

    def _vertical(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(top, height) of the rows; (first track, bottom end) of the channels."""
        heights = [self._sizes.other] * self._grid.rows
        for thing in self._things:
            row, _ = self._grid.places[thing.index]
            heights[row] = max(heights[row], self._height(thing))
        labelled = {min(self._grid.places[i][0] for i in members) for _, members in self._groups}
        y = 0.0
        rows, channels = [], []
        for row, count in enumerate(self._routes.channels.counts):
            label = _FRAME_LABEL if row in labelled else 0.0
            gap = _GAP + _LANE * count
            channels.append((y + _GAP / 2 + _LANE / 2, y + gap + label))
            y += gap + label
            if row < self._grid.rows:
                rows.append((y, heights[row]))
                y += heights[row]
        return rows, channels

    def _height(self, thing: Thing) -> float:
        return self._sizes.learned if thing.learned else self._sizes.other

    def _box(self, thing: Thing) -> Box:
        row, column = self._grid.places[thing.index]
        top, room = self._rows[row]
        height = self._height(thing)
        _, band, _ = self._grid.parts[thing.index]
        is_loss = thing.role == "end" and bool(thing.edges)
        return Box(
            index=thing.index,
            x=self._columns[column],
            y=top + (room - height) / 2,
            width=self._sizes.width,
            height=height,
            number=thing.number,
            title=thing.title,
            channels="" if is_loss else channels_title(thing.shape, self._stages.sizes[band]),
            shape=None if is_loss else thing.shape,
            tip=thing.tip,
            role=thing.role,
            learned=thing.learned,
        )

    def _wires(self) -> Iterator[Wire]:
        for thing in self._things:
            for number, edge in enumerate(thing.edges):
                ends = (edge.source, thing.index)
                points = self._points(*ends, self._routes.of[ends])
                yield Wire(*ends, number, edge.detached, points)

    def _points(self, source: int, target: int, route: Route) -> tuple[Point, ...]:
        start, end = self._port(source, route.leaves, "out"), self._port(target, route.enters, "in")
        tracks = self._routes.gutters.of
        xs = [self._gutters[g][0] + _LANE * tracks[g, source] for g in route.gutters]
        if not xs:
            return (start, end)
        if route.channel is None:
            return (start, (xs[0], start[1]), (xs[0], end[1]), end)
        track = self._routes.channels.of[route.channel, source]
        y = self._channels[route.channel][0] + _LANE * track
        return (start, (xs[0], start[1]), (xs[0], y), (xs[1], y), (xs[1], end[1]), end)

    def _port(self, index: int, side: str, role: str) -> Point:
        box = self._boxes[index]
        if side == "top" or side == "bottom":
            return (box.x + box.width / 2, box.y + (box.height if side == "bottom" else 0))
        y = box.y + box.height / 2 + port_offset(self._grid, index, side, role)
        return (box.x + (box.width if side == "right" else 0), y)

    def _bands(self) -> Iterator[Band]:
        borders = [self._channels[first][0] - _LANE / 2 for first, _ in self._grid.bands]
        borders.append(self._channels[-1][1])
        for size, (top, bottom) in zip(
            self._stages.sizes, itertools.pairwise(borders), strict=True
        ):
            yield Band(top, bottom - top, size, _stride(self._input_size, size))

    def _frames(self) -> Iterator[Frame]:
        for name, members in self._groups:
            boxes = [self._boxes[index] for index in members]
            left, top = min(box.x for box in boxes), min(box.y for box in boxes)
            right = max(box.x + box.width for box in boxes)
            bottom = max(box.y + box.height for box in boxes)
            yield Frame(
                left - _FRAME,
                top - _FRAME - _FRAME_LABEL,
                right - left + 2 * _FRAME,
                bottom - top + 2 * _FRAME + _FRAME_LABEL,
                name,
            )


def _stride(input_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int] | None:
    (height, width), (rows, columns) = input_size, size
    if height % rows or width % columns:
        return None
    return height // rows, width // columns


def _groups(things: Sequence[Thing], grid: Grid) -> list[tuple[str, list[int]]]:
    """(name, indices) of the layers that a frame can hold: of one macro, with no others between."""
    by_part: dict[tuple[str, tuple[int, int, int]], list[int]] = {}
    for thing in things:
        if thing.group is not None:
            by_part.setdefault((thing.group, grid.parts[thing.index]), []).append(thing.index)
    return [
        (name, members)
        for (name, _), members in by_part.items()
        if len(members) > 1 and not _encloses_others(grid, members)
    ]


def _encloses_others(grid: Grid, members: Sequence[int]) -> bool:
    rows = [grid.places[index][0] for index in members]
    columns = [grid.places[index][1] for index in members]
    own = set(members)
    return any(
        min(rows) <= row <= max(rows) and min(columns) <= column <= max(columns)
        for index, (row, column) in grid.places.items()
        if index not in own
    )
