"""Gradient paths as text for people and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from yolo_gp.analysis.gradient_paths import GradientPaths, LayerPaths
from yolo_gp.analysis.path_tracing import Step, trace
from yolo_gp.analysis.tables import align
from yolo_gp.graph import Graph

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Analysis:
    """A network and its gradient paths.

    Fields:
        name: what tables call it.
    """

    name: str
    graph: Graph
    paths: GradientPaths


def paths_table(analysis: Analysis) -> str:
    """One row per weight layer, then the network's totals."""
    header = (
        *("layer", "index", "kind", "channels", "timestamps", "shortest", "longest"),
        *("combinations", "sources", "features", "shared"),
    )
    rows = [header, *(_row(layer) for layer in analysis.paths.weight_layers)]
    if all(node.written == node.index for node in analysis.graph.nodes):
        rows = [(row[0], *row[2:]) for row in rows]  # no macros: the two numbers are one
    numbers = {place for place, name in enumerate(rows[0]) if name not in ("kind", "timestamps")}
    table = align(rows, numbers)
    return "\n\n".join((table, comparison_table([analysis])))


def _row(layer: LayerPaths) -> tuple[str, ...]:
    node = layer.node
    return (
        str(node.written),
        str(node.index),
        node.layer.kind,
        str(node.output_shape.channels),
        format_timestamps(layer.timestamps),
        *("" if n is None else str(n) for n in (layer.shortest, layer.longest)),
        str(layer.combinations),
        str(len(layer.sources)),
        str(len(layer.features)),
        format_share(layer.shared_fraction),
    )


_SHOWN_RUNS = 4


def format_timestamps(timestamps: Sequence[int]) -> str:
    """ "1, 3-5, 8": runs of neighbours joined; of many runs the first and the last few."""
    runs: list[list[int]] = []
    for timestamp in timestamps:
        if runs and runs[-1][1] + 1 == timestamp:
            runs[-1][1] = timestamp
        else:
            runs.append([timestamp, timestamp])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    if len(texts) > 2 * _SHOWN_RUNS:
        texts = [*texts[:_SHOWN_RUNS], "...", *texts[-_SHOWN_RUNS:]]
    return ", ".join(texts) or "none"


def format_share(share: Fraction | None) -> str:
    return "" if share is None else f"{float(share):.1%}"


_FIGURES: Mapping[str, Callable[[Analysis], str]] = {
    "parameters": lambda a: f"{a.graph.total.params:,}",
    "FLOPs": lambda a: f"{2 * a.graph.total.macs:,}",
    "weight layers": lambda a: str(len(a.paths.weight_layers)),
    "longest shortest path": lambda a: str(a.paths.longest_shortest),
    "longest path": lambda a: str(a.paths.longest),
    "timestamp combinations": lambda a: str(a.paths.combinations),
    "sources": lambda a: str(a.paths.sources),
    "shared gradient": lambda a: format_share(a.paths.shared_fraction),
    "layers without gradient": lambda a: str(len(a.paths.unreached)),
}


def comparison_table(analyses: Sequence[Analysis]) -> str:
    """The networks' figures, one column each."""
    rows = [("", *(analysis.name for analysis in analyses))]
    for name, figure in _FIGURES.items():
        rows.append((name, *(figure(analysis) for analysis in analyses)))
    return align(rows, set(range(1, len(analyses) + 1)))


FIGURE_NAMES = (
    *("params", "macs", "flops", "weight_layers", "longest_shortest", "longest"),
    *("combinations", "sources", "shared", "unreached"),
)
"""Keys of `figures`."""


def figures(analysis: Analysis) -> dict[str, int | float]:
    """The network's figures by name, for JSON and for conditions."""
    paths, total = analysis.paths, analysis.graph.total
    share = paths.shared_fraction
    values = (
        *(total.params, total.macs, 2 * total.macs, len(paths.weight_layers)),
        *(paths.longest_shortest, paths.longest, paths.combinations, paths.sources),
        *(0.0 if share is None else float(share), len(paths.unreached)),
    )
    return dict(zip(FIGURE_NAMES, values, strict=True))


def paths_data(analysis: Analysis) -> dict[str, Any]:
    """The whole analysis of a network, for JSON. Path counts are exact, so they may be long."""
    return {
        "cfg": analysis.name,
        "fingerprint": analysis.graph.fingerprint,
        **figures(analysis),
        "layers": [_layer_data(layer) for layer in analysis.paths.layers],
    }


def _layer_data(layer: LayerPaths) -> dict[str, Any]:
    return {
        "index": layer.node.index,
        "written": layer.node.written,
        "kind": layer.node.layer.kind,
        "learned": layer.learned,
        "timestamps": layer.timestamps,
        "shortest": layer.shortest,
        "longest": layer.longest,
        "combinations": layer.combinations,
        "sources": layer.sources,
        "features": layer.features,
        "shared": None if layer.shared_fraction is None else float(layer.shared_fraction),
        "channels": [
            {
                "first": run.first,
                "end": run.end,
                "timestamps": run.timestamps,
                "paths": str(run.paths),
                "combination": run.combination,
            }
            for run in layer.channels
        ],
    }


def layer_text(analysis: Analysis, index: int) -> str:
    """One layer's channels, sources and features, and a shortest and a longest path."""
    layer = analysis.paths.layers[index]
    node = layer.node
    parts = [f"layer {node.written} [{node.layer.kind}], {node.output_shape}"]
    if not layer.timestamps:
        return f"{parts[0]}: no gradient reaches it"
    parts.append(_channel_table(layer))
    parts.append(f"sources: {_named(analysis.graph, layer.sources)}")
    parts.append(f"features: {_named(analysis.graph, layer.features)}")
    for title, timestamp in (
        ("a shortest path", layer.timestamps[0]),
        ("a longest path", layer.timestamps[-1]),
    ):
        steps = trace(analysis.graph, analysis.paths, index, timestamp)
        parts.append(f"{title}, timestamp {timestamp}:\n{_path_table(analysis, steps)}")
    return "\n\n".join(parts)


def _channel_table(layer: LayerPaths) -> str:
    rows = [("channels", "combination", "paths per channel", "timestamps")]
    for run in layer.channels:
        name = f"{run.first}-{run.end - 1}" if run.end - run.first > 1 else str(run.first)
        timestamps = format_timestamps(run.timestamps)
        rows.append((name, str(run.combination), format_count(run.paths), timestamps))
    return align(rows, {1, 2})


_LONG_COUNT = 10**12


def format_count(count: int) -> str:
    """A whole number; beyond a million millions by its power of ten."""
    if count < _LONG_COUNT:
        return f"{count:,}"
    return f"{str(count)[0]}.{str(count)[1]}e{len(str(count)) - 1}"


def _named(graph: Graph, indices: Sequence[int]) -> str:
    names = (f"{graph.nodes[i].written} [{graph.nodes[i].layer.kind}]" for i in indices)
    return ", ".join(names) or "none"


def _path_table(analysis: Analysis, steps: Sequence[Step]) -> str:
    rows = [("layer", "kind", "output", "channel", "timestamp")]
    for step in reversed(steps):  # the way the gradient goes
        node = step.node
        place = (str(node.written), node.layer.kind, str(node.output_shape))
        rows.append((*place, str(step.channel), str(step.timestamp)))
    return align(rows, {0, 3, 4})
