"""Which class is taken for which.

Legend: D detections, T objects, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yolo_gp.metrics.matching import (
    NONE,
    Flags,
    Floats,
    Indices,
    overlaps_within_class,
    pairwise_overlap,
)
from yolo_gp.metrics.records import EvaluatedImage


def confusion_matrix(
    images: Sequence[EvaluatedImage],
    class_count: int,
    *,
    confidence: float = 0.25,
    iou_threshold: float = 0.5,
) -> NDArray[np.int64]:
    """How often an object of one class was found as another.

    In each image the pair of a detection and an object, of whatever classes, that overlaps most
    goes together, then the next pair of those still free, as long as the overlap exceeds
    `iou_threshold`; of equal overlaps the more confident detection goes first. A free detection on
    an ignored object of its class counts nowhere.

    Args:
        images: whose class ids are below `class_count`.
        confidence: detections count if theirs exceeds this.

    Returns:
        (C + 1, C + 1): row is the class of the object, column the class of the detection. The last
        column counts objects that nobody found, the last row detections where no object is.
    """
    cells = [np.zeros(0, np.int64)]
    for image in images:
        true_classes, found_classes = _outcomes(image, class_count, confidence, iou_threshold)
        cells.append(true_classes * (class_count + 1) + found_classes)
    counts = np.bincount(np.concatenate(cells), minlength=(class_count + 1) ** 2)
    return counts.reshape(class_count + 1, class_count + 1)


def _outcomes(
    image: EvaluatedImage, nothing: int, confidence: float, iou_threshold: float
) -> tuple[Indices, Indices]:
    """Class of the object and of the detection for all that happened in an image: (N,) each.

    Args:
        nothing: stands for the class where there is no object, or no detection.
    """
    truth = image.truth
    chosen = image.found.confidences > confidence
    found_classes = image.found.class_ids[chosen]
    overlaps = pairwise_overlap(image.found.boxes_xyxy[chosen], truth.boxes_xyxy, truth.crowd)
    overlaps[:, truth.ignored] = 0.0
    partners = _pairs(overlaps, image.found.confidences[chosen], iou_threshold)
    paired = partners != NONE
    missed = ~truth.ignored
    missed[partners[paired]] = False
    surplus = ~paired & ~_on_ignored(image, iou_threshold)[chosen]
    seen = truth.class_ids[partners[paired]]
    unseen, unfounded = truth.class_ids[missed], found_classes[surplus]
    return (
        np.concatenate((seen, unseen, np.full_like(unfounded, nothing))),
        np.concatenate((found_classes[paired], np.full_like(unseen, nothing), unfounded)),
    )


def _pairs(overlaps: Floats, confidences: NDArray[np.float32], iou_threshold: float) -> Indices:
    """The object that each detection goes with, -1 for none: (D,) from overlaps (D, T)."""
    partners = np.full(len(overlaps), NONE, dtype=np.int64)
    detections, objects = (overlaps > iou_threshold).nonzero()
    taken = np.zeros(overlaps.shape[1], dtype=np.bool_)
    for pair in np.lexsort((-confidences[detections], -overlaps[detections, objects])):
        detection, item = detections[pair], objects[pair]
        if partners[detection] == NONE and not taken[item]:
            partners[detection] = item
            taken[item] = True
    return partners


def _on_ignored(image: EvaluatedImage, iou_threshold: float) -> Flags:
    """Which detections lie on an ignored object of their class: (D,) bool."""
    overlaps = overlaps_within_class(image)[:, image.truth.ignored]
    lies: Flags = np.any(overlaps > iou_threshold, axis=1)
    return lies
