"""The layer table of a network, as text for people and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yolo_gp.analysis.memory import memory
from yolo_gp.graph import INPUT, Graph, Node
from yolo_gp.shapes import format_size

SCHEMA_VERSION = 1


def layer_table(graph: Graph) -> str:
    """One row per layer, then the totals. Sources other than the previous layer are named."""
    header = ("layer", "kind", "settings", "from", "output (C x H x W)", "params", "MACs", "BFLOPs")
    rows = [header, *(_row(graph, node) for node in graph.nodes)]
    return "\n".join([_align(rows), "", *_totals(graph)])


def _row(graph: Graph, node: Node) -> tuple[str, ...]:
    cost = node.cost
    return (
        str(node.written),
        node.layer.kind,
        node.layer.label(),
        _sources(node),
        str(node.output_shape),
        f"{cost.params:,}" if cost.params else "",
        f"{cost.macs:,}" if cost.macs else "",
        f"{cost.bflops:.3f}" if cost.darknet_operations else "",
    )


def _sources(node: Node) -> str:
    numbers = [edge.source for edge in node.inputs]
    if numbers == [node.index - 1]:
        return ""
    return ", ".join("input" if number == INPUT else str(number) for number in numbers)


def _align(rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell: names to the left, numbers to the right."""
    right = {0, 5, 6, 7}
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _totals(graph: Graph) -> list[str]:
    total, need = graph.total, memory(graph)
    heads = f", {len(graph.heads)} heads" if graph.heads else ""
    return [
        f"input {format_size(graph.input_shape.size)} (height x width), "
        f"{graph.input_shape.channels} channels; {len(graph.nodes)} layers{heads}",
        f"parameters {total.params:,}; MACs {total.macs:,}; "
        f"BFLOPs as Darknet counts them {total.bflops:.3f}",
        f"memory at batch 1, float32: weights {_mebibytes(need.weights)}, "
        f"maps {_mebibytes(need.peak_activations)} at their peak (layer {need.peak_layer})",
    ]


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.2f} MiB"


def layer_data(graph: Graph) -> dict[str, Any]:
    """The layer table for JSON. `params` is zoo.md's P_train, `macs` F0 / 2, `bflops` D2."""
    need = memory(graph)
    return {
        "schema_version": SCHEMA_VERSION,
        "input": [graph.input_shape.channels, *graph.input_shape.size],
        "layers": [
            {
                "index": node.index,
                "written": node.written,
                "kind": node.layer.kind,
                "sources": [edge.source for edge in node.inputs],
                "output": [node.output_shape.channels, *node.output_shape.size],
                "params": node.cost.params,
                "macs": node.cost.macs,
                "bflops": node.cost.bflops,
            }
            for node in graph.nodes
        ],
        "params": graph.total.params,
        "macs": graph.total.macs,
        "bflops": graph.total.bflops,
        "memory": {
            "weights_bytes": need.weights,
            "peak_activation_bytes": need.peak_activations,
        },
    }
