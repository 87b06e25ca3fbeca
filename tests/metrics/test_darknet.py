"""Darknet's figures against the steps of darknet.md 7.3 taken one by one, and Darknet's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_gp.metrics.darknet import Counts, DarknetMetrics, evaluate_darknet
from yolo_gp.metrics.records import EvaluatedImage

ImageOf = Callable[..., EvaluatedImage]
RandomImages = Callable[..., list[EvaluatedImage]]
Box = tuple[float, float, float, float]


@dataclass
class Record:
    """One line of Darknet's table of detections."""

    confidence: float
    class_id: int
    truth: tuple[int, int] | None
    iou: float


def iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width < 0 or height < 0 or width * height == 0:
        return 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area_a + area_b - width * height)


def literally(
    images: list[EvaluatedImage], classes: int, threshold: float, confidence: float
) -> tuple[list[list[float]], list[list[float]]]:
    """Per class [area, 11 points, 101 points], and [TP, FP, FN, sum of IoU] at `confidence`."""
    table: list[Record] = []
    objects = [0] * classes
    counts = [[0.0, 0.0, 0.0, 0.0] for _ in range(classes)]
    for number, image in enumerate(images):
        truth, found = image.truth, image.found
        boxes = [tuple(box) for box in truth.boxes_xyxy.tolist()]
        own: list[Record] = []
        for j in range(len(truth)):
            objects[truth.class_ids[j]] += not truth.ignored[j]
        for i in range(len(found)):
            box, class_id = tuple(found.boxes_xyxy[i].tolist()), int(found.class_ids[i])
            record = Record(float(found.confidences[i]), class_id, None, 0.0)
            for j in range(len(truth)):
                overlap = iou(box, boxes[j])
                same = truth.class_ids[j] == class_id and not truth.ignored[j]
                if same and overlap > threshold and overlap > record.iou:
                    record.truth, record.iou = (number, j), overlap
            if record.confidence > confidence:
                taken = any(other.truth == record.truth for other in own)
                right = record.truth is not None and not taken
                counts[class_id][0 if right else 1] += 1
                counts[class_id][3] += record.iou if right else 0
            difficult = any(
                truth.ignored[j]
                and not truth.crowd[j]
                and truth.class_ids[j] == class_id
                and iou(box, boxes[j]) > threshold
                for j in range(len(truth))
            )
            if record.truth is not None or not difficult:
                own.append(record)
        table += own
    table.sort(key=lambda record: -record.confidence)  # Python's sort is stable
    for class_id in range(classes):
        counts[class_id][2] = objects[class_id] - counts[class_id][0]
    return [class_ap(table, c, objects[c]) for c in range(classes)], counts


def class_ap(table: list[Record], class_id: int, objects: int) -> list[float]:
    taken: set[tuple[int, int]] = set()
    hits = misses = 0
    curve: list[tuple[float, float]] = []  # recall, precision
    for record in table:
        if record.class_id != class_id:
            continue
        if record.truth is not None and record.truth not in taken:
            taken.add(record.truth)
            hits += 1
        else:
            misses += 1
        curve.append((hits / objects if objects else 0.0, hits / (hits + misses)))
    area = last = 0.0
    for i in range(len(curve)):
        area += (curve[i][0] - last) * max(precision for _, precision in curve[i:])
        last = curve[i][0]
    result = [area]
    for points in (11, 101):
        total = 0.0
        for point in range(points):
            wanted = point / (points - 1)
            total += max((p for r, p in curve if r >= wanted), default=0.0)
        result.append(total / points)
    return result


