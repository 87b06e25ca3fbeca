"""What a val run of a classifier writes: all figures as JSON and as text, each image's classes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.analysis.tables import align
from yolo_gp.data.classified import UNKNOWN, ClassifiedImages
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason, replacing
from yolo_gp.metrics.top_k import NOTHING, TOP, TopK, most_frequent_errors
from yolo_gp.shapes import format_size
from yolo_gp.tasks.results import printable, shorten
from yolo_gp.tasks.val_classifier import ClassifierMetrics, ImageClasses
from yolo_gp.tasks.val_files import Speed, speed_json
from yolo_gp.tasks.val_report import speed_line, unusable_lines

_SCHEMA_VERSION = 1
_NAME = 24  # columns of a class name
_CLASSES = 50  # classes of a table; of more, those that do worst
_ERRORS = 10  # pairs of classes that are listed


@dataclass(frozen=True, slots=True)
class ClassifierConventions:
    """Under what rules a run went, as its results say.

    Fields:
        size: (height, width) of the network's input in pixels.
    """

    cfg: str
    data: str
    size: tuple[int, int]


def classifier_json(
    metrics: ClassifierMetrics,
    names: Sequence[str],
    conventions: ClassifierConventions,
    measured: Speed,
) -> str:
    """All figures as one JSON object; null where there is nothing to measure against.

    Args:
        names: of the classes, by id.
    """
    top_k = metrics.top_k
    content: dict[str, object] = {
        "schema_version": _SCHEMA_VERSION,
        "cfg": conventions.cfg,
        "data": conventions.data,
        "images": metrics.images,
        "input_height": conventions.size[0],
        "input_width": conventions.size[1],
        "top_1": _number(top_k.top_1),
        "top_5": _number(top_k.top_5),
        "top_1_class_mean": _number(top_k.class_mean),
        "classes": [_class_json(top_k, class_id, name) for class_id, name in enumerate(names)],
        "confusion": [
            {
                "class_id": one.shown,
                "given": None if one.said == NOTHING else one.said,
                "images": one.images,
            }
            for one in top_k.confusions
        ],
        "unusable": [{"file": p.file, "reason": p.reason} for p in metrics.problems],
        "speed": speed_json(measured),
    }
    return json.dumps(content, indent=1)


def _class_json(top_k: TopK, class_id: int, name: str) -> dict[str, object]:
    images = int(top_k.images[class_id])
    few = len(top_k.images) <= TOP
    return {
        "class_id": class_id,
        "name": name,
        "images": images,
        "top_1": int(top_k.right[class_id]) / images if images else None,
        "top_5": int(top_k.among_five[class_id]) / images if images and not few else None,
    }


def write_predictions(
    path: Path, dataset: ClassifiedImages, results: Sequence[ImageClasses]
) -> None:
    """Write for each image its class and the five that the network gives it, as a JSON list.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with replacing(path) as file:
            separator = b"[\n"
            for result in results:
                file.write(separator + _prediction(dataset, result).encode())
                separator = b",\n"
            file.write(b"\n]\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {os_reason(error)}") from error


def _prediction(dataset: ClassifiedImages, result: ImageClasses) -> str:
    shown = int(dataset.class_ids[result.index])
    said = zip(result.best, result.scores, strict=True)
    return json.dumps(
        {
            "file": str(dataset.path(result.index)),
            "class_id": None if shown == UNKNOWN else shown,
            "given": [{"class_id": i, "score": float(f"{score:.6g}")} for i, score in said],
        }
    )


def classifier_report(
    metrics: ClassifierMetrics,
    names: Sequence[str],
    conventions: ClassifierConventions,
    measured: Speed,
) -> str:
    """All figures as a few tables; absent figures are dashes.

    Args:
        names: of the classes, by id.
    """
    top_k = metrics.top_k
    present = int((top_k.images > 0).sum())
    head = (
        f"{conventions.data}: {metrics.images} images of {present} of {len(names)} classes\n"
        f"conventions: Darknet's centre crop, input {format_size(conventions.size)}"
    )
    shares = f"top-1 {_percent(top_k.top_1)}"
    if len(names) > TOP:
        shares += f", top-5 {_percent(top_k.top_5)}"
    shares += f"; mean of the classes' top-1 {_percent(top_k.class_mean)}"
    parts = [head, shares, _class_table(top_k, names)]
    if errors := most_frequent_errors(top_k.confusions, _ERRORS):
        rows = [("shown", "given", "images")]
        rows += [(_name(names, e.shown), _name(names, e.said), str(e.images)) for e in errors]
        parts.append(f"most frequent errors\n{align(rows, (2,))}")
    parts.append(speed_line(measured))
    if metrics.problems:
        kept = "those whose class is known count as wrong"
        parts.append(unusable_lines(metrics.images, metrics.problems, kept))
    return "\n\n".join(parts)


def _class_table(top_k: TopK, names: Sequence[str]) -> str:
    """A line for each class that has images; of many classes only those that do worst."""
    shown = [i for i in range(len(names)) if top_k.images[i]]
    left_out = len(shown) - _CLASSES
    if left_out > 0:
        shares = top_k.right / top_k.images.clip(1)
        shown = sorted(sorted(shown, key=lambda i: float(shares[i]))[:_CLASSES])
    five = len(names) > TOP
    rows = [("class", "images", "top-1", *(["top-5"] if five else []))]
    for i in shown:
        images = int(top_k.images[i])
        cells = [top_k.right[i]] + ([top_k.among_five[i]] if five else [])
        shares_of = (_percent(int(cell) / images) for cell in cells)
        rows.append((_name(names, i), str(images), *shares_of))
    table = align(rows, range(1, len(rows[0])))
    if left_out > 0:
        table += f"\n{left_out} classes that do better are left out; metrics.json has all"
    return table


def _name(names: Sequence[str], class_id: int) -> str:
    return shorten(printable(names[class_id]), _NAME)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f} %"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
