"""Which class is taken for which, counted by hand and against a literal greedy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from yolo_gp.metrics.confusion import confusion_matrix
from yolo_gp.metrics.matching import pairwise_overlap
from yolo_gp.metrics.records import EvaluatedImage

ImageOf = Callable[..., EvaluatedImage]
RandomImages = Callable[..., list[EvaluatedImage]]


def test_each_outcome_has_its_cell(image_of: ImageOf) -> None:
    objects = [
        (0, 0, 10, 10, 0),  # found
        (20, 0, 30, 10, 0),  # taken for class 1
        (40, 0, 50, 10, 1),  # missed
    ]
    found = [
        (0, 0, 10, 10, 0.9, 0),
        (20, 0, 30, 10, 0.8, 1),
        (60, 40, 70, 50, 0.7, 1),  # nothing there
        (40, 0, 50, 10, 0.25, 1),  # not above the threshold
    ]
    matrix = confusion_matrix([image_of(objects, found)], 2)
    assert matrix.tolist() == [
        [1, 1, 0],
        [0, 0, 1],
        [0, 1, 0],
    ]
    assert confusion_matrix([image_of(objects, found)], 2, confidence=0.2)[1].tolist() == [0, 1, 0]


def test_the_pair_that_overlaps_most_goes_together_whatever_the_confidence(
    image_of: ImageOf,
) -> None:
    objects = [(0, 0, 10, 10, 0)]
    found = [(0, 0, 10, 8, 0.9, 1), (0, 0, 10, 10, 0.3, 0)]
    matrix = confusion_matrix([image_of(objects, found)], 2)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_of_equal_overlaps_the_more_confident_goes_first(image_of: ImageOf) -> None:
    objects = [(0, 0, 10, 10, 0)]
    found = [(0, 0, 10, 10, 0.3, 1), (0, 0, 10, 10, 0.9, 0)]
    assert confusion_matrix([image_of(objects, found)], 2)[0].tolist() == [1, 0, 0]


def test_ignored_objects_excuse_detections_of_their_class_only(image_of: ImageOf) -> None:
    objects = [(0, 0, 10, 10, 0, 1), (30, 0, 70, 40, 0, 1, 1)]
    found = [
        (0, 0, 10, 10, 0.9, 0),  # on the difficult object
        (0, 0, 10, 10, 0.9, 1),  # there, but of another class
        (30, 0, 40, 10, 0.9, 0),  # inside the crowd
        (50, 10, 60, 20, 0.9, 0),  # likewise
    ]
    matrix = confusion_matrix([image_of(objects, found)], 2)
    assert matrix.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("seed", range(10))
def test_sums_and_pairs_equal_a_literal_greedy(random_images: RandomImages, seed: int) -> None:
    images = random_images(seed, ties=False)
    expected = np.zeros((4, 4), dtype=np.int64)
    for image in images:
        truth, found = image.truth, image.found
        overlaps = pairwise_overlap(found.boxes_xyxy, truth.boxes_xyxy, truth.crowd)
        table = [
            (-overlaps[i, j], -found.confidences[i], i, j)
            for i in range(len(found))
            for j in range(len(truth))
            if found.confidences[i] > 0.4 and not truth.ignored[j] and overlaps[i, j] > 0.5
        ]
        seen, hit = set(), set()
        for _, _, i, j in sorted(table):
            if i not in seen and j not in hit:
                expected[truth.class_ids[j], found.class_ids[i]] += 1
                seen.add(i)
                hit.add(j)
        for j in set(np.flatnonzero(~truth.ignored).tolist()) - hit:
            expected[truth.class_ids[j], 3] += 1
        for i in set(np.flatnonzero(found.confidences > 0.4).tolist()) - seen:
            same = truth.ignored & (truth.class_ids == found.class_ids[i])
            if not (overlaps[i, same] > 0.5).any():
                expected[3, found.class_ids[i]] += 1
    assert confusion_matrix(images, 3, confidence=0.4).tolist() == expected.tolist()


def test_no_images_give_an_empty_matrix() -> None:
    assert confusion_matrix([], 2).tolist() == [[0] * 3] * 3
