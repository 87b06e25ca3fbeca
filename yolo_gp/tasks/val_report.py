"""The figures of a val run as text for people."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from yolo_gp.analysis.tables import align
from yolo_gp.metrics.coco import CocoMetrics
from yolo_gp.metrics.darknet import DarknetMetrics
from yolo_gp.shapes import format_size
from yolo_gp.tasks.results import shorten
from yolo_gp.tasks.val_files import Conventions, Speed
from yolo_gp.tasks.val_metrics import ImageProblem, ValMetrics

_WIDTH = 100  # columns of running text
_NAME = 24  # columns of a class name
_SHOWN = 10  # unusable images listed

Row = tuple[str, ...]


def report(
    metrics: ValMetrics, names: Sequence[str], conventions: Conventions, measured: Speed
) -> str:
    """All figures as a few tables; absent figures are dashes.

    Args:
        names: of the classes, by id.
    """
    parts = [
        _head(metrics, conventions),
        _coco_table(metrics),
        _darknet_table(metrics.darknet),
        textwrap.fill(metrics.gap, _WIDTH),
        _class_table(metrics, names),
        _best_f1(metrics),
        speed_line(measured),
    ]
    if metrics.problems:
        kept = "where their labels can be read, their objects count as missed"
        parts.append(unusable_lines(metrics.images, metrics.problems, kept))
    return "\n\n".join(parts)


def _head(metrics: ValMetrics, conventions: Conventions) -> str:
    preset = conventions.preset
    objects = sum(one.objects for one in metrics.darknet.classes)
    return (
        f"{conventions.data}: {metrics.images} images, {objects} objects of "
        f"{metrics.darknet.present} of {len(metrics.darknet.classes)} classes\n"
        f"conventions: preset {preset.name}, confidence {preset.confidence:g}, "
        f"NMS {preset.iou_threshold:g}, input {format_size(conventions.size)}"
    )


def _coco_table(metrics: ValMetrics) -> str:
    found = [("box", metrics.box)] + ([("mask", metrics.mask)] if metrics.mask else [])
    precision: list[Row] = [("COCO", "AP", "AP50", "AP75", "small", "medium", "large")]
    recall: list[Row] = [("", "AR 1", "AR 10", "AR 100", "small", "medium", "large")]
    for name, figures in found:
        precision.append((name, *map(_share, _precisions(figures))))
        recall.append((name, *map(_share, _recalls(figures))))
    return _aligned(precision + recall)


def _precisions(figures: CocoMetrics) -> tuple[float, ...]:
    return (
        figures.ap,
        figures.ap50,
        figures.ap75,
        figures.ap_small,
        figures.ap_medium,
        figures.ap_large,
    )


def _recalls(figures: CocoMetrics) -> tuple[float, ...]:
    return (
        figures.ar_1,
        figures.ar_10,
        figures.ar_100,
        figures.ar_small,
        figures.ar_medium,
        figures.ar_large,
    )


def _darknet_table(found: DarknetMetrics) -> str:
    counts = found.counts
    table = _aligned(
        [
            ("Darknet", "area", "11 points", "101 points"),
            ("mAP", _percent(found.map_area), _percent(found.map_11), _percent(found.map_101)),
        ]
    )
    return (
        f"{table}\nat confidence {found.confidence:g}: precision {counts.precision:.2f}, recall "
        f"{counts.recall:.2f}, F1 {counts.f1:.2f}, average IoU {_percent(counts.average_iou)}"
    )


def _class_table(metrics: ValMetrics, names: Sequence[str]) -> str:
    """One line for each class that has objects."""
    mask = metrics.mask
    rows: list[Row] = [
        ("class", "objects", "AP", "AP50", *(["mask AP"] if mask else []), "Darknet AP", "best F1")
    ]
    for class_id, name in enumerate(names):
        one = metrics.darknet.classes[class_id]
        if not one.objects:
            continue
        rows.append(
            (
                shorten(name, _NAME),
                str(one.objects),
                _share(metrics.box.class_ap[class_id]),
                _share(metrics.box.class_ap50[class_id]),
                *([_share(mask.class_ap[class_id])] if mask else []),
                _percent(one.ap_area),
                _share(metrics.curves.classes[class_id].best_f1),
            )
        )
    return _aligned(rows)


def _best_f1(metrics: ValMetrics) -> str:
    best = metrics.curves.pooled
    if math.isnan(best.best_f1):
        return "no detection is right, so no confidence is best"
    return f"best F1 {best.best_f1:.3f} at confidence {best.best_confidence:.3f}, at IoU .5"


def speed_line(measured: Speed) -> str:
    """How quickly a run went, in a sentence."""
    through = measured.images_per_second
    return (
        f"an image takes {measured.pre:.1f} ms to prepare (one worker), {measured.forward:.1f} ms "
        f"in the network, {measured.post:.1f} ms to post-process; "
        + (f"{through:.1f} images/s end to end" if through else "all had been done before")
    )


def unusable_lines(images: int, problems: Sequence[ImageProblem], what_becomes: str) -> str:
    """The images of a run that could not be used.

    Args:
        images: how many the data set has.
        what_becomes: how they count, as a clause.
    """
    lines = [
        f"{len(problems)} of {images} images could not be used; {what_becomes}:",
        *(f"  {problem.reason}" for problem in problems[:_SHOWN]),
    ]
    if len(problems) > _SHOWN:
        lines.append(f"  ... and {len(problems) - _SHOWN} more")
    return "\n".join(lines)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _aligned(rows: Sequence[Row]) -> str:
    """The first column to the left, the others to the right."""
    return align(rows, range(1, len(rows[0])))
