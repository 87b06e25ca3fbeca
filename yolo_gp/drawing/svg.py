"""A layout as SVG: plain elements with their looks written out, so that any program shows them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from yolo_gp.drawing.layout import Band, Box, Frame, Layout, Point, Wire
from yolo_gp.drawing.titles import fit_words, text_width

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
PAPER, INK, GREY, LINE = "#ffffff", "#1c1c1c", "#6b6b6b", "#8a8f98"
_BAND, _BAND_ALTERNATE = "#f4f2ec", "#faf9f5"
_LEARNED, _OTHER, _HEAD = "#dfe7f1", "#ffffff", "#33383f"
_OUTLINE = "#7d8794"
_TITLE_SIZE, NOTE_SIZE, _BAND_SIZE = 10.5, 9.0, 11.0
_BAND_REPEAT = 600  # a high band says its size again after so many pixels
_CORNER = 4.0
_BAR = 4.0
_ARROW = 3.0


@dataclass(frozen=True, slots=True)
class BoxMark:
    """How a box differs from others.

    Fields:
        fill: colour of the box.
        outline: colour; drawn thick.
        dashed: the outline is.
        note, aside: a second line of words, from the left and from the right.
        bar: colour of a bar at its left end.
    """

    fill: str | None = None
    outline: str | None = None
    dashed: bool = False
    note: str = ""
    aside: str = ""
    bar: str | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """What a picture points out.

    Fields:
        boxes: by index.
        wires: colours, by (target, input).
        faded: everything else is pale.
        wire_width: of coloured wires.
        detailed: boxes say whole shapes; wires say what they join, and one that crosses another
            has a pale edge, so that it looks as if it went over it.
    """

    boxes: Mapping[int, BoxMark] = field(default_factory=dict)
    wires: Mapping[tuple[int, int], str] = field(default_factory=dict)
    faded: bool = False
    wire_width: float = 2.2
    detailed: bool = False


def network_group(layout: Layout, marks: Marks | None = None, prefix: str = "") -> ET.Element:
    """The network as a <g>, from (0, 0) to the layout's width and height.

    Layers have the id `layer-N` and edges `edge-N`, N being the place among `layout.wires`.

    Args:
        prefix: of every id, where several networks share a page.
    """
    marks = marks or Marks()
    group = ET.Element("g", {"font-family": FONT})
    for place, band in enumerate(layout.bands):
        _draw_band(group, band, _BAND_ALTERNATE if place % 2 else _BAND)
    for frame in layout.frames:
        _draw_frame(group, frame)
    lines = ET.SubElement(group, "g", {"fill": "none", "stroke-linejoin": "round"})
    names = {wire: f"{prefix}edge-{place}" for place, wire in enumerate(layout.wires)}
    # lit ones last, so that they lie on top
    ordered = sorted(names, key=lambda wire: (wire.target, wire.input) in marks.wires)
    if marks.detailed:
        ordered.sort(key=lambda wire: (is_bent(wire), wire.source))
    ends = {box.index: f"{box.number} {box.title}".strip() for box in layout.boxes}
    for bent, wires in itertools.groupby(ordered, key=lambda wire: (is_bent(wire), wire.source)):
        members = list(wires)
        if marks.detailed and bent[0]:
            _draw_bridge(lines, members)
        for wire in members:
            path = _draw_wire(lines, wire, marks, names[wire])
            if marks.detailed:
                tip = f"{ends[wire.source]} to {ends[wire.target]}"
                ET.SubElement(path, "title").text = printable(tip)
    for box in layout.boxes:
        _draw_box(group, box, marks, f"{prefix}layer-{box.index}")
    return group


def text(
    parent: ET.Element, words: str, x: float, y: float, size: float, **looks: str
) -> ET.Element:
    """Add words; `y` is the base line. In names of attributes "_" stands for "-"."""
    attributes = {name.replace("_", "-"): value for name, value in looks.items()}
    place = {"x": number(x), "y": number(y), "font-size": number(size)}
    element = ET.SubElement(parent, "text", {**place, "fill": INK, **attributes})
    element.text = printable(words)
    return element


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def printable(words: str) -> str:
    """The words without characters that XML cannot hold."""
    return "".join(c if c.isprintable() else "?" for c in words)


def _draw_band(group: ET.Element, band: Band, fill: str) -> None:
    height, width = band.size
    place = {"x": "0", "y": number(band.y), "width": "100%", "height": number(band.height)}
    ET.SubElement(group, "rect", {**place, "fill": fill})
    for step in range(1 + int(max(0.0, band.height - 160) / _BAND_REPEAT)):
        y = band.y + 17 + step * _BAND_REPEAT
        text(group, f"{height} x {width}", 10, y, _BAND_SIZE, font_weight="bold")
        text(group, _stride_text(band), 10, y + 12, NOTE_SIZE, fill=GREY)


def _stride_text(band: Band) -> str:
    if band.stride is None:
        return ""
    y, x = band.stride
    return f"stride {y}" if y == x else f"stride {y} x {x}"


def _draw_frame(group: ET.Element, frame: Frame) -> None:
    looks = {"fill": PAPER, "fill-opacity": "0.6", "stroke": "#c5c1b5", "rx": "5"}
    _rectangle(group, (frame.x, frame.y, frame.width, frame.height), looks)
    text(group, frame.name, frame.x + 5, frame.y + 10, NOTE_SIZE, fill=GREY)


def _draw_bridge(lines: ET.Element, wires: Sequence[Wire]) -> None:
    """The pale edges of wires from one source, below all of them."""
    line = "".join(_line(_without_repeats(wire.points)) for wire in wires)
    looks = {"stroke": PAPER, "stroke-width": "4.5", "stroke-opacity": "0.9"}
    ET.SubElement(lines, "path", {"class": "bridge", "d": line, **looks})


def is_bent(wire: Wire) -> bool:
    """Whether it goes round other things, rather than straight to the next."""
    return len(_without_repeats(wire.points)) > 2


def _draw_wire(lines: ET.Element, wire: Wire, marks: Marks, name: str) -> ET.Element:
    lit = marks.wires.get((wire.target, wire.input))
    looks = {"stroke": lit or LINE, "stroke-width": number(marks.wire_width) if lit else "1.1"}
    if marks.faded and not lit:
        looks["stroke"] = "#d3d3d0"
    if wire.detached:
        looks["stroke-dasharray"] = "2 3"
    edge = {"id": name, "class": "edge", "d": wire_path(wire)}
    return ET.SubElement(lines, "path", {**edge, **looks})


def wire_path(wire: Wire) -> str:
    """Path data: the line with round corners, and an arrow head at its end."""
    points = _without_repeats(wire.points)
    return _line(points) + _arrow(points[-2], points[-1])


def _line(points: Sequence[Point]) -> str:
    parts = [f"M{_pair(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_CORNER, _distance(before, corner) / 2, _distance(corner, after) / 2)
        parts.append(f"L{_pair(_toward(corner, before, radius))}")
        parts.append(f"Q{_pair(corner)} {_pair(_toward(corner, after, radius))}")
    return "".join([*parts, f"L{_pair(points[-1])}"])


def _arrow(before: Point, tip: Point) -> str:
    x, y = _toward(tip, before, _ARROW)
    aside = (0, _ARROW) if before[1] == tip[1] else (_ARROW, 0)
    ends = ((x - aside[0], y - aside[1]), (x + aside[0], y + aside[1]))
    return f"M{_pair(ends[0])}L{_pair(tip)}L{_pair(ends[1])}"


def _without_repeats(points: Sequence[Point]) -> list[Point]:
    """The points without those that change neither place nor direction."""
    distinct = [point for point, _ in itertools.groupby(points)]
    kept = distinct[:1]
    for before, point, after in zip(distinct, distinct[1:], distinct[2:], strict=False):
        if not (before[0] == point[0] == after[0] or before[1] == point[1] == after[1]):
            kept.append(point)
    return [*kept, distinct[-1]]


def _toward(start: Point, goal: Point, length: float) -> Point:
    (x, y), (to_x, to_y) = start, goal
    step = length / max(_distance(start, goal), length)
    return (x + (to_x - x) * step, y + (to_y - y) * step)


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _draw_box(group: ET.Element, box: Box, marks: Marks, name: str) -> None:
    mark = marks.boxes.get(box.index, BoxMark())
    faded = marks.faded and box.index not in marks.boxes
    fill = mark.fill or (_HEAD if box.head else _LEARNED if box.learned else _OTHER)
    ink = PAPER if box.head else INK
    kind = "layer head" if box.head else "layer"
    holder = ET.SubElement(group, "g", {"id": name, "class": kind})
    ET.SubElement(holder, "title").text = printable(box.tip)
    if faded:
        holder.set("opacity", "0.4")
    looks = {
        "fill": fill,
        "stroke": mark.outline or _OUTLINE,
        "stroke-width": "2.5" if mark.outline else "0.8",
        "rx": "3",
    }
    if mark.dashed:
        looks["stroke-dasharray"] = "5 3"
    _rectangle(holder, (box.x, box.y, box.width, box.height), looks)
    if mark.bar:
        _rectangle(holder, (box.x, box.y, _BAR, box.height), {"fill": mark.bar, "rx": "2"})
    _write_words(holder, box, ink, mark, detailed=marks.detailed)


def _write_words(holder: ET.Element, box: Box, ink: str, mark: BoxMark, *, detailed: bool) -> None:
    second = box.learned and (mark.note or mark.aside)
    base = box.y + box.height / 2 + 3.6 - (6.5 if second else 0)
    left, right = box.x + (_BAR + 3 if mark.bar else 6), box.x + box.width - 6
    if box.number:
        text(holder, box.number, left, base, NOTE_SIZE, fill=ink, fill_opacity="0.62")
        left += 22
    channels, size = _shape_words(box, detailed=detailed)
    room = right - left - text_width(channels, _TITLE_SIZE) - text_width(size, NOTE_SIZE) - 4
    text(holder, fit_words(box.title, _TITLE_SIZE, room), left, base, _TITLE_SIZE, fill=ink)
    end = {"text_anchor": "end", "fill": ink}
    if size:
        shape = text(holder, "", right, base, _TITLE_SIZE, **end)
        ET.SubElement(shape, "tspan", {"font-weight": "bold"}).text = channels
        ET.SubElement(shape, "tspan", {"font-size": number(NOTE_SIZE)}).text = size
    else:
        text(holder, channels, right, base, _TITLE_SIZE, font_weight="bold", **end)
    if second:
        small = {"class": "note", "fill": ink, "fill_opacity": "0.8"}
        text(holder, mark.note, box.x + 6, base + 13, NOTE_SIZE, **small)
        text(holder, mark.aside, right, base + 13, NOTE_SIZE, text_anchor="end", **small)


def _shape_words(box: Box, *, detailed: bool) -> tuple[str, str]:
    """The channels of a box, and the size to be written behind them."""
    if not detailed or box.shape is None:
        return box.channels, ""
    return str(box.shape.channels), f" x {box.shape.height} x {box.shape.width}"


def _rectangle(
    parent: ET.Element, place: tuple[float, float, float, float], looks: Mapping[str, str]
) -> None:
    """Add a rectangle; `place` is (x, y, width, height)."""
    names = ("x", "y", "width", "height")
    ET.SubElement(parent, "rect", {**dict(zip(names, map(number, place), strict=True)), **looks})
