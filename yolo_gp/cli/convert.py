"""`yolo-gp convert`: weights into another format, or into another network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    DialectOption,
    DtypeOption,
    NamesOption,
    OfflineOption,
    StrictOption,
    parse_size,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.tasks.export_onnx import OnnxSettings
    from yolo_gp.weights.layout import WeightsDialect

_Source = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="Darknet .weights, our .safetensors, a torch state dict, or the name of a pretrained "
        "model.",
    ),
]
_Target = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="File to write: .weights, .safetensors, .pt, .pth, .onnx."),
]
_Cfg = Annotated[
    str | None,
    typer.Option("--cfg", help="The cfg of IN, by path or name; the one inside IN by default."),
]
_Cutoff = Annotated[
    int | None,
    typer.Option("--cutoff", metavar="N", help="Keep sections 0 to N-1 only; [net] is not one."),
]
_Epsilon = Annotated[
    float | None,
    typer.Option(
        "--batch-norm-epsilon",
        metavar="E",
        help="Epsilon that IN was trained with; 1e-4 for YOLOR and PyTorch_YOLOv4.",
    ),
]
_To = Annotated[
    str | None,
    typer.Option("--to", metavar="CFG", help="Move what fits into another network."),
]
_Map = Annotated[
    Path | None,
    typer.Option(
        "--map", help="With --to: a file with lines of two layer numbers, from IN and to CFG."
    ),
]
_Nms = Annotated[
    bool, typer.Option("--nms", help="ONNX: suppress overlapping boxes inside the network.")
]
_Raw = Annotated[bool, typer.Option("--raw", help="ONNX: return the heads' maps, not boxes.")]
_Confidence = Annotated[
    float | None,
    typer.Option("--conf", help="ONNX with --nms: boxes above this confidence only; 0.25."),
]
_Iou = Annotated[
    float | None,
    typer.Option("--iou", help="ONNX with --nms: suppress boxes that overlap more; 0.45."),
]
_Dialect = Annotated[
    str | None,
    typer.Option(
        "--weights-dialect",
        metavar="NAME",
        help="Whose Darknet .weights files are of: alexeyab, the default, or pjreddie. They differ "
        "inside [gru], [lstm] and [batchnorm].",
    ),
]
_ToDialect = Annotated[
    str | None,
    typer.Option("--to-dialect", metavar="NAME", help="That of OUT, if it is another than IN's."),
]
_Size = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="HxW", help="ONNX: input, height x width in pixels; the cfg's by default."
    ),
]


def convert(
    source: _Source,
    target: _Target,
    cfg: _Cfg = None,
    names: NamesOption = None,
    dtype: DtypeOption = "float32",
    cutoff: _Cutoff = None,
    batch_norm_epsilon: _Epsilon = None,
    weights_dialect: _Dialect = None,
    to_dialect: _ToDialect = None,
    size: _Size = None,
    nms: _Nms = False,
    raw: _Raw = False,
    confidence: _Confidence = None,
    iou: _Iou = None,
    to: _To = None,
    map_file: _Map = None,
    dialect: DialectOption = None,
    strict: StrictOption = False,
    offline: OfflineOption = False,
) -> None:
    """Write weights in another format.

    Or, with --to, for another network. Every number is kept: back again, the file is the same.
    Unless IN holds its cfg, as files that this command wrote do, --cfg says what network it is
    for.

    \b
    Examples:
      yolo-gp convert yolov4-tiny.weights tiny.safetensors --cfg yolov4-tiny
      yolo-gp convert tiny.safetensors tiny.onnx --nms --size 416
      yolo-gp convert tiny.safetensors start.weights --to my-classes.cfg
      yolo-gp convert gru.weights new.weights --cfg gru.cfg --weights-dialect pjreddie
        --to-dialect alexeyab
    """
    from yolo_gp.tasks.convert import ConvertSettings, read_mapping
    from yolo_gp.tasks.convert import convert as run
    from yolo_gp.tasks.models import ModelSource

    dialects = _dialects(source, target, weights_dialect, to_dialect)
    model = ModelSource(
        cfg=cfg,
        weights=source,
        names=names,
        size=parse_size(size),
        strict=strict,
        dialect=parse_dialect(dialect),
        batch_norm_epsilon=batch_norm_epsilon,
        weights_dialect=dialects[0],
    )
    settings = ConvertSettings(
        model=model,
        target=target,
        dtype=dtype,
        cutoff=cutoff,
        to=to,
        mapping=read_mapping(map_file) if map_file else None,
        onnx=_onnx_settings(nms, raw, confidence, iou),
        weights_dialect=dialects[1],
    )
    converted = run(settings, cache=visible_cache(offline=offline))
    print_warnings(converted.warnings)
    if converted.plan:
        print(converted.plan.to_text())
    for note in converted.notes:
        print(f"note: {note}", file=sys.stderr)
    print(converted.to_text())


def _dialects(
    source: str, target: Path, both: str | None, of_target: str | None
) -> tuple[WeightsDialect | None, WeightsDialect]:
    """The dialects of IN, None if it is not said, and of OUT.

    Raises:
        UsageError: there is no such dialect, or no .weights file that could have it.
    """
    from yolo_gp.weights.formats import format_of_suffix
    from yolo_gp.weights.layout import find_weights_dialect

    named = find_weights_dialect(both) if both is not None else None
    reads = format_of_suffix(Path(source)) in (None, "darknet")
    writes = format_of_suffix(target) == "darknet"
    if named and not (reads or writes):
        raise UsageError(
            "--weights-dialect is for .weights files, and neither file is one\n"
            "expected: IN or OUT that ends in .weights"
        )
    if of_target is not None and not writes:
        raise UsageError("--to-dialect is for .weights files\nexpected: OUT that ends in .weights")
    into = find_weights_dialect(of_target) if of_target is not None else named
    return (named if reads else None), (into if into and writes else "alexeyab")


def _onnx_settings(
    nms: bool, raw: bool, confidence: float | None, iou: float | None
) -> OnnxSettings | None:
    from yolo_gp.tasks.export_onnx import OnnxSettings

    if not nms and (confidence is not None or iou is not None):
        raise UsageError("--conf and --iou are thresholds of --nms\nexpected: --nms with them")
    if not (nms or raw):
        return None
    thresholds = {"confidence": confidence, "iou": iou}
    given = {key: value for key, value in thresholds.items() if value is not None}
    return OnnxSettings(raw=raw, nms=nms, **given)
