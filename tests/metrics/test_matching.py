"""Who found whom: against pycocotools' own matches, and overlaps against its mask module."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_gp.metrics.matching import match, pairwise_overlap
from yolo_gp.metrics.records import EvaluatedImage

RandomImages = Callable[..., list[EvaluatedImage]]
ImageOf = Callable[..., EvaluatedImage]


def xywh(boxes_xyxy: NDArray[np.floating]) -> list[list[float]]:
    boxes = boxes_xyxy.astype(np.float64)
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1).tolist()


def pycocotools_matches(
    image: EvaluatedImage, classes: int, threshold: float
) -> tuple[list[int], list[bool]]:
    """For each detection the object it goes with, -1 for none, and whether it is ignored."""
    truth, found = image.truth, image.found
    objects = [
        {
            "id": i + 1,
            "image_id": 1,
            "category_id": int(truth.class_ids[i]) + 1,
            "bbox": box,
            "area": 100.0 if truth.crowd[i] or not truth.ignored[i] else -1.0,
            "iscrowd": int(truth.crowd[i]),
        }
        for i, box in enumerate(xywh(truth.boxes_xyxy))
    ]
    detections = [
        {
            "id": i + 1,
            "image_id": 1,
            "category_id": int(found.class_ids[i]) + 1,
            "bbox": box,
            "area": 100.0,
            "iscrowd": 0,
            "score": float(found.confidences[i]),
        }
        for i, box in enumerate(xywh(found.boxes_xyxy))
    ]
    apis = []
    for records in (objects, detections):
        api = COCO()
        api.dataset = {
            "images": [{"id": 1, "height": image.size[0], "width": image.size[1]}],
            "categories": [{"id": i + 1, "name": str(i)} for i in range(classes)],
            "annotations": records,
        }
        api.createIndex()
        apis.append(api)
    evaluator = COCOeval(*apis, "bbox")
    evaluator.params.iouThrs = np.array([threshold])
    evaluator.params.areaRng = [[0, 1e10]]
    evaluator.evaluate()
    partners, ignored = [-1] * len(found), [False] * len(found)
    for result in filter(None, evaluator.evalImgs):
        for position, identity in enumerate(result["dtIds"]):
            partners[identity - 1] = int(result["dtMatches"][0, position]) - 1
            ignored[identity - 1] = bool(result["dtIgnore"][0, position])
    return partners, ignored


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(1, 3),
    difficult=st.sampled_from([0.0, 0.4]),
    threshold=st.sampled_from([0.3, 0.5, 0.75, 1.0]),
)
def test_matches_are_those_of_pycocotools(
    random_images: RandomImages, seed: int, classes: int, difficult: float, threshold: float
) -> None:
    for image in random_images(seed, classes=classes, count=3, difficult=difficult):
        matched = match(image, threshold)
        partners, ignored = pycocotools_matches(image, classes, threshold)
        assert matched.objects.tolist() == partners
        assert matched.ignored.tolist() == ignored
        assert matched.wrong.tolist() == [partner == -1 for partner in partners]
        right = [p != -1 and not i for p, i in zip(partners, ignored, strict=True)]
        assert matched.correct.tolist() == right


def test_overlaps_are_those_of_pycocotools_also_with_crowds() -> None:
    rng = np.random.default_rng(3)
    corners = rng.integers(0, 20, (40, 2, 2))
    boxes = np.sort(corners, axis=1).reshape(-1, 4).astype(np.float64)
    found, truth = boxes[:25].astype(np.float32), boxes[25:]
    crowd = rng.random(len(truth)) < 0.4
    expected = mask_api.iou(np.array(xywh(found)), np.array(xywh(truth)), crowd.tolist())
    touching = np.nan_to_num(expected)  # pycocotools divides 0 by 0 where both have no area
    assert pairwise_overlap(found, truth, crowd) == pytest.approx(touching)


def test_a_match_says_how_much_the_two_overlap(image_of: ImageOf) -> None:
    image = image_of([(0, 0, 10, 10, 0)], [(0, 0, 10, 8, 0.9, 0), (0, 0, 10, 10, 0.5, 0)])
    matched = match(image, 0.5)
    assert matched.objects.tolist() == [0, -1]
    assert matched.overlaps.tolist() == [0.8, 0.0]


def test_of_objects_that_overlap_equally_the_last_is_taken_as_in_pycocotools(
    image_of: ImageOf,
) -> None:
    objects = [(0, 0, 10, 10, 0)] * 3
    image = image_of(objects, [(0, 0, 10, 10, 0.9, 0), (0, 0, 10, 8, 0.8, 0)])
    assert pycocotools_matches(image, 1, 0.5)[0] == [2, 1]
    assert match(image, 0.5).objects.tolist() == [2, 1]
