"""Who found whom in an image: overlaps in numpy, and COCO's rule of matching.

Legend: D detections, T objects of the ground truth. Boxes are left, top, right, bottom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.metrics.records import EvaluatedImage

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

NONE = -1
"""Stands for no object where an object's index is expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """What each detection of an image found.

    Fields:
        objects: (D,) int64; the object that the detection found, -1 for none.
        overlaps: (D,) float64; how much they overlap, 0 where nothing was found.
        ignored: (D,) bool; the detection found an object whose finding counts neither way.
    """

    objects: Indices
    overlaps: Floats
    ignored: Flags

    @property
    def correct(self) -> Flags:
        """(D,) bool: the detection found an object that counts."""
        correct: Flags = ~self.wrong & ~self.ignored
        return correct

    @property
    def wrong(self) -> Flags:
        """(D,) bool: the detection found nothing, or what another had found before."""
        return np.equal(self.objects, NONE)


def match(image: EvaluatedImage, iou_threshold: float) -> Match:
    """Match the detections of one image with its objects by COCO's rule, on boxes.

    In order of confidence (ties in the order given), each takes the object of its class that it
    overlaps most, by at least the threshold, among those that nobody took; of equal overlaps the
    last. If there is none, the same among the ignored objects; crowds can be taken again and
    again, and overlap as `pairwise_overlap` says.
    Source: pycocotools, cocoeval.py evaluateImg.
    """
    truth, found = image.truth, image.found
    overlaps = overlaps_within_class(image)
    result = Match(
        np.full(len(found), NONE, dtype=np.int64),
        np.zeros(len(found)),
        np.zeros(len(found), dtype=np.bool_),
    )
    threshold = min(iou_threshold, 1 - 1e-10)
    free = np.ones(len(truth), dtype=np.bool_)
    order = np.argsort(-found.confidences, kind="stable")
    candidates: Flags = np.any(overlaps >= threshold, axis=1)
    for detection in order[candidates[order]]:
        possible = free & (overlaps[detection] >= threshold)
        for group in (possible & ~truth.ignored, possible & truth.ignored):
            if group.any():
                taken = _last_best(overlaps[detection], group)
                free[taken] = bool(truth.crowd[taken])
                result.objects[detection] = taken
                result.overlaps[detection] = overlaps[detection, taken]
                result.ignored[detection] = truth.ignored[taken]
                break
    return result


def _last_best(overlaps: Floats, allowed: Flags) -> int:
    """Where the largest overlap (T,) among the allowed lies; of equal ones the last."""
    backwards = np.where(allowed, overlaps, -1.0)[::-1]
    return len(overlaps) - 1 - int(backwards.argmax())


def overlaps_within_class(image: EvaluatedImage) -> Floats:
    """`pairwise_overlap` (D, T) of an image, -1 where the classes differ."""
    truth, found = image.truth, image.found
    overlaps = pairwise_overlap(found.boxes_xyxy, truth.boxes_xyxy, truth.crowd)
    overlaps[found.class_ids[:, None] != truth.class_ids[None]] = -1.0
    return overlaps


def pairwise_overlap(found_xyxy: NDArray[np.float32], truth_xyxy: Floats, crowd: Flags) -> Floats:
    """IoU (D, T) of boxes; with a crowd (T,) the share of the found box that lies in it.

    Computed in float64; 0 where the boxes do not touch or have no area.
    """
    found, truth = found_xyxy.astype(np.float64)[:, None], truth_xyxy[None]
    size = np.minimum(found[..., 2:], truth[..., 2:]) - np.maximum(found[..., :2], truth[..., :2])
    intersection = size.clip(min=0).prod(axis=2)
    found_area, truth_area = _areas(found), _areas(truth)
    whole = np.where(crowd, found_area, found_area + truth_area - intersection)
    overlaps: Floats = np.zeros_like(intersection)
    np.divide(intersection, whole, out=overlaps, where=intersection > 0)
    return overlaps


def _areas(boxes_xyxy: Floats) -> Floats:
    sizes: Floats = boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
    areas: Floats = sizes.prod(axis=-1)
    return areas
