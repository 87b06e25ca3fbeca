"""`yolo-gp info`: a cfg's layers, costs and totals."""

from __future__ import annotations

import json

import typer

from yolo_gp.cli.values import parse_size, print_warnings


def info(
    cfg: str = typer.Argument(..., help="A cfg file, or the name of one that comes with yolo-gp."),
    size: str | None = typer.Option(
        None, metavar="HxW", help="Input height x width in pixels, in place of the cfg's."
    ),
    strict: bool = typer.Option(False, "--strict", help="Treat warnings as errors."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show the layers of a cfg: shapes, parameters, multiply-adds, Darknet's BFLOPs, memory."""
    from yolo_gp.analysis.tables import layer_data, layer_table
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import find_cfg

    graph = read_graph(find_cfg(cfg), input_size=parse_size(size), strict=strict)
    print_warnings(graph.warnings)
    print(json.dumps(layer_data(graph)) if as_json else layer_table(graph))
