"""What the report's page knows of a network, as plain data for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yolo_gp.analysis.gradient_paths import LayerPaths
from yolo_gp.analysis.path_tables import Analysis, format_count, format_share
from yolo_gp.analysis.path_tracing import trace
from yolo_gp.drawing.figure import source_boxes
from yolo_gp.drawing.layout import Layout
from yolo_gp.drawing.lighting import EdgeName, TimeSet, light
from yolo_gp.drawing.palette import legend_timestamps, length_colour, timestamp_colour, tint
from yolo_gp.drawing.titles import layer_title, timestamp_runs


def network_data(analysis: Analysis, layout: Layout) -> dict[str, Any]:
    """Everything that the page shows of a network, but the drawing and the tables.

    Keys:
        colours, tints: of timestamps from 1 on.
        legend, overview_legend: [timestamp, colour] to show.
        sets: sets of timestamps, such as "1,3-5"; elsewhere they are numbers into this list. The
            first is empty.
        wires: [source, target, detached] of each of the layout's wires.
        losses: numbers of the wires at whose end a loss is.
        layers: in file order. In a layer, `wires` are the timestamps of its gradient on each
            wire from number `first_wire` on.
        steps: [layer, channel, timestamp, number of the next step or -1] of paths that layers
            show; `shortest_path` and `longest_path` say where one begins.
    """
    # a layer before the first weight layer is one later than that
    last = max(layer.longest or 1 for layer in analysis.paths.layers)
    least = max(1, analysis.paths.longest_shortest)
    sets, steps = _Sets(), _Steps(analysis)
    lit = _lit_wires(analysis, layout, sets)
    layers = [_layer(analysis, layer, sets, steps) for layer in analysis.paths.layers]
    for layer, found in zip(layers, lit, strict=True):
        layer |= found
    return {
        "name": analysis.name,
        "width": layout.width,
        "height": layout.height,
        "colours": _colours(last),
        "tints": [tint(colour) for colour in _colours(last)],
        "legend": [[t, timestamp_colour(t, last)] for t in legend_timestamps(last)],
        "overview_legend": [[t, length_colour(t, least)] for t in legend_timestamps(least)],
        "wires": [[wire.source, wire.target, int(wire.detached)] for wire in layout.wires],
        "losses": _losses(analysis, layout),
        "layers": layers,
        "sets": sets.texts,
        "steps": steps.rows,
    }


def _losses(analysis: Analysis, layout: Layout) -> list[int]:
    ends = {len(analysis.graph.nodes), *(node.index for node, _ in analysis.graph.heads)}
    wires = enumerate(layout.wires)
    return [place for place, wire in wires if wire.target in ends and not wire.detached]


def _colours(last: int) -> list[str]:
    return [timestamp_colour(timestamp, last) for timestamp in range(1, last + 1)]


class _Sets:
    """Sets of timestamps, each kept once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[int, int] = {}
        self.number(TimeSet(0))

    def number(self, times: TimeSet) -> int:
        if times.bits not in self._numbers:
            self._numbers[times.bits] = len(self.texts)
            self.texts.append(",".join(timestamp_runs(list(times))))
        return self._numbers[times.bits]


def _set_of(timestamps: Sequence[int]) -> TimeSet:
    return TimeSet(sum(1 << t for t in timestamps))


class _Steps:
    """Actual paths, as steps that lead to the next; paths that meet share what follows."""

    def __init__(self, analysis: Analysis) -> None:
        self.rows: list[list[int]] = []
        self._analysis = analysis
        self._numbers: dict[tuple[int, int, int], int] = {}

    def path(self, index: int, timestamp: int | None) -> int:
        """The number of the first step of a path of that length; -1 if there is none."""
        if timestamp is None:
            return -1
        following = -1
        path = trace(self._analysis.graph, self._analysis.paths, index, timestamp)
        for step in reversed(path):
            key = (step.node.index, step.channel, step.timestamp)
            if key not in self._numbers:
                self._numbers[key] = len(self.rows)
                self.rows.append([*key, following])
            following = self._numbers[key]
        return following


def _layer(analysis: Analysis, layer: LayerPaths, sets: _Sets, steps: _Steps) -> dict[str, Any]:
    node = layer.node
    shown = (layer.shortest, layer.longest) if layer.learned else (None, None)
    return {
        "written": node.written,
        "title": layer_title(node),
        "shape": str(node.output_shape),
        "learned": int(layer.learned),
        "times": sets.number(_set_of(layer.timestamps)),
        "combinations": layer.combinations,
        "sources": source_boxes(analysis, layer),
        "features": layer.features,
        "shared": format_share(layer.shared_fraction),
        "channels": [
            [
                *(run.first, run.end - 1, run.combination, format_count(run.paths)),
                sets.number(_set_of(run.timestamps)),
            ]
            for run in layer.channels
        ],
        "shortest_path": steps.path(node.index, shown[0]),
        "longest_path": steps.path(node.index, shown[1]),
    }


def _lit_wires(analysis: Analysis, layout: Layout, sets: _Sets) -> list[dict[str, Any]]:
    """For each layer, the timestamps of its gradient by wire."""
    names: list[EdgeName] = [(wire.target, wire.input) for wire in layout.wires]
    edges: Mapping[EdgeName, Mapping[int, TimeSet]] = light(analysis.graph, analysis.paths).edges
    found = []
    for index in range(len(analysis.graph.nodes)):
        numbers = [
            sets.number(times) if (times := edges.get(name, {}).get(index)) else 0 for name in names
        ]
        first = next((place for place, n in enumerate(numbers) if n), len(numbers))
        while numbers and not numbers[-1]:
            numbers.pop()
        found.append({"first_wire": first, "wires": numbers[first:]})
    return found
