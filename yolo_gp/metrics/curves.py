"""Precision, recall and F1 against the confidence that is asked for.

Legend: N detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.metrics.matching import Flags, Floats, Indices, match
from yolo_gp.metrics.records import EvaluatedImage

THRESHOLDS = np.arange(1001) / 1000
"""The confidences at which curves are known: 0, .001, ... 1."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceCurve:
    """What stands of the detections of at least a confidence, at each of `THRESHOLDS`.

    Fields:
        objects: how many there are to find, but for ignored ones.
        precision: (1001,) float64; nan where nothing is found with so much confidence.
        recall: (1001,) float64; nan without objects.
        f1: (1001,) float64; nan where there is neither object nor detection.
        best_confidence: the highest confidence, among those of the detections, that gives the
            best F1; nan if no detection is right.
        best_f1: that F1; nan if no detection is right.
    """

    objects: int
    precision: Floats
    recall: Floats
    f1: Floats
    best_confidence: float
    best_f1: float


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The curves of a data set at one IoU.

    Fields:
        iou_threshold: how much a detection has to overlap its object.
        pooled: of all classes together; each object has the same weight.
        classes: by class id.
    """

    iou_threshold: float
    pooled: ConfidenceCurve
    classes: tuple[ConfidenceCurve, ...]


def confidence_curves(
    images: Sequence[EvaluatedImage], class_count: int, *, iou_threshold: float = 0.5
) -> Curves:
    """The curves of a data set; who found what is COCO's rule, `matching.match`.

    Args:
        images: whose class ids are below `class_count`.
    """
    confidences, class_ids, correct = _counted_detections(images, iou_threshold)
    regular = [image.truth.class_ids[~image.truth.ignored] for image in images]
    objects = np.bincount(np.concatenate([np.zeros(0, np.int64), *regular]), minlength=class_count)
    order = np.argsort(-confidences, kind="stable")
    confidences, class_ids, correct = confidences[order], class_ids[order], correct[order]
    by_class = np.argsort(class_ids, kind="stable")
    parts = np.split(by_class, np.searchsorted(class_ids[by_class], np.arange(1, class_count)))
    return Curves(
        iou_threshold=iou_threshold,
        pooled=_curve(confidences, correct, int(objects.sum())),
        classes=tuple(
            _curve(confidences[part], correct[part], number)
            for part, number in zip(parts, objects.tolist(), strict=True)
        ),
    )


def _counted_detections(
    images: Sequence[EvaluatedImage], iou_threshold: float
) -> tuple[NDArray[np.float32], Indices, Flags]:
    """Confidence, class and rightness of all detections but those on ignored objects: (N,) each."""
    confidences, class_ids = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
    correct = [np.zeros(0, np.bool_)]
    for image in images:
        matched = match(image, iou_threshold)
        counted = ~matched.ignored
        confidences.append(image.found.confidences[counted])
        class_ids.append(image.found.class_ids[counted])
        correct.append(matched.correct[counted])
    return np.concatenate(confidences), np.concatenate(class_ids), np.concatenate(correct)


def _curve(confidences: NDArray[np.float32], correct: Flags, objects: int) -> ConfidenceCurve:
    """The curve of detections (N,) by falling confidence."""
    hits = np.concatenate(([0], np.cumsum(correct)))
    wanted = THRESHOLDS.astype(np.float32)  # as the confidences, else .9 would be below .9
    above = len(confidences) - np.searchsorted(confidences[::-1], wanted)
    found = np.arange(1, len(confidences) + 1)
    f1 = 2 * hits[1:] / (found + objects)
    last = np.append(confidences[1:] != confidences[:-1], True)[: len(f1)]  # of its confidence
    best = int(np.where(last, f1, -1.0).argmax()) if hits[-1] else None
    return ConfidenceCurve(
        objects=objects,
        precision=_shares(hits[above], above),
        recall=_shares(hits[above], np.full_like(above, objects)),
        f1=_shares(2 * hits[above], above + objects),
        best_confidence=float("nan") if best is None else float(confidences[best]),
        best_f1=float("nan") if best is None else float(f1[best]),
    )


def _shares(parts: Indices, wholes: Indices) -> Floats:
    """Quotients; nan where there is nothing to divide by."""
    shares: Floats = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
