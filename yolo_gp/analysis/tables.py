"""The layer table of a network, as text for people and as plain data for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from yolo_gp.analysis.conventions import CONVENTIONS, Counts, counts
from yolo_gp.analysis.memory import Memory, memory
from yolo_gp.dialect import Dialect
from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT, Node
from yolo_gp.shapes import format_size

SCHEMA_VERSION = 1


def layer_table(graph: Graph) -> str:
    """One row per layer, the totals, and the counts of every convention.

    A layer is numbered as written: 0 is the first section after [net], and the layers of one macro
    share its number. Where that differs from the position among all layers, a column `index` gives
    the latter, and `from` means it. Sources other than the previous layer are named.
    """
    expanded = any(node.written != node.index for node in graph.nodes)
    index = ("index",) if expanded else ()
    header = ("layer", *index, "kind", "settings", "from index" if expanded else "from")
    header += ("output (C x H x W)", "params", "MACs", "BFLOPs")
    rows = [header, *(_row(graph, node, expanded=expanded) for node in graph.nodes)]
    numbers = {0, *range(1, len(index) + 1), *range(len(header) - 3, len(header))}
    parts = [align(rows, numbers), _totals(graph), count_table(counts(graph))]
    return "\n\n".join(parts)


def _row(graph: Graph, node: Node, *, expanded: bool) -> tuple[str, ...]:
    cost = node.cost
    return (
        str(node.written),
        *((str(node.index),) if expanded else ()),
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
    if not numbers:
        return "none"
    return ", ".join("input" if number == INPUT else str(number) for number in numbers)


def align(rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """Columns padded to their widest cell; those numbered in `right` flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _totals(graph: Graph) -> str:
    total, need = graph.total, memory(graph)
    heads = f", {len(graph.heads)} heads" if graph.heads else ""
    return (
        f"input {format_size(graph.input_shape.size)} (height x width), "
        f"{graph.input_shape.channels} channels; {len(graph.nodes)} layers{heads}"
        f"{_dialect(graph)}\n"
        f"parameters {total.params:,}; MACs {total.macs:,}; "
        f"BFLOPs as Darknet counts them {total.bflops:.3f}\n"
        f"memory at batch 1, float32: weights {_mebibytes(need.weights)}, "
        f"maps {_mebibytes(need.peak_activations)} at their peak ({_peak_layer(graph, need)}), "
        f"read and written by all layers {_mebibytes(need.access)}"
    )


def _dialect(graph: Graph) -> str:
    return "" if graph.dialect is Dialect.DARKNET else f"; read as {graph.dialect.code} reads it"


def _peak_layer(graph: Graph, need: Memory) -> str:
    written = graph.nodes[need.peak_layer].written
    index = "" if written == need.peak_layer else f", index {need.peak_layer}"
    return f"layer {written}{index}"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.2f} MiB"


def count_table(found: Counts) -> str:
    """The counts of every convention side by side, with who uses which."""
    rows = [
        (symbol, f"{found.of(symbol):,}", convention.meaning, convention.used_by)
        for symbol, convention in CONVENTIONS.items()
    ]
    return align([("count", "value", "what it counts", "used by"), *rows], {1})


def layer_data(graph: Graph) -> dict[str, Any]:
    """The layer table for JSON. `params` is P_train of `counts`, `macs` F0 / 2, `bflops` D2."""
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
        "dialect": graph.dialect.value,
        "fingerprint": graph.fingerprint,
        "params": graph.total.params,
        "macs": graph.total.macs,
        "bflops": graph.total.bflops,
        "counts": count_data(counts(graph)),
        "memory": {
            "weights_bytes": need.weights,
            "peak_activation_bytes": need.peak_activations,
            "peak_index": need.peak_layer,
            "peak_written": graph.nodes[need.peak_layer].written,
            "access_bytes": need.access,
        },
    }


def count_data(found: Counts) -> dict[str, int]:
    """The counts for JSON, by lower-case symbol."""
    return dataclasses.asdict(found)
