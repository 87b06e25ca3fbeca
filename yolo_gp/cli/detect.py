"""`yolo-gp detect`: boxes in images, videos, streams."""

from __future__ import annotations

import sys
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
    PresetOption,
    RandomWeightsOption,
    SizeOption,
    SourcesArgument,
    StrictOption,
    WeightsOption,
    parse_size,
    print_notes,
    print_warnings,
)
from yolo_gp.cli.inputs import exit_with_failures, progress
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.tasks.detector import Detector
    from yolo_gp.tasks.results import Report
    from yolo_gp.tasks.sources import Sources
    from yolo_gp.tasks.writers import Writer

_Classes = Annotated[
    str | None,
    typer.Option("--classes", help="Report these classes only: ids or names, with commas."),
]
_SaveDir = Annotated[
    Path | None,
    typer.Option("--save-dir", help="New or empty folder for results; runs/detect/N by default."),
]
_SaveTxt = Annotated[bool, typer.Option("--save-txt", help="Also write YOLO txt files.")]
_SaveCrops = Annotated[bool, typer.Option("--save-crops", help="Also write every box's cut-out.")]
_NoSave = Annotated[bool, typer.Option("--no-save", help="Write no annotated images or videos.")]


def detect(
    sources: SourcesArgument,
    cfg: CfgOption = None,
    weights: WeightsOption = None,
    names: NamesOption = None,
    preset: PresetOption = "darknet",
    confidence: ConfidenceOption = None,
    iou: IouOption = None,
    max_det: MaxDetectionsOption = None,
    classes: _Classes = None,
    size: SizeOption = None,
    batch: BatchOption = 1,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    save_dir: _SaveDir = None,
    save_txt: _SaveTxt = False,
    save_crops: _SaveCrops = False,
    no_save: _NoSave = False,
    as_json: JsonOption = False,
    dialect: DialectOption = None,
    strict: StrictOption = False,
    random_weights: RandomWeightsOption = False,
    offline: OfflineOption = False,
) -> None:
    """Find objects: prints a table (or JSON), writes annotated pictures.

    Without --cfg and --weights it takes a small network that comes with yolo-gp and knows shapes
    only: something to try things out with.

    \b
    Examples:
      yolo-gp detect --cfg yolov4-tiny dog.jpg
      yolo-gp detect --weights best.safetensors photos/ --conf 0.4 --json --no-save
    """
    from yolo_gp.presets import find_preset
    from yolo_gp.tasks.detector import Detector, DetectorSettings
    from yolo_gp.tasks.models import ModelSource
    from yolo_gp.tasks.sources import open_sources
    from yolo_gp.zoo import DEFAULT_WEIGHTS

    if cfg is None and weights is None and not random_weights:
        weights = DEFAULT_WEIGHTS
        print_notes([f"no model is named: takes {weights}; --cfg and --weights name others"])
    model = ModelSource(
        cfg=cfg,
        weights=weights,
        names=names,
        size=parse_size(size),
        strict=strict,
        dialect=parse_dialect(dialect),
        random_weights=random_weights,
    )
    varied = find_preset(preset).varied(
        confidence=confidence, iou_threshold=iou, max_detections=max_det
    )
    settings = DetectorSettings(model=model, preset=varied, device=device, dtype=dtype)
    detector = Detector.load(settings, cache=visible_cache(offline=offline))
    print_warnings(detector.graph.warnings)
    print_notes(detector.notes)
    detector.class_filter = _class_ids(classes, detector)
    opened = open_sources(sources, stdin=sys.stdin, channels=detector.channels)
    folder = _result_folder(save_dir, wanted=save_txt or save_crops or not no_save)
    writers = _writers(folder, annotated=not no_save, txt=save_txt, crops=save_crops)
    report = _run(detector, opened, batch=batch, writers=writers)
    if as_json:
        print(report.to_json())
    elif report.images:
        print(report.to_table())
        print(f"conventions: preset {report.preset}", file=sys.stderr)
    _finish(report, folder)


def _class_ids(text: str | None, detector: Detector) -> frozenset[int] | None:
    if text is None:
        return None
    count = detector.graph.heads[0][1].num_classes
    ids = set()
    for word in (word.strip() for word in text.split(",")):
        if word in detector.names:
            ids.add(detector.names.index(word))
        elif word.isdecimal() and int(word) < count:
            ids.add(int(word))
        else:
            raise UsageError(
                f"--classes names {word!r}, which is no class of this network\n"
                f"expected: ids from 0 to {count - 1}, or names from the --names file"
            )
    return frozenset(ids)


def _result_folder(save_dir: Path | None, *, wanted: bool) -> Path | None:
    from yolo_gp.tasks.results import claim_folder, new_run_folder

    if not wanted:
        return None
    return claim_folder(save_dir) if save_dir else new_run_folder()


def _writers(folder: Path | None, *, annotated: bool, txt: bool, crops: bool) -> list[Writer]:
    from yolo_gp.tasks.writers import AnnotatedWriter, CropWriter, OutputNames, TxtWriter

    if folder is None:
        return []
    names = OutputNames()
    chosen = ((annotated, AnnotatedWriter), (txt, TxtWriter), (crops, CropWriter))
    return [kind(folder, names) for wanted, kind in chosen if wanted]


def _run(detector: Detector, sources: Sources, *, batch: int, writers: list[Writer]) -> Report:
    """Detect in all sources; Ctrl-C ends the run early, with what was found until then."""
    from yolo_gp.tasks.detect import detect_all
    from yolo_gp.tasks.results import Report

    report = Report(detector.preset.name)
    with progress(sources.count_hint()) as advance:
        detect_all(
            detector,
            sources,
            batch_size=batch,
            writers=writers,
            report=report,
            advance=advance,
        )
    return report


def _finish(report: Report, folder: Path | None) -> None:
    """Say where results are and what failed, and exit accordingly."""
    if folder is not None and report.images:
        print(f"results are in {folder}", file=sys.stderr)
    elif folder is not None:
        folder.rmdir()  # nothing was written into it
    exit_with_failures(report.failures, some_succeeded=bool(report.images))
