"""`yolo-gp val` for a detector."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from yolo_gp.cli.val_choices import (
    DataChoice,
    Output,
    Rules,
    chosen_device,
    print_problems,
    worked_through,
    write_and_print,
)
from yolo_gp.errors import ExitCode

if TYPE_CHECKING:
    from yolo_gp.data.annotations import AnnotatedDataset, Problem
    from yolo_gp.tasks.detector import Detector
    from yolo_gp.tasks.models import Model
    from yolo_gp.tasks.ranks import Ranks
    from yolo_gp.tasks.val import ValSettings
    from yolo_gp.tasks.val_run import Pace, Run


def measure_detector(
    model: Model,
    data: DataChoice,
    settings: ValSettings,
    rules: Rules,
    output: Output,
    ranks: Ranks,
) -> None:
    """COCO's AP and Darknet's mAP of a network with heads."""
    from yolo_gp.data.annotations import number_names
    from yolo_gp.data.opening import open_dataset
    from yolo_gp.tasks.val import detection_facts, detection_work
    from yolo_gp.tasks.val_run import open_run, weights_digest

    digest = weights_digest(model.network)
    detector = _detector(model, rules, ranks)
    dataset = open_dataset(
        data.spec,
        split=data.split,
        images=data.images,
        names=detector.names or number_names(detector.num_classes),
        masks=detector.proposes_masks,
    )
    if ranks.rank == 0:
        more = ", which yolo-gp data check lists"
        print_problems(_problems(dataset), strict=settings.strict, more=more)
    facts = detection_facts(detector, dataset, settings, digest)
    run = open_run(output.save_dir, output.resume, facts, ranks)
    pace = worked_through(detection_work(detector, dataset, settings), run, ranks)
    if pace is not None:
        _finish(detector, dataset, run, pace, output, model.cfg_name)


def _detector(model: Model, rules: Rules, ranks: Ranks) -> Detector:
    """The model made ready, with the rules' conventions."""
    from yolo_gp.tasks.detector import Detector
    from yolo_gp.tasks.inference import find_dtype
    from yolo_gp.tasks.val import val_preset

    device = chosen_device(rules, ranks)
    dtype = find_dtype(rules.dtype)
    preset = val_preset(rules.preset, model.graph).varied(
        confidence=rules.confidence, iou_threshold=rules.iou, max_detections=rules.max_det
    )
    return Detector(
        model.graph, model.network, preset, names=model.names, device=device, dtype=dtype
    )


def _problems(dataset: AnnotatedDataset) -> tuple[Problem, ...]:
    from tqdm import tqdm

    from yolo_gp.data.checking import check_dataset

    count = len(dataset.samples)
    with tqdm(total=count, unit="image", desc="check", disable=not sys.stderr.isatty()) as bar:
        return check_dataset(dataset, decode_images=False, advance=bar.update).problems


def _finish(
    detector: Detector,
    dataset: AnnotatedDataset,
    run: Run,
    pace: Pace,
    output: Output,
    cfg: str,
) -> None:
    """Evaluate what the journals hold, write and print it, and exit accordingly."""
    from yolo_gp.tasks.val_files import Conventions, metrics_json, speed, write_detections
    from yolo_gp.tasks.val_journal import JournalledImages
    from yolo_gp.tasks.val_metrics import evaluate
    from yolo_gp.tasks.val_packing import unpacked
    from yolo_gp.tasks.val_report import report

    if output.plots:
        from yolo_gp.tasks.val_plots import write_plots  # loads matplotlib

    conventions = Conventions(cfg, dataset.name, detector.preset, detector.graph.input_shape.size)
    with JournalledImages(run.journals, run.token, unpacked) as results:
        metrics = evaluate(dataset, results, detector.num_classes, detector.preset)
        measured = speed(results.seconds, len(results), pace)
        write_detections(run.folder / "detections.json", results, dataset.category_ids)
        if output.plots:
            write_plots(run.folder, dataset, results, metrics.curves)
    shown = (metrics, dataset.class_names, conventions, measured)
    write_and_print(metrics_json(*shown), report(*shown), run.folder, as_json=output.as_json)
    if metrics.problems:
        raise typer.Exit(ExitCode.FINDINGS)
