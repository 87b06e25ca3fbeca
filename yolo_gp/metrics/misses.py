"""The errors of a network that cost most, with what went wrong in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from yolo_gp.metrics.matching import (
    Flags,
    Floats,
    Match,
    match,
    overlaps_within_class,
    pairwise_overlap,
)
from yolo_gp.metrics.records import EvaluatedImage

_NEARBY = 0.1  # IoU from which a wrong box was meant for an object
_MOST_PER_IMAGE = 2  # misses of a sort, so that one crowded image does not fill the page


class MissKind(StrEnum):
    """What went wrong."""

    MISSED = "missed"
    WRONG_CLASS = "wrong class"
    TWICE = "found twice"
    LOOSE_BOX = "loose box"
    NOTHING_THERE = "nothing there"


@dataclass(frozen=True, slots=True)
class Miss:
    """One error.

    Fields:
        kind: what went wrong.
        image: the number of the image in what was evaluated.
        found: the number of the detection that is wrong. Where an object was missed, of the most
            confident one of its class that overlaps it enough, but is not confident enough; None
            if there is none.
        wanted: the number of the object that was missed, or that a wrong detection was meant for;
            None if nothing is near.
        overlap: their IoU; 0 if one is None.
        cost: 0..1. Of a wrong detection its confidence; of a missed object the square root of its
            box's share of the image, times the share of the box that no smaller object covers.
    """

    kind: MissKind
    image: int
    found: int | None
    wanted: int | None
    overlap: float
    cost: float


def worst_misses(
    images: Sequence[EvaluatedImage],
    *,
    count: int = 24,
    confidence: float = 0.25,
    iou_threshold: float = 0.5,
) -> tuple[Miss, ...]:
    """The costliest errors: as many missed objects as wrong detections, if there are so many.

    At most two of either sort come from one image. Who found what is COCO's rule,
    `matching.match`; ignored objects are no misses.

    Args:
        count: how many at most.
        confidence: detections count if theirs exceeds this.

    Returns:
        Wrong detections first, then missed objects, each by falling cost.
    """
    wrong: list[Miss] = []
    missed: list[Miss] = []
    for number, image in enumerate(images):
        matched = match(image, iou_threshold)
        doubtful = image.found.confidences <= confidence
        wrong += _wrong(number, image, matched.wrong & ~doubtful, iou_threshold)
        unfound = _unfound(image, matched, doubtful)
        missed += _missed(number, image, unfound, iou_threshold)
    wrong, missed = _worst(wrong), _worst(missed)
    shown = wrong[: max(count - len(missed), count - count // 2)]
    told = {(one.image, one.wanted) for one in shown}
    rest = [one for one in missed if (one.image, one.wanted) not in told]
    return (*shown, *rest[: count - len(shown)])


def _worst(misses: Iterable[Miss]) -> list[Miss]:
    """By falling cost, few of each image."""
    seen: Counter[int] = Counter()
    worst = []
    for one in sorted(misses, key=lambda one: -one.cost):
        if seen[one.image] < _MOST_PER_IMAGE:
            worst.append(one)
            seen[one.image] += 1
    return worst


def _wrong(number: int, image: EvaluatedImage, wrong: Flags, iou_threshold: float) -> list[Miss]:
    """What went wrong with the detections of an image that are `wrong` (D,)."""
    truth, found = image.truth, image.found
    regular = ~truth.ignored
    overlaps = pairwise_overlap(found.boxes_xyxy, truth.boxes_xyxy, truth.crowd)
    overlaps[:, truth.ignored] = 0.0
    misses = []
    for detection in np.flatnonzero(wrong).tolist():
        same = regular & (truth.class_ids == found.class_ids[detection])
        kind, wanted = _reason(overlaps[detection], same, iou_threshold)
        overlap = 0.0 if wanted is None else float(overlaps[detection, wanted])
        cost = float(found.confidences[detection])
        misses.append(Miss(kind, number, detection, wanted, overlap, cost))
    return misses


def _reason(overlaps: Floats, same: Flags, iou_threshold: float) -> tuple[MissKind, int | None]:
    """Why a detection is wrong, and which object it was meant for.

    Args:
        overlaps: (T,) with the objects, 0 with ignored ones.
        same: (T,) bool; objects of the detection's class.
    """
    own = np.where(same, overlaps, 0.0)
    if own.max(initial=0.0) >= iou_threshold:
        return MissKind.TWICE, int(own.argmax())
    if overlaps.max(initial=0.0) >= iou_threshold:
        return MissKind.WRONG_CLASS, int(overlaps.argmax())
    if own.max(initial=0.0) >= _NEARBY:
        return MissKind.LOOSE_BOX, int(own.argmax())
    return MissKind.NOTHING_THERE, None


def _unfound(image: EvaluatedImage, matched: Match, doubtful: Flags) -> Flags:
    """Which objects no detection found but `doubtful` (D,) ones: (T,) bool, no ignored ones.

    A detection takes its object before less confident ones, so leaving those out changes nothing.
    """
    unfound = ~image.truth.ignored
    unfound[matched.objects[~matched.wrong & ~doubtful]] = False
    return unfound


def _missed(number: int, image: EvaluatedImage, missed: Flags, iou_threshold: float) -> list[Miss]:
    """What went wrong with the objects of an image that were `missed` (T,)."""
    if not missed.any():
        return []
    truth, found = image.truth, image.found
    overlaps = overlaps_within_class(image)
    costs = _visible(truth.boxes_xyxy) * _sides(truth.boxes_xyxy, image.size)
    misses = []
    for wanted in np.flatnonzero(missed).tolist():
        near = np.flatnonzero(overlaps[:, wanted] >= iou_threshold)
        best = int(near[found.confidences[near].argmax()]) if len(near) else None
        overlap = 0.0 if best is None else float(overlaps[best, wanted])
        cost = float(costs[wanted])
        misses.append(Miss(MissKind.MISSED, number, best, wanted, overlap, cost))
    return misses


def _sides(boxes_xyxy: Floats, size: tuple[int, int]) -> Floats:
    """The square root of each box's share of the image: (T,) in 0..1."""
    shares = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1) / (size[0] * size[1])
    sides: Floats = np.sqrt(shares.clip(0, 1))
    return sides


def _visible(boxes_xyxy: Floats) -> Floats:
    """The share of each box that no smaller box covers, at least: (T,) in 0..1.

    Smaller objects stand in front of larger ones more often than behind them.
    """
    low = np.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[None, :, 2:])
    common = (high - low).clip(min=0).prod(axis=2)
    areas = common.diagonal()
    covered = np.where(areas[None] < areas[:, None], common, 0.0).sum(axis=1)
    visible: Floats = 1 - np.divide(covered, areas, out=np.ones_like(covered), where=areas > 0)
    return visible.clip(0, 1)