def assert_equal(metrics: DarknetMetrics, images: list[EvaluatedImage], classes: int) -> None:
    aps, counts = literally(images, classes, metrics.iou_threshold, metrics.confidence)
    for one, ap, count in zip(metrics.classes, aps, counts, strict=True):
        assert [one.ap_area, one.ap_11, one.ap_101] == pytest.approx(ap, abs=1e-12)
        ours = one.counts
        assert [ours.correct, ours.wrong, ours.missed] == count[:3]
        assert ours.overlap == pytest.approx(count[3])
    means = np.mean(aps, axis=0)
    assert [metrics.map_area, metrics.map_11, metrics.map_101] == pytest.approx(means, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(1, 4),
    ties=st.booleans(),
    difficult=st.sampled_from([0.0, 0.4]),
    threshold=st.sampled_from([0.3, 0.5, 0.75]),
    confidence=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_all_figures_equal_the_specifications_steps_taken_one_by_one(
    random_images: RandomImages,
    seed: int,
    classes: int,
    ties: bool,
    difficult: float,
    threshold: float,
    confidence: float,
) -> None:
    images = random_images(seed, classes=classes, ties=ties, difficult=difficult)
    metrics = evaluate_darknet(images, classes, iou_threshold=threshold, confidence=confidence)
    assert_equal(metrics, images, classes)


def test_figures_are_those_of_darknet_itself(real_images: list[EvaluatedImage]) -> None:
    # ../shared/README.md: `detector map` of yolo-fastest-1.1 on coco-mini/val says 29.15 % (area)
    # and 29.28 % (101 points); 18 of the 80 classes have no object there.
    metrics = evaluate_darknet(real_images, 80)
    assert 100 * metrics.map_area == pytest.approx(29.15, abs=0.1)
    assert 100 * metrics.map_101 == pytest.approx(29.28, abs=0.1)
    assert metrics.present == 62
    assert metrics.map_present == pytest.approx(metrics.map_area * 80 / 62)
    assert metrics.ignored == 4  # COCO's crowds
    assert_equal(metrics, real_images, 80)


def test_figures_are_those_of_a_count_by_hand(image_of: ImageOf) -> None:
    # Class 0: hit .9, wrong .8, hit .7, of three objects: recall 1/3, 1/3, 2/3; precision 1, 1/2,
    # 2/3. Area: 1/3 * 1 + 1/3 * 2/3 = 5/9. Of 11 recalls 0 to .3 (4) see 1, .4 to .6 (3) see 2/3:
    # 6/11. Of 101, 34 see 1, 33 see 2/3: 56/101. Class 1 has no object: 0.
    objects = [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0), (40, 0, 50, 10, 0)]
    found = [
        (0, 0, 10, 10, 0.9, 0),
        (60, 0, 70, 10, 0.8, 0),
        (20, 0, 30, 8, 0.7, 0),
        (0, 0, 9, 9, 0.2, 1),
    ]
    metrics = evaluate_darknet([image_of(objects, found)], 2)
    assert metrics.classes[0].ap_area == pytest.approx(5 / 9)
    assert metrics.classes[0].ap_11 == pytest.approx(6 / 11)
    assert metrics.classes[0].ap_101 == pytest.approx(56 / 101)
    assert metrics.map_area == pytest.approx(5 / 18)
    assert metrics.map_present == pytest.approx(5 / 9)
    assert metrics.map_present_101 == pytest.approx(56 / 101)
    counts = metrics.counts
    assert counts == Counts(correct=2, wrong=1, missed=1, overlap=pytest.approx(1.8))
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 / 3)
    assert counts.average_iou == pytest.approx(0.6)  # (1 + .8 + 0) / 3


def test_an_overlap_of_exactly_the_threshold_is_not_enough(image_of: ImageOf) -> None:
    image = image_of([(0, 0, 10, 10, 0)], [(0, 0, 10, 5, 0.9, 0)])  # IoU is exactly .5
    assert evaluate_darknet([image], 1).map_area == 0
    assert evaluate_darknet([image], 1, iou_threshold=0.49).map_area == 1


def test_a_detection_whose_best_object_is_taken_gets_no_second_choice(image_of: ImageOf) -> None:
    # Both detections overlap the first object most; the second detection would fit the second
    # object by 10 x 7 of 10 x 13: IoU .54.
    objects = [(0, 0, 10, 10, 0), (0, 3, 10, 13, 0)]
    image = image_of(objects, [(0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 0)])
    assert evaluate_darknet([image], 1).map_area == 0.5


def test_a_detection_on_a_difficult_object_is_left_out_of_average_precision_only(
    image_of: ImageOf,
) -> None:
    objects = [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0, 1)]
    image = image_of(objects, [(20, 0, 30, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 0)])
    metrics = evaluate_darknet([image], 1)
    assert metrics.map_area == 1
    assert metrics.ignored == 1
    assert (metrics.counts.correct, metrics.counts.wrong, metrics.counts.missed) == (1, 1, 0)


def test_a_detection_on_a_crowd_is_wrong_since_darknets_labels_hold_no_crowds(
    image_of: ImageOf,
) -> None:
    objects = [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0, 1, 1)]
    image = image_of(objects, [(20, 0, 30, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 0)])
    assert evaluate_darknet([image], 1).map_area == 0.5


def test_equal_confidences_stay_in_the_order_given(image_of: ImageOf) -> None:
    objects = [(0, 0, 10, 10, 0)]
    hit, miss = (0, 0, 10, 10, 0.5, 0), (30, 30, 40, 40, 0.5, 0)
    assert evaluate_darknet([image_of(objects, [hit, miss])], 1).map_area == 1
    assert evaluate_darknet([image_of(objects, [miss, hit])], 1).map_area == 0.5
    with_hit, with_miss = image_of(objects, [hit]), image_of([], [miss])
    assert evaluate_darknet([with_hit, with_miss], 1).map_area == 1
    assert evaluate_darknet([with_miss, with_hit], 1).map_area == 0.5


def test_confidence_of_exactly_the_threshold_does_not_count(image_of: ImageOf) -> None:
    image = image_of([(0, 0, 10, 10, 0)], [(0, 0, 10, 10, 0.25, 0)])
    assert evaluate_darknet([image], 1).counts.recall == 0
    assert evaluate_darknet([image], 1, confidence=0.2).counts.recall == 1


def test_nothing_at_all_gives_zeros(image_of: ImageOf) -> None:
    for images in ([], [image_of([], [])]):
        metrics = evaluate_darknet(images, 3)
        assert (metrics.map_area, metrics.map_11, metrics.map_101, metrics.present) == (0, 0, 0, 0)
        assert metrics.map_present == 0
        assert (metrics.counts.f1, metrics.counts.average_iou) == (0, 0)


def test_image_ids_play_no_part(random_images: RandomImages) -> None:
    images = random_images(4)
    same = [replace(image, found=replace(image.found, image_id=1)) for image in images]
    assert evaluate_darknet(images, 3) == evaluate_darknet(same, 3)
