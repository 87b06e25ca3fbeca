"""Gradient paths of networks as one HTML page that needs nothing else: it opens from disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from xml.etree import ElementTree as ET

from yolo_gp.analysis.gradient_paths import LayerPaths
from yolo_gp.analysis.path_tables import (
    Analysis,
    figures,
    format_share,
    format_timestamps,
)
from yolo_gp.drawing.figure import TWO_LINES, overview_marks
from yolo_gp.drawing.layout import Layout, lay_out
from yolo_gp.drawing.palette import FEATURE, NETWORKS, SOURCE
from yolo_gp.drawing.report_data import network_data
from yolo_gp.drawing.svg import network_group, number, printable

_LIBRARIES = (
    ("uPlot 1.6.32", "uplot-1.6.32", ("uplot-1.6.32.min.js",)),
    (
        "tablesort 5.7.1",
        "tablesort-5.7.1",
        ("tablesort-5.7.1.min.js", "tablesort-number-5.7.1.min.js"),
    ),
)
"""(npm package and version, stem of its licence's file, its scripts)."""


def report_html(analyses: Sequence[Analysis], chosen: int | None = None) -> str:
    """The report of one or several networks.

    Args:
        chosen: index of the layer of the first network that is lit at the start.
    """
    layouts = [lay_out(analysis.graph, TWO_LINES) for analysis in analyses]
    data = {
        "networks": [network_data(*pair) for pair in zip(analyses, layouts, strict=True)],
        "colours": NETWORKS,
        "chosen": -1 if chosen is None else chosen,
    }
    names = ", ".join(analysis.name for analysis in analyses)
    return Template(_asset("report.html")).substitute(
        title=_words(f"Gradient paths: {names}"),
        style=_asset("uplot-1.6.32.min.css") + _style(),
        libraries="\n".join(_library(*library) for library in _LIBRARIES),
        script=_asset("report.js"),
        data=_json(data),
        tabs="\n".join(_tab(n, analysis.name) for n, analysis in enumerate(analyses)),
        drawings="\n".join(
            _drawing(n, *pair) for n, pair in enumerate(zip(analyses, layouts, strict=True))
        ),
        comparison=_comparison(analyses),
        tables="\n".join(_layer_section(n, analysis) for n, analysis in enumerate(analyses)),
    )


def _asset(name: str) -> str:
    return (files("yolo_gp.drawing") / "assets" / name).read_text(encoding="utf-8")


def _style() -> str:
    colours = f":root {{ --source: {SOURCE}; --feature: {FEATURE}; }}\n"
    return colours + _asset("report.css")


def _library(name: str, stem: str, scripts: Iterable[str]) -> str:
    licence = _asset(f"{stem}.LICENSE.txt").strip()
    code = "\n".join(_asset(script) for script in scripts)
    return f"<script>\n/*! {name}\n\n{licence}\n*/\n{code}\n</script>"


def _words(words: str) -> str:
    """Text for HTML."""
    return escape(printable(words))


def _json(data: object) -> str:
    """JSON that may stand inside a <script>: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _tab(place: int, name: str) -> str:
    return (
        f'<button role="tab" id="tab-{place}" aria-controls="view-{place}" '
        f'data-view="{place}">{_words(name)}</button>'
    )


def _drawing(place: int, analysis: Analysis, layout: Layout) -> str:
    group = network_group(layout, overview_marks(analysis), prefix=f"n{place}-")
    size = f"0 0 {number(layout.width)} {number(layout.height)}"
    svg = ET.Element("svg", {"viewBox": size, "class": "network", "id": f"network-{place}"})
    svg.append(group)
    return (
        f'<section class="view" role="tabpanel" id="view-{place}" aria-labelledby="tab-{place}" '
        f'hidden><div class="drawing" tabindex="0" aria-label="{_words(analysis.name)}, layers: '
        f'arrow keys move between them">{ET.tostring(svg, "unicode")}</div></section>'
    )


_COMPARED = (
    *("params", "flops", "weight_layers", "longest_shortest", "longest", "combinations"),
    *("sources", "shared", "unreached"),
)
_COMPARED_NAMES = (
    *("parameters", "FLOPs", "weight layers", "longest shortest path", "longest path"),
    *("timestamp combinations", "sources", "shared gradient", "layers without gradient"),
)


def _comparison(analyses: Sequence[Analysis]) -> str:
    rows = []
    for place, analysis in enumerate(analyses):
        values = figures(analysis)
        cells = [
            f"{values[key]:.1%}" if key == "shared" else f"{values[key]:,}" for key in _COMPARED
        ]
        rows.append((f"#{place}", [analysis.name, *cells]))
    return _table("comparison", ("network", *_COMPARED_NAMES), rows)


_LAYER_COLUMNS = (
    *("layer", "index", "kind", "settings", "output", "timestamps", "shortest", "longest"),
    *("combinations", "sources", "features", "shared"),
)


def _layer_section(place: int, analysis: Analysis) -> str:
    nodes = analysis.graph.nodes
    # without macros the two numbers of a layer are one
    hidden = "index" if all(node.written == node.index for node in nodes) else ""
    columns = [column for column in _LAYER_COLUMNS if column != hidden]
    rows = [
        (f"#{place}/{layer.node.index}", [_layer_cells(layer)[column] for column in columns])
        for layer in analysis.paths.weight_layers
    ]
    return f"<section><h2>{_words(analysis.name)}</h2>\n" + (
        _table(f"layers-{place}", columns, rows) + "</section>"
    )


def _layer_cells(layer: LayerPaths) -> dict[str, str]:
    """The cells of a layer's row by column."""
    node = layer.node
    lengths = ("" if n is None else str(n) for n in (layer.shortest, layer.longest))
    cells = (
        *(str(node.written), str(node.index), node.layer.kind, node.layer.label()),
        *(str(node.output_shape), format_timestamps(layer.timestamps), *lengths),
        *(str(layer.combinations), str(len(layer.sources)), str(len(layer.features))),
        format_share(layer.shared_fraction),
    )
    return dict(zip(_LAYER_COLUMNS, cells, strict=True))


_TEXTS = ("network", "kind", "settings", "output", "timestamps")  # other columns are numbers


def _table(name: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table that sorts.

    Args:
        rows: of each, the part of the page that its first cell leads to, and its cells.
    """
    numeric = [column not in _TEXTS for column in columns]
    heads = "".join(
        f'<th{_NUMBER} data-sort-method="number">{_words(column)}</th>'
        if is_number
        else f"<th>{_words(column)}</th>"
        for column, is_number in zip(columns, numeric, strict=True)
    )
    body = "\n".join(_row(link, cells, numeric) for link, cells in rows)
    return (
        f'<div class="wide"><table id="{name}"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


_NUMBER = ' class="number"'


def _row(link: str, cells: Sequence[str], numeric: Sequence[bool]) -> str:
    first, *others = (_words(cell) for cell in cells)
    filled = "".join(
        f"<td{_NUMBER if is_number else ''}>{cell}</td>"
        for cell, is_number in zip((f'<a href="{link}">{first}</a>', *others), numeric, strict=True)
    )
    return f"<tr>{filled}</tr>"
