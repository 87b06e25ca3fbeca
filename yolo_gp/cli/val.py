"""`yolo-gp val`: how good a network is on annotated images."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    BatchOption,
    CfgOption,
    ConfidenceOption,
    DeviceOption,
    DtypeOption,
    IouOption,
    JsonOption,
    MaxDetectionsOption,
    NamesOption,
    OfflineOption,
    SizeOption,
    WeightsOption,
    parse_size,
    print_notes,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import DataError, ExitCode
from yolo_gp.files import write_atomically

if TYPE_CHECKING:
    from yolo_gp.data.annotations import AnnotatedDataset
    from yolo_gp.tasks.detector import Detector
    from yolo_gp.tasks.models import Model, ModelSource
    from yolo_gp.tasks.val import ValSettings
    from yolo_gp.tasks.val_ranks import Ranks
    from yolo_gp.tasks.val_run import Pace, Run

_Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="Annotated images: COCO .json, YOLO .yaml, Darknet .data, a .txt list, or a folder.",
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
_RandomWeights = Annotated[
    bool, typer.Option("--random-weights", help="Run untrained, to try things out.")
]
_SHOWN = 10  # problems of the data that are listed
_MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class _Output:
    """Where results go, as the flags say."""

    save_dir: Path | None
    resume: Path | None
    plots: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _DataChoice:
    """Which data, as the flags say."""

    spec: str
    split: str
    images: Path | None


@dataclass(frozen=True, slots=True)
class _Rules:
    """By what conventions, as the flags say; None takes the preset's."""

    preset: str | None
    confidence: float | None
    iou: float | None
    max_det: int | None
    device: str
    dtype: str
    offline: bool


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
    strict: _Strict = False,
    as_json: JsonOption = False,
    random_weights: _RandomWeights = False,
    offline: OfflineOption = False,
) -> None:
    """Measure COCO's AP and Darknet's mAP.

    Prints both side by side, and why they differ. Writes metrics.json and detections.json (COCO
    results) into the folder for results. Ctrl-C stops a run so that --resume goes on with it;
    torchrun -m yolo_gp val shares it out.

    \b
    Examples:
      yolo-gp val --cfg yolov4-tiny --data annotations/instances_val2017.json
      yolo-gp val --weights best.safetensors --data my-set.yaml --plots
    """
    from yolo_gp.tasks.models import ModelSource
    from yolo_gp.tasks.val import ValSettings
    from yolo_gp.tasks.val_ranks import joined_ranks

    model = ModelSource(
        cfg=cfg,
        weights=weights,
        names=names,
        size=parse_size(size),
        strict=strict,
        random_weights=random_weights,
    )
    rules = _Rules(preset, confidence, iou, max_det, device, dtype, offline)
    output = _Output(save_dir, resume, plots, as_json)
    with joined_ranks() as ranks:
        if workers is None:
            workers = max(1, min(_MOST_WORKERS, (os.cpu_count() or 1) // ranks.world))
        settings = ValSettings(batch_size=batch, workers=workers, strict=strict)
        _validate(model, _DataChoice(data, split, images), settings, rules, output, ranks)


def _validate(
    model: ModelSource,
    data: _DataChoice,
    settings: ValSettings,
    rules: _Rules,
    output: _Output,
    ranks: Ranks,
) -> None:
    from yolo_gp.data.annotations import number_names
    from yolo_gp.data.opening import open_dataset
    from yolo_gp.tasks.models import load_model
    from yolo_gp.tasks.val_run import open_run, run_facts, weights_digest

    loaded = load_model(model, cache=visible_cache(offline=rules.offline))
    digest = weights_digest(loaded.network)
    detector = _detector(loaded, rules, ranks)
    dataset = open_dataset(
        data.spec,
        split=data.split,
        images=data.images,
        names=detector.names or number_names(detector.num_classes),
        masks=detector.proposes_masks,
    )
    if ranks.rank == 0:
        print_warnings(detector.graph.warnings)
        print_notes(loaded.notes)
        _check(dataset, strict=settings.strict)
    facts = run_facts(detector, dataset, settings, digest)
    run = open_run(output.save_dir, output.resume, facts, ranks)
    pace = _find_all(detector, dataset, settings, run, ranks)
    if pace is not None:
        _finish(detector, dataset, run, pace, output, loaded.cfg_name)


def _detector(model: Model, rules: _Rules, ranks: Ranks) -> Detector:
    """The model made ready, with the rules' conventions; each process takes a GPU of its own."""
    from yolo_gp.tasks.detector import Detector, find_device, find_dtype
    from yolo_gp.tasks.val import val_preset

    spread = rules.device == "cuda" and ranks.world > 1
    device = find_device(f"cuda:{ranks.local_rank}" if spread else rules.device)
    dtype = find_dtype(rules.dtype)
    preset = val_preset(rules.preset, model.graph).varied(
        confidence=rules.confidence, iou_threshold=rules.iou, max_detections=rules.max_det
    )
    return Detector(
        model.graph, model.network, preset, names=model.names, device=device, dtype=dtype
    )


def _check(dataset: AnnotatedDataset, *, strict: bool) -> None:
    """Say what is wrong with the data before hours are spent on it.

    Raises:
        DataError: something is, and `strict` is set.
    """
    from tqdm import tqdm

    from yolo_gp.data.checking import check_dataset

    count = len(dataset.samples)
    with tqdm(total=count, unit="image", desc="check", disable=not sys.stderr.isatty()) as bar:
        problems = check_dataset(dataset, decode_images=False, advance=bar.update).problems
    if not problems:
        return
    lines = [problem.render() for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"... and {len(problems) - _SHOWN} more, which yolo-gp data check lists")
    if strict:
        raise DataError("\n".join([*lines, "help: without --strict the run goes on past them"]))
    print("\n".join(lines), file=sys.stderr)


def _find_all(
    detector: Detector, dataset: AnnotatedDataset, settings: ValSettings, run: Run, ranks: Ranks
) -> Pace | None:
    """Detect in all images; Ctrl-C ends the run so that it can go on later."""
    from tqdm import tqdm

    from yolo_gp.tasks.val_run import find_all

    hidden = ranks.rank > 0 or not sys.stderr.isatty()
    with tqdm(unit="image", disable=hidden) as bar:
        try:
            return find_all(
                detector,
                dataset,
                settings,
                run,
                ranks,
                begin=bar.reset,
                advance=bar.update,
            )
        except KeyboardInterrupt:
            print(f"interrupted; go on with --resume {run.folder}", file=sys.stderr)
            raise typer.Exit(ExitCode.FINDINGS) from None


def _finish(
    detector: Detector,
    dataset: AnnotatedDataset,
    run: Run,
    pace: Pace,
    output: _Output,
    cfg: str,
) -> None:
    """Evaluate what the journals hold, write and print it, and exit accordingly."""
    from yolo_gp.tasks.val_files import Conventions, metrics_json, speed, write_detections
    from yolo_gp.tasks.val_journal import JournalledImages
    from yolo_gp.tasks.val_metrics import evaluate
    from yolo_gp.tasks.val_report import report

    if output.plots:
        from yolo_gp.tasks.val_plots import write_plots  # loads matplotlib

    conventions = Conventions(cfg, dataset.name, detector.preset, detector.graph.input_shape.size)
    with JournalledImages(run.journals, run.token) as results:
        metrics = evaluate(dataset, results, detector.num_classes, detector.preset)
        measured = speed(results.seconds, len(results), pace)
        write_detections(run.folder / "detections.json", results, dataset.category_ids)
        if output.plots:
            write_plots(run.folder, dataset, results, metrics.curves)
    figures = metrics_json(metrics, dataset.class_names, conventions, measured)
    write_atomically(run.folder / "metrics.json", f"{figures}\n")
    print(
        figures if output.as_json else report(metrics, dataset.class_names, conventions, measured)
    )
    print(f"results are in {run.folder}", file=sys.stderr)
    if metrics.problems:
        raise typer.Exit(ExitCode.FINDINGS)
