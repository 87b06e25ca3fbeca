"""`yolo-gp doctor`: does a weights file fit a cfg, and if not, why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import CfgArgument, DialectOption, JsonOption, print_warnings
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import ExitCode, YoloGpError

if TYPE_CHECKING:
    from yolo_gp.graph import Graph

WeightsArgument = Annotated[
    Path, typer.Argument(metavar="WEIGHTS", help="Weights said to be of that cfg.")
]


def doctor(
    cfg: CfgArgument,
    weights: WeightsArgument,
    dialect: DialectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether weights fit a cfg, or why not.

    Names the first layer that does not fit, and guesses why. Exits with 0 if they fit, with 4
    if not.

    \b
    Example:
      yolo-gp doctor yolov4-tiny downloaded.weights
    """
    from yolo_gp.graph import read_graph
    from yolo_gp.weights.diagnosis import Alternatives, diagnose
    from yolo_gp.zoo import find_cfg, pretrained_models

    path = find_cfg(cfg, visible_cache())
    graph = read_graph(path, dialect=parse_dialect(dialect))
    print_warnings(graph.warnings)
    published = {name: model.weights.bytes or 0 for name, model in pretrained_models().items()}
    found = diagnose(graph, weights, Alternatives(_others(path, weights), published))
    print(json.dumps(found.to_data()) if as_json else found.to_text())
    if not found.fits:
        raise typer.Exit(int(ExitCode.WEIGHTS))


def _others(cfg: Path, weights: Path) -> Iterator[tuple[str, Graph]]:
    """The cfg that lies beside the weights, and every packaged one, compiled as asked for."""
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import packaged_cfgs

    beside = weights.with_suffix(".cfg")
    named = [(str(beside), beside)] if beside.is_file() else []
    for name, path in (*named, *packaged_cfgs().items()):
        if path.resolve() == cfg.resolve():
            continue
        try:
            yield name, read_graph(path)
        except YoloGpError:  # one broken cfg must not keep the others from being tried
            continue
