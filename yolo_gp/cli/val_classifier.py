"""`yolo-gp val` for a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from yolo_gp.cli.flags import print_notes
from yolo_gp.cli.val_choices import (
    DataChoice,
    Output,
    Rules,
    chosen_device,
    print_problems,
    worked_through,
    write_and_print,
)
from yolo_gp.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from yolo_gp.data.classified import ClassifiedImages
    from yolo_gp.tasks.classifier import Classifier
    from yolo_gp.tasks.models import Model
    from yolo_gp.tasks.ranks import Ranks
    from yolo_gp.tasks.val import ValSettings
    from yolo_gp.tasks.val_run import Pace, Run


def measure_classifier(
    model: Model,
    data: DataChoice,
    settings: ValSettings,
    rules: Rules,
    output: Output,
    ranks: Ranks,
) -> None:
    """Top-1 and top-5 accuracy of a network without heads."""
    from yolo_gp.data.class_opening import open_classified
    from yolo_gp.tasks.classifier import Classifier
    from yolo_gp.tasks.inference import find_dtype
    from yolo_gp.tasks.val_classifier import classifier_facts, classifier_work
    from yolo_gp.tasks.val_run import open_run, weights_digest

    _refuse_what_detectors_take(data, rules)
    digest = weights_digest(model.network)
    classifier = Classifier(
        model.graph,
        model.network,
        names=model.names,
        device=chosen_device(rules, ranks),
        dtype=find_dtype(rules.dtype),
    )
    dataset = open_classified(
        data.spec, split=data.split, names=classifier.names, count=classifier.num_classes
    )
    if ranks.rank == 0:
        print_notes(dataset.notes)
        print_problems(dataset.problems, strict=settings.strict, more="")
    facts = classifier_facts(classifier, dataset, settings, digest)
    run = open_run(output.save_dir, output.resume, facts, ranks)
    pace = worked_through(classifier_work(classifier, dataset, settings), run, ranks)
    if pace is not None:
        _finish(classifier, dataset, run, pace, output, model.cfg_name)


def _refuse_what_detectors_take(data: DataChoice, rules: Rules) -> None:
    given = {
        "--preset": rules.preset,
        "--conf": rules.confidence,
        "--iou": rules.iou,
        "--max-det": rules.max_det,
        "--images": data.images,
    }
    for flag, value in given.items():
        if value is not None:
            raise UsageError(
                f"{flag} has no effect on a classifier\n"
                "expected: a cfg with a detection head, such as [yolo], or the command without "
                f"{flag}"
            )


def _finish(
    classifier: Classifier,
    dataset: ClassifiedImages,
    run: Run,
    pace: Pace,
    output: Output,
    cfg: str,
) -> None:
    """Evaluate what the journals hold, write and print it, and exit accordingly."""
    from yolo_gp.tasks.val_classifier import evaluate_classes, unpack_classes
    from yolo_gp.tasks.val_classifier_files import (
        ClassifierConventions,
        classifier_json,
        classifier_report,
        write_predictions,
    )
    from yolo_gp.tasks.val_files import speed
    from yolo_gp.tasks.val_journal import JournalledImages

    size = classifier.graph.input_shape.size
    conventions = ClassifierConventions(cfg, dataset.name, size)
    with JournalledImages(run.journals, run.token, unpack_classes) as results:
        metrics = evaluate_classes(dataset, results, classifier.num_classes)
        measured = speed(results.seconds, len(results), pace)
        write_predictions(run.folder / "predictions.json", dataset, results)
    if output.plots:
        from yolo_gp.plots.confusion import write_class_confusion  # loads matplotlib

        write_class_confusion(run.folder / "confusion.png", metrics.top_k, dataset.class_names)
    shown = (metrics, dataset.class_names, conventions, measured)
    figures, report = classifier_json(*shown), classifier_report(*shown)
    write_and_print(figures, report, run.folder, as_json=output.as_json)
    if metrics.problems:
        raise typer.Exit(ExitCode.FINDINGS)
