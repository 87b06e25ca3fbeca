"""One network and its gradient paths as a picture for papers: an SVG file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from yolo_gp.analysis.gradient_paths import LayerPaths
from yolo_gp.analysis.path_tables import Analysis, format_timestamps
from yolo_gp.drawing.layout import BOX_WIDTH, BoxSizes, Layout, lay_out
from yolo_gp.drawing.lighting import layer_times, light
from yolo_gp.drawing.palette import (
    FEATURE,
    SOURCE,
    legend_timestamps,
    length_colour,
    timestamp_colour,
    tint,
)
from yolo_gp.drawing.svg import (
    GREY,
    INK,
    NOTE_SIZE,
    PAPER,
    BoxMark,
    Marks,
    network_group,
    number,
    printable,
    text,
)
from yolo_gp.drawing.titles import fit_timestamps, text_width
from yolo_gp.graph import Graph

TWO_LINES = BoxSizes(learned=34.0)
_HEAD = 74.0  # title and legend
_LEGEND_LINE = 61.0
_LEAST_WIDTH = 720.0
_NOTE_ROOM = BOX_WIDTH - 12


def overview_marks(analysis: Analysis) -> Marks:
    """Every weight layer with its timestamps, shortest and longest path; tinted by the shortest."""
    last = analysis.paths.longest_shortest
    return Marks(
        {layer.node.index: _overview_mark(layer, last) for layer in analysis.paths.weight_layers}
    )


def _overview_mark(layer: LayerPaths, last: int) -> BoxMark:
    if layer.shortest is None:
        return BoxMark(fill="#eeeeee", note="no gradient")
    lengths = f"{layer.shortest} / {layer.longest}"
    room = _NOTE_ROOM - text_width(lengths, NOTE_SIZE) - 4
    return BoxMark(
        fill=tint(length_colour(layer.shortest, last)),
        note=fit_timestamps(layer.timestamps, NOTE_SIZE, room),
        aside=lengths,
    )


def layer_marks(analysis: Analysis, index: int) -> Marks:
    """The gradient paths of one layer, coloured by the timestamp at which gradient first comes."""
    layer = analysis.paths.layers[index]
    lit = light(analysis.graph, analysis.paths).of(index)
    last = layer.longest or 1
    times = {i: list(found) for i, found in layer_times(analysis.graph, lit).items()}
    boxes = {}
    outlines = dict.fromkeys(layer.features, FEATURE)
    outlines |= dict.fromkeys(source_boxes(analysis, layer), SOURCE)
    outlines[index] = INK
    for target, _ in lit:
        boxes[target] = BoxMark(outline=outlines.get(target))  # heads too: gradient begins there
    for other in {*times, *outlines}:
        boxes[other] = _lit_mark(times.get(other, []), outlines.get(other), last)
    wires = {edge: timestamp_colour(next(iter(found)), last) for edge, found in lit.items()}
    return Marks(boxes, wires, faded=True)


def source_boxes(analysis: Analysis, layer: LayerPaths) -> list[int]:
    """The boxes of a layer's sources; without heads, the loss has a box of its own."""
    graph = analysis.graph
    last = len(graph.nodes) - 1
    at_loss = not graph.heads and (
        layer.node.index == last or not analysis.paths.layers[last].learned
    )
    return [last + 1 if at_loss and source == last else source for source in layer.sources]


def _lit_mark(times: Sequence[int], outline: str | None, last: int) -> BoxMark:
    return BoxMark(
        fill=tint(timestamp_colour(times[0], last)) if times else None,
        outline=outline,
        dashed=outline == FEATURE,
        note=fit_timestamps(times, NOTE_SIZE, _NOTE_ROOM),
    )


def overview_svg(analysis: Analysis) -> str:
    """The whole network: per weight layer its timestamps, and its shortest and longest path."""
    last = max(1, analysis.paths.longest_shortest)
    words = "In each weight layer: the timestamps of its gradient, and shortest / longest path."
    page = _Page(analysis, overview_marks(analysis))
    page.head(words)
    shown = legend_timestamps(last)
    page.scale("shortest path", {length: length_colour(length, last) for length in shown})
    return page.finish()


