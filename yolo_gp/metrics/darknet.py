"""Darknet's mean average precision, by its own counting rules.

Legend: R records (a box and one of its classes), N of them in a class, C classes.
Source: darknet.md 7.3, Darknet src/detector.c validate_detector_map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.metrics.matching import NONE, Flags, Floats, Indices, overlaps_within_class
from yolo_gp.metrics.records import EvaluatedImage


@dataclass(frozen=True, slots=True)
class Counts:
    """How many were right at one confidence threshold, and how well they fit.

    Fields:
        correct: detections that found an object; Darknet's TP.
        wrong: all other detections; Darknet's FP.
        missed: objects that no detection found; Darknet's FN.
        overlap: the sum of IoU over the correct ones.
    """

    correct: int
    wrong: int
    missed: int
    overlap: float

    @property
    def precision(self) -> float:
        """Correct among the detections; 0 if there are none."""
        return _ratio(self.correct, self.correct + self.wrong)

    @property
    def recall(self) -> float:
        """Found among the objects; 0 if there are none."""
        return _ratio(self.correct, self.correct + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if nothing was right."""
        return _ratio(2 * self.correct, 2 * self.correct + self.wrong + self.missed)

    @property
    def average_iou(self) -> float:
        """Mean IoU of the detections, where wrong ones count as 0."""
        return _ratio(self.overlap, self.correct + self.wrong)


@dataclass(frozen=True, slots=True)
class DarknetClass:
    """What Darknet says of one class.

    Fields:
        objects: in the ground truth, but for ignored ones.
        ap_area: area under the precision envelope; 0 without objects.
        ap_11, ap_101: mean of that envelope at 11 or 101 recalls.
        counts: at the confidence threshold.
    """

    objects: int
    ap_area: float
    ap_11: float
    ap_101: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class DarknetMetrics:
    """What Darknet's `detector map` says, all in 0..1.

    Fields:
        iou_threshold, confidence: what was asked for.
        classes: by class id.
        map_area, map_11, map_101: means over all classes, where those without objects count as 0.
        ignored: objects of the ground truth that were left out.
    """

    iou_threshold: float
    confidence: float
    classes: tuple[DarknetClass, ...]
    map_area: float
    map_11: float
    map_101: float
    ignored: int

    @property
    def present(self) -> int:
        """Classes that have objects."""
        return sum(one.objects > 0 for one in self.classes)

    @property
    def map_present(self) -> float:
        """`map_area` over the classes that have objects; 0 if none has."""
        return _ratio(sum(one.ap_area for one in self.classes), self.present)

    @property
    def map_present_101(self) -> float:
        """`map_101` over the classes that have objects; 0 if none has."""
        return _ratio(sum(one.ap_101 for one in self.classes), self.present)

    @property
    def counts(self) -> Counts:
        """At the confidence threshold, of all classes together."""
        every = [one.counts for one in self.classes]
        return Counts(
            correct=sum(one.correct for one in every),
            wrong=sum(one.wrong for one in every),
            missed=sum(one.missed for one in every),
            overlap=sum(one.overlap for one in every),
        )


def evaluate_darknet(
    images: Sequence[EvaluatedImage],
    class_count: int,
    *,
    iou_threshold: float = 0.5,
    confidence: float = 0.25,
) -> DarknetMetrics:
    """What Darknet's `detector map` says of a data set.

    A detection goes with the object of its class that it overlaps most, by more than
    `iou_threshold`, and with no other; the most confident one of an object is right. Equal
    confidences stay in the order of the images and, in an image, of its detections; Darknet leaves
    their order to chance.

    Crowds are not there: Darknet's label files leave them out, so a detection on one is wrong.
    Other ignored objects are Darknet's list of difficult ones: a detection on one, if on no
    other, is left out of average precision; Darknet still counts it as wrong at `confidence`.

    Args:
        images: whose class ids are below `class_count`.
        iou_threshold: as Darknet's -iou_thresh.
        confidence: for precision, recall, F1 and average IoU; as Darknet's -thresh.
    """
    records = _records(images, iou_threshold)
    regular = [image.truth.class_ids[~image.truth.ignored] for image in images]
    objects = np.bincount(np.concatenate([np.zeros(0, np.int64), *regular]), minlength=class_count)
    correct = _correct_by_class(records, class_count)
    counts = _counts(records, objects, confidence)
    classes = [
        _class(flags, int(number), at_confidence)
        for flags, number, at_confidence in zip(correct, objects, counts, strict=True)
    ]
    return DarknetMetrics(
        iou_threshold=iou_threshold,
        confidence=confidence,
        classes=tuple(classes),
        map_area=_ratio(sum(one.ap_area for one in classes), class_count),
        map_11=_ratio(sum(one.ap_11 for one in classes), class_count),
        map_101=_ratio(sum(one.ap_101 for one in classes), class_count),
        ignored=sum(int(image.truth.ignored.sum()) for image in images),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """The detections of all images, in the order given.

    Fields:
        confidences: (R,) float32.
        class_ids: (R,) int64.
        objects: (R,) int64; the object each goes with, numbered through all images; -1 for none.
        overlaps: (R,) float64; IoU with it.
        removed: (R,) bool; it goes with no object, but lies on a difficult one.
    """

    confidences: NDArray[np.float32]
    class_ids: Indices
    objects: Indices
    overlaps: Floats
    removed: Flags


def _records(images: Sequence[EvaluatedImage], iou_threshold: float) -> _Records:
    objects, overlaps, removed = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, np.bool_)]
    first = 0
    for image in images:
        truth = image.truth
        regular = ~truth.ignored
        own, own_overlaps, lies_on_difficult = _best_objects(image, iou_threshold)
        objects.append(np.where(own == NONE, NONE, first + own))
        overlaps.append(own_overlaps)
        removed.append(lies_on_difficult)
        first += int(regular.sum())
    found = [image.found for image in images]
    return _Records(
        np.concatenate([np.zeros(0, np.float32), *(one.confidences for one in found)]),
        np.concatenate([np.zeros(0, np.int64), *(one.class_ids for one in found)]),
        np.concatenate(objects),
        np.concatenate(overlaps),
        np.concatenate(removed),
    )


