"""`yolo-gp info`: a cfg's layers, costs and totals."""

from __future__ import annotations

import json

from yolo_gp.cli.flags import (
    CfgArgument,
    DialectOption,
    JsonOption,
    SizeOption,
    StrictOption,
    parse_size,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect


def info(
    cfg: CfgArgument,
    size: SizeOption = None,
    dialect: DialectOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the layers of a cfg: shapes, parameters, multiply-adds, Darknet's BFLOPs, memory."""
    from yolo_gp.analysis.tables import layer_data, layer_table
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import find_cfg

    graph = read_graph(
        find_cfg(cfg, visible_cache()),
        input_size=parse_size(size),
        strict=strict,
        dialect=parse_dialect(dialect),
    )
    print_warnings(graph.warnings)
    print(json.dumps(layer_data(graph)) if as_json else layer_table(graph))
