"""`yolo-gp transform`: residual stages rewritten, networks made deeper or wider."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    CfgArgument,
    OutOption,
    SizeOption,
    parse_size,
    print_warnings,
    write_cfg,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.transform.settings import Budget, Fusion, Target

_To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="prn|csp|elan",
        help="prn masks every residual shortcut; csp, elan put one section in place of a stage.",
    ),
]
_Ratio = Annotated[
    float | None,
    typer.Option("--ratio", help="prn: share of the channels that are added; 0.5."),
]
_FusionFlag = Annotated[
    str | None,
    typer.Option(
        "--fusion", metavar="normal|first|last|none", help="csp: which transitions there are."
    ),
]
_Split = Annotated[float | None, typer.Option("--split", help="csp: share of the main path; 0.5.")]
_Blocks = Annotated[int | None, typer.Option("--blocks", help="elan: computational blocks; 2.")]
_Convs = Annotated[int | None, typer.Option("--convs", help="elan: convolutions in each; 2.")]
_Stages = Annotated[
    str | None,
    typer.Option(
        "--stages",
        metavar="3-5",
        help="Touch these stages only. Stage k is what has stride 2^k: 1 for maps of half the "
        "input's height, 3-5 for strides 8, 16, 32.",
    ),
]
_Depth = Annotated[
    float,
    typer.Option("--depth", help="Factor on the blocks in residual stages, [csp] and [elan]."),
]
_Width = Annotated[
    float,
    typer.Option(
        "--width",
        help="Factor on the channels of convolutions, to multiples of 8; those that a head reads "
        "keep theirs.",
    ),
]
_KeepParams = Annotated[
    bool,
    typer.Option(
        "--keep-params",
        help="Adjust widths inside the rewritten stages until the parameters are what they were, "
        "within 1 %.",
    ),
]
_KeepFlops = Annotated[
    bool, typer.Option("--keep-flops", help="The same for the multiply-adds (MACs).")
]


def transform(
    cfg: CfgArgument,
    to: _To = None,
    ratio: _Ratio = None,
    fusion: _FusionFlag = None,
    split: _Split = None,
    blocks: _Blocks = None,
    convs: _Convs = None,
    stages: _Stages = None,
    depth: _Depth = 1.0,
    width: _Width = 1.0,
    keep_params: _KeepParams = False,
    keep_flops: _KeepFlops = False,
    size: SizeOption = None,
    out: OutOption = None,
) -> None:
    """Rewrite the residual stages of a cfg, or scale it; its other text stays as it is.

    A residual stage is a run of blocks at one resolution, each of convolutions in a row and a
    [shortcut] from what the first one reads. --depth and --width come first, then --to. The new
    cfg goes to --out or stdout; what was done, and costs before and after, to stderr.
    """
    from yolo_gp.graph import read_content
    from yolo_gp.transform.pipeline import transform_cfg
    from yolo_gp.transform.report import report
    from yolo_gp.transform.settings import TransformSettings, parse_stages
    from yolo_gp.zoo import find_cfg

    target = _target(to)
    _check_effects(target, "prn", {"--ratio": ratio})
    _check_effects(target, "csp", {"--fusion": fusion, "--split": split})
    _check_effects(target, "elan", {"--blocks": blocks, "--convs": convs})
    settings = TransformSettings(
        to=target,
        ratio=0.5 if ratio is None else ratio,
        fusion=_fusion(fusion),
        split=0.5 if split is None else split,
        blocks=2 if blocks is None else blocks,
        convs=2 if convs is None else convs,
        stages=None if stages is None else parse_stages(stages),
        depth=depth,
        width=width,
        keep=_budget(keep_params, keep_flops),
    )
    path = find_cfg(cfg, visible_cache())
    found = transform_cfg(read_content(path), str(path), settings, parse_size(size))
    print_warnings(found.after.warnings)
    print(report(found), file=sys.stderr)
    write_cfg(found.content, out)


def _target(name: str | None) -> Target | None:
    match name:
        case None | "prn" | "csp" | "elan":
            return name
    raise UsageError(f"--to {name} is no such form\nexpected: prn, csp or elan")


def _fusion(name: str | None) -> Fusion:
    match name:
        case None:
            return "normal"
        case "normal" | "first" | "last" | "none":
            return name
    raise UsageError(f"--fusion {name} does not exist\nexpected: normal, first, last or none")


def _budget(params: bool, flops: bool) -> Budget | None:
    if params and flops:
        raise UsageError("--keep-params and --keep-flops together\nexpected: one of the two")
    return "params" if params else "flops" if flops else None


def _check_effects(target: str | None, wanted: str, flags: dict[str, object]) -> None:
    """Refuse a flag that another target would need."""
    given = [flag for flag, value in flags.items() if value is not None]
    if given and target != wanted:
        raise UsageError(
            f"{given[0]} has no effect without --to {wanted}\nexpected: --to {wanted}, or no "
            f"{given[0]}"
        )
