"""`yolo-gp diff`: what changes from one network to another."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from yolo_gp.cli.flags import DialectOption, JsonOption, print_warnings
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import ExitCode

_Old = Annotated[
    str,
    typer.Argument(metavar="OLD", help="A cfg file, or the name of one that yolo-gp knows."),
]
_New = Annotated[str, typer.Argument(metavar="NEW", help="The cfg to compare it with.")]
_All = Annotated[
    bool, typer.Option("--all", help="List unchanged layers too, and where all weights go.")
]


def diff(
    old: _Old,
    new: _New,
    dialect: DialectOption = None,
    as_json: JsonOption = False,
    list_all: _All = False,
) -> None:
    """Show what changes from one network to another; exit with 1 if anything it computes does.

    Layers removed, added and changed; shapes, parameters and FLOPs; which of the old network's
    weights the new one can take. Input sizes, training keys and names make no other network.
    """
    from yolo_gp.analysis.difference_tables import difference_data, difference_text
    from yolo_gp.analysis.differences import network_difference
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import find_cfg

    paths = [find_cfg(cfg, visible_cache()) for cfg in (old, new)]
    graphs = [read_graph(path, dialect=parse_dialect(dialect)) for path in paths]
    for graph in graphs:
        print_warnings(graph.warnings)
    found = network_difference(*graphs)
    if as_json:
        print(json.dumps(difference_data(found, old, new, list_all=list_all)))
    else:
        print(difference_text(found, old, new, list_all=list_all))
    if not found.same_network:
        raise typer.Exit(int(ExitCode.FINDINGS))
