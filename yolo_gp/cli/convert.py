"""`yolo-gp convert`: weights into another format, or into another network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    DtypeOption,
    NamesOption,
    OfflineOption,
    StrictOption,
    parse_size,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.tasks.export_onnx import OnnxSettings

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
    size: _Size = None,
    nms: _Nms = False,
    raw: _Raw = False,
    confidence: _Confidence = None,
    iou: _Iou = None,
    to: _To = None,
    map_file: _Map = None,
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
    """
    from yolo_gp.tasks.convert import ConvertSettings, read_mapping
    from yolo_gp.tasks.convert import convert as run
    from yolo_gp.tasks.models import ModelSource

    model = ModelSource(
        cfg=cfg,
        weights=source,
        names=names,
        size=parse_size(size),
        strict=strict,
        batch_norm_epsilon=batch_norm_epsilon,
    )
    settings = ConvertSettings(
        model=model,
        target=target,
        dtype=dtype,
        cutoff=cutoff,
        to=to,
        mapping=read_mapping(map_file) if map_file else None,
        onnx=_onnx_settings(nms, raw, confidence, iou),
    )
    converted = run(settings, cache=visible_cache(offline=offline))
    print_warnings(converted.warnings)
    if converted.plan:
        print(converted.plan.to_text())
    for note in converted.notes:
        print(f"note: {note}", file=sys.stderr)
    print(converted.to_text())


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
