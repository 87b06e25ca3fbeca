"""`yolo-gp val`: how good a network is on annotated images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    BatchOption,
    CfgOption,
    ConfidenceOption,
    DeviceOption,
    DialectOption,
    DtypeOption,
    IouOption,
    JsonOption,
    MaxDetectionsOption,
    NamesOption,
    OfflineOption,
    RandomWeightsOption,
    SizeOption,
    WeightsOption,
    parse_size,
    print_notes,
    print_warnings,
)
from yolo_gp.cli.val_choices import DataChoice, Output, Rules
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect

if TYPE_CHECKING:
    from yolo_gp.tasks.models import ModelSource
    from yolo_gp.tasks.ranks import Ranks
    from yolo_gp.tasks.val import ValSettings

_Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="Annotated images: COCO .json, YOLO .yaml, Darknet .data, a .txt list, or a folder; "
        "for a classifier a folder of class folders, a .data, or a .txt list.",
    ),
]
_Split = Annotated[str, typer.Option("--split", help="Which part of the data.")]
_Images = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the images of a COCO .json; found by itself if near."),
]
_Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Conventions: darknet, opencv, ultralytics or coco. By default darknet for a cfg in "
        "Darknet's language, coco for others.",
    ),
]
_Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that load images; 0 loads between forward passes. By default one for each "
        "processor, at most 8.",
    ),
]
_SaveDir = Annotated[
    Path | None,
    typer.Option("--save-dir", help="New or empty folder for results; runs/val/N by default."),
]
_Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="DIR", help="Go on with the interrupted run in this folder."),
]
_Plots = Annotated[
    bool, typer.Option("--plots", help="Also write curves, confusion and worst misses as PNG.")
]
_Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop at any warning about the cfg and any problem in the data."),
]
_MOST_WORKERS = 8


def val(
    data: _Data,
    cfg: CfgOption = None,
    weights: WeightsOption = None,
    names: NamesOption = None,
    split: _Split = "val",
    images: _Images = None,
    preset: _Preset = None,
    confidence: ConfidenceOption = None,
    iou: IouOption = None,
    max_det: MaxDetectionsOption = None,
    size: SizeOption = None,
    batch: BatchOption = 16,
    workers: _Workers = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    save_dir: _SaveDir = None,
    resume: _Resume = None,
    plots: _Plots = False,
    dialect: DialectOption = None,
    strict: _Strict = False,
    as_json: JsonOption = False,
    random_weights: RandomWeightsOption = False,
    offline: OfflineOption = False,
) -> None:
    """Measure COCO's AP and Darknet's mAP.

    Prints both side by side, and why they differ. Writes metrics.json and detections.json (COCO
    results) into the folder for results. Ctrl-C stops a run so that --resume goes on with it;
    torchrun -m yolo_gp val shares it out.

    Of a classifier it measures top-1 and top-5 accuracy, and writes predictions.json. Its data is
    a folder with a folder of images for each class, or what Darknet's `classifier valid` takes: a
    .data file that names a list of images and the labels to find in their paths.

    \b
    Examples:
      yolo-gp val --cfg yolov4-tiny --data annotations/instances_val2017.json
      yolo-gp val --weights best.safetensors --data my-set.yaml --plots
      yolo-gp val --cfg darknet19.cfg --weights darknet19.weights --data imagenet/val
    """
    from yolo_gp.tasks.models import ModelSource
    from yolo_gp.tasks.ranks import joined_ranks
    from yolo_gp.tasks.val import ValSettings

    model = ModelSource(
        cfg=cfg,
        weights=weights,
        names=names,
        size=parse_size(size),
        strict=strict,
        dialect=parse_dialect(dialect),
        random_weights=random_weights,
    )
    rules = Rules(preset, confidence, iou, max_det, device, dtype, offline)
    output = Output(save_dir, resume, plots, as_json)
    with joined_ranks("val") as ranks:
        if workers is None:
            workers = max(1, min(_MOST_WORKERS, (os.cpu_count() or 1) // ranks.world))
        settings = ValSettings(batch_size=batch, workers=workers, strict=strict)
        _validate(model, DataChoice(data, split, images), settings, rules, output, ranks)


def _validate(
    source: ModelSource,
    data: DataChoice,
    settings: ValSettings,
    rules: Rules,
    output: Output,
    ranks: Ranks,
) -> None:
    """Measure as the network's kind asks for: a detector has heads, a classifier has none."""
    from yolo_gp.cli.val_classifier import measure_classifier
    from yolo_gp.cli.val_detector import measure_detector
    from yolo_gp.tasks.models import load_model

    model = load_model(source, cache=visible_cache(offline=rules.offline))
    if ranks.rank == 0:
        print_warnings(model.graph.warnings)
        print_notes(model.notes)
    measure = measure_detector if model.graph.heads else measure_classifier
    measure(model, data, settings, rules, output, ranks)
