"""A network as a picture: an SVG file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

from yolo_gp.drawing.layout import BoxSizes, Layout, lay_out
from yolo_gp.drawing.palette import ROLES, SKIPS
from yolo_gp.drawing.scheme import Scheme
from yolo_gp.drawing.svg import (
    FONT,
    GREY,
    INK,
    NOTE_SIZE,
    PAPER,
    BoxMark,
    Marks,
    is_bent,
    network_group,
    number,
    printable,
    text,
)
from yolo_gp.drawing.titles import text_width
from yolo_gp.graph import Graph

_SIZES = BoxSizes(learned=22.0, other=18.0, width=236.0)
_FOLDS = (48, 40, 32, 26, 22, 18, 14)
_TALLEST = 1.5  # height to width
_HARDLY = 1.15
_HEAD = 76.0  # title and legend
_LEAST_WIDTH = 760.0
_WORDS_SIZE = 11.0
_WIDE_FONT = 1.12  # where the fonts asked for are not there, others are wider
_MEANINGS: Mapping[str, str] = {
    "end": "input, loss",
    "learned": "weights",
    "sum": "sum of maps",
    "join": "joins or combines maps",
    "resize": "changes the size",
    "plain": "other",
    "macro": "several layers",
    "head": "head",
    "outside": "outside this part",
}
_HOVER = ".edge:hover{stroke:#000000;stroke-width:3.5}.layer:hover>rect{stroke:#000000}"


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands above a picture.

    Fields:
        title: the network's name.
        words: one line about it.
    """

    title: str
    words: str


def network_caption(graph: Graph, title: str, note: str = "") -> Caption:
    """The title, and what a network takes and costs.

    Args:
        note: which part of it is shown, if not all.
    """
    total, heads = graph.total, len(graph.heads)
    counts = [f"input {graph.input_shape}", f"{len(graph.nodes)} layers"]
    if heads:
        counts.append(f"{heads} head{'s' * (heads > 1)}")
    counts += [f"{total.params:,} parameters", f"{total.macs:,} MACs"]
    counts += [f"{total.bflops:.3f} BFLOPs as Darknet counts them", *([note] if note else [])]
    return Caption(title, "; ".join(counts))


def network_svg(shown: Scheme, caption: Caption) -> str:
    """The picture: bands by map size, boxes by section, edges that can be followed."""
    layout = picture_layout(shown)
    words_width = 20 + _WIDE_FONT * text_width(caption.words, _WORDS_SIZE)
    layout = replace(layout, width=max(layout.width, _LEAST_WIDTH, words_width))
    width, height = number(layout.width), number(layout.height + _HEAD)
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-labelledby": "title description",
        },
    )
    ET.SubElement(root, "title", {"id": "title"}).text = printable(caption.title)
    ET.SubElement(root, "desc", {"id": "description"}).text = printable(caption.words)
    ET.SubElement(root, "style").text = _HOVER
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": PAPER})
    group = network_group(layout, _marks(layout))
    group.set("transform", f"translate(0 {number(_HEAD)})")
    root.append(group)
    root.append(_heading(layout, caption))
    ET.indent(root)
    for words in root.iter("text"):  # where blanks would be seen
        for part in words:
            words.text = part.tail = None
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, "unicode")}\n'


def picture_layout(shown: Scheme) -> Layout:
    """The layout that folds its stages least, of those that are not too tall to look at.

    If all are, of those that are hardly taller than the least tall one.
    """
    layouts: list[Layout] = []
    for fold in _FOLDS:
        layouts.append(lay_out(shown, _SIZES, fold))
        if _tallness(layouts[-1]) <= _TALLEST:
            return layouts[-1]
    least = min(map(_tallness, layouts))
    return next(layout for layout in layouts if _tallness(layout) <= _HARDLY * least)


def _tallness(layout: Layout) -> float:
    return layout.height / max(layout.width, _LEAST_WIDTH)


def _marks(layout: Layout) -> Marks:
    """Boxes coloured by role, and edges that go round others by their source."""
    boxes = {}
    for box in layout.boxes:
        fill, bar = ROLES[box.role]
        boxes[box.index] = BoxMark(fill=fill, bar=bar)
    sources = dict.fromkeys(wire.source for wire in layout.wires if is_bent(wire))
    colours = {source: SKIPS[place % len(SKIPS)] for place, source in enumerate(sources)}
    wires = {
        (wire.target, wire.input): colours[wire.source] for wire in layout.wires if is_bent(wire)
    }
    return Marks(boxes, wires, wire_width=1.5, detailed=True)


def _heading(layout: Layout, caption: Caption) -> ET.Element:
    group = ET.Element("g", {"font-family": FONT})
    text(group, caption.title, 10, 22, 15, font_weight="bold")
    text(group, caption.words, 10, 40, _WORDS_SIZE, fill=GREY)
    x = 10.0
    roles = dict.fromkeys(box.role for box in layout.boxes)
    for role in (role for role in ROLES if role in roles):
        x = _sample(group, x, role)
    return group


def _sample(group: ET.Element, x: float, role: str) -> float:
    """One entry of the legend; where the next begins."""
    fill, bar = ROLES[role]
    place = {"y": "52", "height": "13"}
    box = {"width": "22", "rx": "3", "fill": fill, "stroke": "#7d8794", "stroke-width": "0.8"}
    ET.SubElement(group, "rect", {"x": number(x), **place, **box})
    ET.SubElement(group, "rect", {"x": number(x), **place, "width": "4", "fill": bar})
    text(group, _MEANINGS[role], x + 28, 62, NOTE_SIZE + 1, fill=INK)
    return x + 46 + text_width(_MEANINGS[role], NOTE_SIZE + 1)
