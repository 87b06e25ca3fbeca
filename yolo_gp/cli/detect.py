"""`yolo-gp detect`: boxes in images, videos, streams."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yolo_gp.cli.values import parse_size, print_warnings
from yolo_gp.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from yolo_gp.presets import Preset
    from yolo_gp.tasks.detector import Detector
    from yolo_gp.tasks.results import Report
    from yolo_gp.tasks.sources import Sources
    from yolo_gp.tasks.writers import Writer

_MANY = 8  # inputs from which a progress bar is worth its line


def detect(
    sources: list[str] = typer.Argument(
        ...,
        metavar="SOURCE...",
        help="Image, video, folder, glob, URL, camera number, or - for a list on stdin.",
    ),
    cfg: str = typer.Option(..., help="A cfg file, or the name of one that comes with yolo-gp."),
    weights: Path | None = typer.Option(None, help="Darknet .weights file of that cfg."),
    names: Path | None = typer.Option(None, help="File with one class name a line."),
    preset: str = typer.Option(
        "darknet", help="Conventions: darknet, opencv, ultralytics or coco."
    ),
    confidence: float | None = typer.Option(
        None, "--conf", help="Report boxes above this confidence, 0 to 1; the preset's by default."
    ),
    iou: float | None = typer.Option(
        None, "--iou", help="Suppress boxes that overlap more than this; the preset's by default."
    ),
    max_det: int | None = typer.Option(None, help="At most so many boxes an image."),
    classes: str | None = typer.Option(
        None, help="Report these classes only: ids or names, with commas."
    ),
    size: str | None = typer.Option(
        None, metavar="HxW", help="Network input, height x width in pixels; the cfg's by default."
    ),
    batch: int = typer.Option(1, min=1, help="Images per forward pass."),
    device: str = typer.Option("cpu", help="cpu, cuda, cuda:1, mps."),
    dtype: str = typer.Option("float32", help="float32, float16 or bfloat16."),
    save_dir: Path | None = typer.Option(
        None, help="New or empty folder for results; runs/detect/N by default."
    ),
    save_txt: bool = typer.Option(False, "--save-txt", help="Also write YOLO txt files."),
    save_crops: bool = typer.Option(False, "--save-crops", help="Also write every box's cut-out."),
    no_save: bool = typer.Option(False, "--no-save", help="Write no annotated images or videos."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object, no table."),
    strict: bool = typer.Option(False, "--strict", help="Treat warnings about the cfg as errors."),
    random_weights: bool = typer.Option(
        False, "--random-weights", help="Run untrained, to try things out."
    ),
) -> None:
    """Find objects: prints a table (or JSON), writes annotated pictures."""
    from yolo_gp.tasks.detector import Detector, ModelSettings
    from yolo_gp.tasks.sources import open_sources

    settings = ModelSettings(
        cfg=cfg,
        weights=weights,
        names=names,
        preset=_varied(preset, confidence, iou, max_det),
        device=device,
        dtype=dtype,
        size=parse_size(size),
        strict=strict,
        random_weights=random_weights,
    )
    detector = Detector.load(settings)
    print_warnings(detector.graph.warnings)
    detector.class_filter = _class_ids(classes, detector)
    opened = open_sources(sources, stdin=sys.stdin, channels=detector.channels)
    folder = _result_folder(save_dir, wanted=save_txt or save_crops or not no_save)
    writers = _writers(folder, annotated=not no_save, txt=save_txt, crops=save_crops)
    report = _run(detector, opened, batch=batch, writers=writers)
    print(report.to_json() if as_json else report.to_table())
    _finish(report, folder)


def _varied(name: str, confidence: float | None, iou: float | None, max_det: int | None) -> Preset:
    from yolo_gp.presets import find_preset

    preset = find_preset(name)
    return replace(
        preset,
        confidence=preset.confidence if confidence is None else confidence,
        iou_threshold=preset.iou_threshold if iou is None else iou,
        max_detections=preset.max_detections if max_det is None else max_det,
    )


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
    from tqdm import tqdm

    from yolo_gp.tasks.detect import detect_all
    from yolo_gp.tasks.results import Report

    report = Report(detector.preset.name)
    count = sources.count_hint()
    hidden = not sys.stderr.isatty() or (count is not None and count < _MANY)
    with tqdm(total=count, unit="image", disable=hidden) as bar:
        try:
            detect_all(
                detector,
                sources,
                batch_size=batch,
                writers=writers,
                report=report,
                advance=bar.update,
            )
        except KeyboardInterrupt:
            print("interrupted; what was found so far follows", file=sys.stderr)
    return report


def _finish(report: Report, folder: Path | None) -> None:
    """Say where results are and what failed, and exit accordingly."""
    if folder is not None and report.images:
        print(f"results are in {folder}", file=sys.stderr)
    if not report.failures:
        return
    print(f"{len(report.failures)} of the inputs failed:", file=sys.stderr)
    for failure in report.failures:
        print(f"  {failure}", file=sys.stderr)
    raise typer.Exit(ExitCode.FINDINGS if report.images else ExitCode.DATA)