def layer_svg(analysis: Analysis, index: int) -> str:
    """The gradient paths into one layer by timestamp, as the ELAN paper's Fig. 7 draws them.

    Its sources (Fig. 8) and its features are outlined.
    """
    layer = analysis.paths.layers[index]
    node = layer.node
    page = _Page(analysis, layer_marks(analysis, index))
    page.head(
        f"Gradient paths of layer {node.written} [{node.layer.kind}], {node.output_shape}. "
        f"Timestamps: {format_timestamps(layer.timestamps)}. Gradient runs against the arrows."
    )
    last = layer.longest or 1
    shown = legend_timestamps(last)
    page.scale("first timestamp", {time: timestamp_colour(time, last) for time in shown})
    page.samples({"this layer": INK, "source": SOURCE, "feature": FEATURE})
    return page.finish()


_FOLDS = (48, 32, 24, 18)
_TALLEST = 2.6  # height to width; two such pictures still stand side by side on a sheet


def page_layout(graph: Graph) -> Layout:
    """The layout that folds its stages least, of those that are not too tall for a page."""
    for fold in _FOLDS:
        layout = lay_out(graph, TWO_LINES, fold)
        if layout.height <= _TALLEST * layout.width:
            break
    return layout


class _Page:
    """The sheet around a network: title, legend, size."""

    def __init__(self, analysis: Analysis, marks: Marks) -> None:
        self._name = analysis.name
        layout = page_layout(analysis.graph)
        layout = replace(layout, width=max(layout.width, _LEAST_WIDTH))
        width, height = layout.width, layout.height + _HEAD
        self._root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "width": number(width),
                "height": number(height),
                "viewBox": f"0 0 {number(width)} {number(height)}",
            },
        )
        ET.SubElement(self._root, "title").text = printable(f"{analysis.name}: gradient paths")
        ET.SubElement(self._root, "rect", {"width": "100%", "height": "100%", "fill": PAPER})
        group = network_group(layout, marks)
        group.set("transform", f"translate(0 {number(_HEAD)})")
        self._root.append(group)
        self._legend = ET.SubElement(self._root, "g", {"font-family": group.get("font-family", "")})
        self._x = 10.0

    def head(self, words: str) -> None:
        text(self._legend, self._name, 10, 22, 15, font_weight="bold")
        text(self._legend, words, 10, 40, 11, fill=GREY)

    def scale(self, name: str, colours: Mapping[int, str]) -> None:
        """What colours mean."""
        text(self._legend, name, self._x, _LEGEND_LINE, 10)
        self._x += text_width(name, 10) + 8
        for value, colour in colours.items():
            self._swatch(20, fill=colour)
            middle = {"text_anchor": "middle", "fill": PAPER, "font_weight": "bold"}
            text(self._legend, str(value), self._x + 10, _LEGEND_LINE, NOTE_SIZE, **middle)
            self._x += 20
        self._x += 24

    def _swatch(self, width: float, **looks: str) -> None:
        place = {"x": number(self._x), "y": number(_LEGEND_LINE - 10), "height": "13"}
        ET.SubElement(self._legend, "rect", {**place, "width": number(width), **looks})

    def samples(self, outlines: Mapping[str, str]) -> None:
        """What outlines mean."""
        for name, colour in outlines.items():
            dash = {"stroke-dasharray": "5 3"} if colour == FEATURE else {}
            looks = {"fill": PAPER, "stroke": colour, "stroke-width": "2.5", "rx": "2", **dash}
            self._swatch(20, **looks)
            text(self._legend, name, self._x + 26, _LEGEND_LINE, 10)
            self._x += 46 + text_width(name, 10)

    def finish(self) -> str:
        ET.indent(self._root)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(self._root, "unicode")}\n'
