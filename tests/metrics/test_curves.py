"""Precision, recall and F1 against confidence: counted by hand, and threshold by threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from yolo_gp.metrics.curves import THRESHOLDS, ConfidenceCurve, confidence_curves
from yolo_gp.metrics.matching import match
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections

ImageOf = Callable[..., EvaluatedImage]
RandomImages = Callable[..., list[EvaluatedImage]]


def at(curve: ConfidenceCurve, confidence: float) -> tuple[float, float, float]:
    index = int(THRESHOLDS.tolist().index(confidence))
    return float(curve.precision[index]), float(curve.recall[index]), float(curve.f1[index])


def test_curves_are_those_of_a_count_by_hand(image_of: ImageOf) -> None:
    # Two objects of class 0: hit .875, miss .75, hit .5 (fractions that float32 holds exactly).
    # F1 = 2 hits / (found + objects): 2/3 from .875, 2/4 from .75, 4/5 from .5.
    objects = [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0)]
    rows = [(0, 0, 10, 10, 0.875, 0), (50, 0, 60, 10, 0.75, 0), (20, 0, 30, 10, 0.5, 0)]
    curves = confidence_curves([image_of(objects, rows)], 2)
    curve = curves.classes[0]
    assert at(curve, 0.0) == pytest.approx((2 / 3, 1, 4 / 5))
    assert at(curve, 0.5) == pytest.approx((2 / 3, 1, 4 / 5))  # at least .5: all three
    assert at(curve, 0.501) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert at(curve, 0.8) == pytest.approx((1, 1 / 2, 2 / 3))
    assert at(curve, 0.9) == pytest.approx((math.nan, 0, 0), nan_ok=True)
    assert (curve.best_confidence, curve.best_f1) == pytest.approx((0.5, 0.8))
    assert curve.objects == 2


def test_the_best_f1_counts_all_detections_of_its_confidence(image_of: ImageOf) -> None:
    found = [(0, 0, 10, 10, 0.5, 0), (50, 0, 60, 10, 0.5, 0)]  # no threshold parts the two
    curve = confidence_curves([image_of([(0, 0, 10, 10, 0)], found)], 1).pooled
    assert curve.best_f1 == pytest.approx(2 / 3)


def test_a_class_without_objects_has_no_recall_and_no_best_confidence(image_of: ImageOf) -> None:
    image = image_of([(0, 0, 10, 10, 0)], [(0, 0, 10, 10, 0.5, 1)])
    absent = confidence_curves([image], 3).classes
    assert at(absent[1], 0.3) == pytest.approx((0, math.nan, 0), nan_ok=True)
    assert at(absent[2], 0.3) == pytest.approx((math.nan,) * 3, nan_ok=True)
    assert math.isnan(absent[1].best_confidence)
    assert math.isnan(absent[0].best_f1)  # an object, but nothing found


def test_detections_on_ignored_objects_count_nowhere(image_of: ImageOf) -> None:
    objects = [(0, 0, 10, 10, 0), (20, 0, 60, 40, 0, 1, 1)]
    found = [(20, 0, 40, 20, 0.9, 0), (0, 0, 10, 10, 0.8, 0)]
    curves = confidence_curves([image_of(objects, found)], 1)
    assert at(curves.pooled, 0.5) == (1, 1, 1)
    assert curves.pooled.objects == 1


@pytest.mark.parametrize("seed", range(8))
def test_every_point_equals_an_evaluation_of_the_detections_above_it(
    random_images: RandomImages, seed: int
) -> None:
    images = random_images(seed, ties=seed % 2 == 0, difficult=0.2, count=10)
    curves = confidence_curves(images, 3)
    for confidence in (0.0, 0.1, 0.35, 0.9):
        kept = [replace(image, found=above(image.found, confidence)) for image in images]
        matches = [match(image, 0.5) for image in kept]
        correct = sum(int(one.correct.sum()) for one in matches)
        wrong = sum(int(one.wrong.sum()) for one in matches)
        objects = sum(int((~image.truth.ignored).sum()) for image in images)
        expected = (
            correct / (correct + wrong) if correct + wrong else math.nan,
            correct / objects,
            2 * correct / (correct + wrong + objects),
        )
        assert at(curves.pooled, confidence) == pytest.approx(expected, nan_ok=True)
        for class_id, curve in enumerate(curves.classes):
            hits = sum(
                int((matched.correct & (image.found.class_ids == class_id)).sum())
                for matched, image in zip(matches, kept, strict=True)
            )
            recall = hits / curve.objects if curve.objects else math.nan
            assert at(curve, confidence)[1] == pytest.approx(recall, nan_ok=True)


def above(found: ImageDetections, confidence: float) -> ImageDetections:
    kept = found.confidences >= confidence
    return ImageDetections(
        found.image_id, found.boxes_xyxy[kept], found.confidences[kept], found.class_ids[kept]
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_confidence_gives_a_better_f1_than_the_best(
    random_images: RandomImages, seed: int
) -> None:
    curve = confidence_curves(random_images(seed, count=12, ties=False), 3).pooled
    assert curve.best_f1 >= np.nanmax(curve.f1)
    just_below = int(curve.best_confidence * 1000)
    assert curve.best_f1 - curve.f1[just_below] < 0.1  # a few detections later or before


def test_recall_at_the_lowest_confidence_is_cocos_for_one_class(
    random_images: RandomImages,
) -> None:
    # COCO's recall at IoU .5 with unlimited detections is what the curve says at 0.
    images = random_images(11, classes=1, count=12)
    curve = confidence_curves(images, 1).pooled
    found = sum(int(match(image, 0.5).correct.sum()) for image in images)
    assert curve.recall[0] == found / curve.objects
    assert 0 < curve.recall[0] < 1
