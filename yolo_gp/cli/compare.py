"""`yolo-gp compare`: do two networks compute the same, and if not, from which layer on?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    DialectOption,
    JsonOption,
    OfflineOption,
    SizeOption,
    StrictOption,
    parse_size,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from yolo_gp.cache import ModelCache
    from yolo_gp.tasks.compare_sides import Side
    from yolo_gp.tasks.models import ModelSource

_A = Annotated[
    str,
    typer.Argument(
        metavar="A",
        help="Weights (.weights, .safetensors, .pt, .onnx), the name of a pretrained model, or a "
        "cfg that finds its own weights.",
    ),
]
_B = Annotated[str, typer.Argument(metavar="B", help="The other network, named likewise.")]
_Images = Annotated[
    list[str] | None,
    typer.Argument(metavar="IMAGE", help="Images to run both on; random numbers by default."),
]
_Cfg = Annotated[
    str | None, typer.Option("--cfg", help="The cfg of A and B, where their files hold none.")
]
_CfgA = Annotated[str | None, typer.Option("--cfg-a", help="The cfg of A, if not that of both.")]
_CfgB = Annotated[str | None, typer.Option("--cfg-b", help="The cfg of B, if not that of both.")]
_Tolerance = Annotated[
    float,
    typer.Option(
        "--tolerance", help="Differences up to this are agreement, relative to the largest value."
    ),
]


def compare(
    a: _A,
    b: _B,
    images: _Images = None,
    cfg: _Cfg = None,
    cfg_a: _CfgA = None,
    cfg_b: _CfgB = None,
    size: SizeOption = None,
    tolerance: _Tolerance = 1e-4,
    as_json: JsonOption = False,
    dialect: DialectOption = None,
    strict: StrictOption = False,
    offline: OfflineOption = False,
) -> None:
    """Show from which layer on two networks differ.

    Both run on the same images. Layers are compared one by one where the structure is the same;
    so are a [csp] or [elan] and what it expands to. Exits with 0 if they agree, with 1 if not.

    \b
    Examples:
      yolo-gp compare tiny.weights tiny.onnx dog.jpg --cfg yolov4-tiny
      yolo-gp compare before.safetensors after.safetensors
    """
    from yolo_gp.tasks.compare import CompareSettings
    from yolo_gp.tasks.compare import compare as run

    settings = CompareSettings(images=tuple(images or ()), tolerance=tolerance)
    named = ((a, cfg_a, "--cfg-a"), (b, cfg_b, "--cfg-b"))
    sources = [
        replace(_source(*each, cfg, size, strict=strict), dialect=parse_dialect(dialect))
        for each in named
    ]
    cache = visible_cache(offline=offline)
    first, second = (_open(source, cache) for source in sources)
    found = run(first, second, settings)
    print(found.to_json() if as_json else found.to_text())
    if not found.agrees:
        raise typer.Exit(ExitCode.FINDINGS)


def _source(
    name: str, own_cfg: str | None, flag: str, cfg: str | None, size: str | None, *, strict: bool
) -> ModelSource:
    """What names a network; `--cfg` is for those that need one, its own flag must have an effect.

    Raises:
        UsageError: it has none.
    """
    from yolo_gp.tasks.models import ModelSource

    is_cfg = name.lower().endswith(".cfg")
    if is_cfg or name.lower().endswith(".onnx"):
        if own_cfg is not None:
            raise UsageError(f"{flag} has no effect on {name}\nexpected: {flag} with weights only")
        cfg = name if is_cfg else None
    return ModelSource(
        cfg=own_cfg or cfg,
        weights=None if is_cfg else Path(name),
        size=parse_size(size),
        strict=strict,
    )


def _open(source: ModelSource, cache: ModelCache) -> Side:
    from yolo_gp.tasks.compare import open_side

    side = open_side(source, cache=cache)
    print_warnings(side.graph.warnings if side.graph else ())
    return side