def _best_objects(image: EvaluatedImage, iou_threshold: float) -> tuple[Indices, Floats, Flags]:
    """What `_Records` says of one image; its objects, but for ignored ones, numbered from 0."""
    truth = image.truth
    every = overlaps_within_class(image)
    regular = np.column_stack((every[:, ~truth.ignored], np.zeros(len(every))))
    best = regular.argmax(axis=1)  # the first of equals, as in Darknet
    overlaps = np.take_along_axis(regular, best[:, None], axis=1)[:, 0]
    matched = overlaps > iou_threshold
    difficult = every[:, truth.ignored & ~truth.crowd]
    removed = ~matched & np.any(difficult > iou_threshold, axis=1)
    return np.where(matched, best, NONE), np.where(matched, overlaps, 0.0), removed


def _correct_by_class(records: _Records, class_count: int) -> list[Flags]:
    """For each class, of its records by falling confidence, which is right: C times (N,) bool."""
    order = np.argsort(-records.confidences, kind="stable")
    order = order[~records.removed[order]]
    correct = _firsts(records.objects[order])
    class_ids = records.class_ids[order]
    by_class = np.argsort(class_ids, kind="stable")
    bounds = np.searchsorted(class_ids[by_class], np.arange(1, class_count))
    return np.split(correct[by_class], bounds)


def _firsts(objects: Indices) -> Flags:
    """Which of the records (R,) is the first of its object: (R,) bool."""
    flags = np.zeros(len(objects), dtype=np.bool_)
    flags[np.unique(objects, return_index=True)[1]] = True
    flags[objects == NONE] = False
    return flags


def _counts(records: _Records, objects: Indices, confidence: float) -> list[Counts]:
    """What stands at a confidence threshold, class by class, for (C,) objects in the classes."""
    above = records.confidences > confidence
    correct = above & _firsts(records.objects)
    class_count = len(objects)
    hits = np.bincount(records.class_ids[correct], minlength=class_count)
    misses = np.bincount(records.class_ids[above & ~correct], minlength=class_count)
    overlap = np.bincount(
        records.class_ids[correct], weights=records.overlaps[correct], minlength=class_count
    )
    table = zip(hits.tolist(), misses.tolist(), objects.tolist(), overlap.tolist(), strict=True)
    return [Counts(hit, miss, number - hit, iou) for hit, miss, number, iou in table]


def _class(correct: Flags, objects: int, counts: Counts) -> DarknetClass:
    """Average precision of one class, from which of its records (N,) are right."""
    if not objects or not len(correct):
        return DarknetClass(objects, 0.0, 0.0, 0.0, counts)
    hits = np.cumsum(correct)
    recall = hits / objects
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = float((np.diff(recall, prepend=0.0) * envelope).sum())
    ap_11, ap_101 = (_mean_precision(recall, envelope, points) for points in (11, 101))
    return DarknetClass(objects, area, ap_11, ap_101, counts)


def _mean_precision(recall: Floats, envelope: Floats, points: int) -> float:
    """Mean of the best precision (N,) at `points` recalls from 0 to 1, or beyond."""
    wanted = np.arange(points) / (points - 1)
    reached = np.searchsorted(recall, wanted)
    return float(np.append(envelope, 0.0)[reached].mean())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
