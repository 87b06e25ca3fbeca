"""What a transformation did, as text."""

from __future__ import annotations

from yolo_gp.graph import Graph
from yolo_gp.shapes import format_size
from yolo_gp.transform.pipeline import Transformed


def report(transformed: Transformed) -> str:
    """What was done, a line each, and a table of the costs before and after."""
    before, after = transformed.before, transformed.after
    size = format_size(before.input_shape.size)
    rows = [
        ("", "layers", "params", "MACs", "BFLOPs"),
        _row("before", before),
        _row("after", after),
    ]
    rows.append(("change", "", *_changes(before, after)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))).rstrip()
        for row in rows
    ]
    return "\n".join([*transformed.notes, "", f"at {size} (height x width):", *table])


def _row(name: str, graph: Graph) -> tuple[str, str, str, str, str]:
    total = graph.total
    layers = str(len(graph.nodes))
    return name, layers, f"{total.params:,}", f"{total.macs:,}", f"{total.bflops:.3f}"


def _changes(before: Graph, after: Graph) -> tuple[str, str, str]:
    old, new = before.total, after.total
    return (
        _change(old.params, new.params),
        _change(old.macs, new.macs),
        _change(old.bflops, new.bflops),
    )


def _change(old: float, new: float) -> str:
    return f"{(new - old) / old:+.2%}" if old else ""
