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
from yolo_gp.drawing.stages import Stages, Vertex, find_stages, vertices
from yolo_gp.drawing.titles import channels_title, layer_tip, layer_title
from yolo_gp.graph import Graph
from yolo_gp.layers.channel_flow import Mixes
from yolo_gp.nodes import INPUT, Node

BOX_WIDTH = 160.0
_LABELS = 74.0  # room for the names of bands, left of everything
_MARGIN = 12.0
_LANE = 6.0  # between tracks
_BESIDE = 10.0  # between a box and the nearest track
_GAP = 12.0  # between rows
_FRAME = 4.0  # between a frame and the boxes inside
_FRAME_LABEL = 11.0  # room for its name above

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A layer, the input image, or the loss of a network without heads.

    Fields:
        index: of the layer; -1 for the input, the number of layers for the loss.
        number: the section's number as written; empty for input and loss.
        title: what it does.
        channels: of its map.
        tip: all of that in one line.
        learned: it is a weight layer.
        head: losses are here.
    """

    index: int
    x: float
    y: float
    width: float
    height: float
    number: str
    title: str
    channels: str
    tip: str
    learned: bool
    head: bool


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
class BoxHeights:
    """How high boxes are, in pixels.

    Fields:
        learned: of weight layers.
        other: of everything else.
    """

    learned: float = 22.0
    other: float = 18.0


FOLD = 48  # a residual stage of sixteen blocks stays in one piece


def lay_out(graph: Graph, heights: BoxHeights | None = None, fold: int = FOLD) -> Layout:
    """Lay a network out. Pure: equal graphs give equal layouts.

    Args:
        fold: a stage of more rows than this goes on at its top, in further columns.
    """
    things = vertices(graph)
    stages = find_stages(things)
    grid = place(things, stages, fold)
    edges = [(source, thing.index) for thing in things for source in thing.sources]
    routes = find_routes(grid, edges)
    return _Drafter(graph, things, stages, grid, routes, heights or BoxHeights()).draft()


class _Drafter:
    """Turns rows, columns and tracks into coordinates."""

    def __init__(
        self,
        graph: Graph,
        things: Sequence[Vertex],
        stages: Stages,
        grid: Grid,
        routes: Routes,
        heights: BoxHeights,
    ) -> None:
        self._graph = graph
        self._things = things
        self._stages = stages
        self._grid = grid
        self._routes = routes
        self._heights = heights
        self._learned = {node.index for node in graph.nodes if _is_learned(node)}
        self._groups = _groups(graph, grid)
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
                x += BOX_WIDTH
        return columns, gutters

    def _vertical(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(top, height) of the rows; (first track, bottom end) of the channels."""
        heights = [self._heights.other] * self._grid.rows
        for thing in self._things:
            row, _ = self._grid.places[thing.index]
            heights[row] = max(heights[row], self._height(thing.index))
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

    def _height(self, index: int) -> float:
        return self._heights.learned if index in self._learned else self._heights.other

    def _box(self, thing: Vertex) -> Box:
        row, column = self._grid.places[thing.index]
        top, room = self._rows[row]
        height = self._height(thing.index)
        number, title, channels, tip = self._words(thing)
        return Box(
            index=thing.index,
            x=self._columns[column],
            y=top + (room - height) / 2,
            width=BOX_WIDTH,
            height=height,
            number=number,
            title=title,
            channels=channels,
            tip=tip,
            learned=thing.index in self._learned,
            head=thing.head,
        )

    def _words(self, thing: Vertex) -> tuple[str, str, str, str]:
        """Number, title, channels and tip."""
        if thing.index == INPUT:
            shape = self._graph.input_shape
            return "", "input", str(shape.channels), f"input: {shape}"
        if thing.index == len(self._graph.nodes):
            return "", "loss", "", "loss"
        node = self._graph.nodes[thing.index]
        _, band, _ = self._grid.parts[thing.index]
        channels = channels_title(node.output_shape, self._stages.sizes[band])
        return str(node.written), layer_title(node), channels, layer_tip(node)

    def _wires(self) -> Iterator[Wire]:
        for thing in self._things:
            for number, source in enumerate(thing.sources):
                edge = (source, thing.index)
                points = self._points(*edge, self._routes.of[edge])
                yield Wire(*edge, number, self._is_detached(thing.index, number), points)

    def _is_detached(self, target: int, number: int) -> bool:
        nodes = self._graph.nodes
        return target < len(nodes) and nodes[target].inputs[number].detached

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
            yield Band(top, bottom - top, size, _stride(self._graph, size))

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


def _is_learned(node: Node) -> bool:
    flow = node.layer.channel_flow(node.input_shapes, node.output_shape)
    return any(isinstance(way, Mixes) and way.learned for way in flow)


def _stride(graph: Graph, size: tuple[int, int]) -> tuple[int, int] | None:
    (height, width), (rows, columns) = graph.input_shape.size, size
    if height % rows or width % columns:
        return None
    return height // rows, width // columns


def _groups(graph: Graph, grid: Grid) -> list[tuple[str, list[int]]]:
    """(name, indices) of the layers that a frame can hold: of one macro, with no others between."""
    by_part: dict[tuple[int, tuple[int, int, int]], list[int]] = {}
    for node in graph.nodes:
        by_part.setdefault((node.written, grid.parts[node.index]), []).append(node.index)
    found = []
    for (written, _), members in by_part.items():
        if len(members) > 1 and not _encloses_others(grid, members):
            kind = graph.nodes[members[0]].layer.span.text.strip("[]")
            found.append((f"{written} {kind}", members))
    return found


def _encloses_others(grid: Grid, members: Sequence[int]) -> bool:
    rows = [grid.places[index][0] for index in members]
    columns = [grid.places[index][1] for index in members]
    own = set(members)
    return any(
        min(rows) <= row <= max(rows) and min(columns) <= column <= max(columns)
        for index, (row, column) in grid.places.items()
        if index not in own
    )
