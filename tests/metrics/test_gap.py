"""The line that explains why Darknet's mAP and COCO's AP50 differ: its parts add up."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from yolo_gp.metrics.coco import evaluate_coco
from yolo_gp.metrics.darknet import evaluate_darknet
from yolo_gp.metrics.gap import Thresholds, explain_gap
from yolo_gp.metrics.records import EvaluatedImage

ImageOf = Callable[..., EvaluatedImage]


def test_a_gap_is_split_into_its_causes(image_of: ImageOf) -> None:
    # Class 0 of three: two objects, hit .9, wrong .8, hit .7: area 1/2 * 1 + 1/2 * 2/3 = .8333;
    # 101 recalls: (51 + 50 * 2/3) / 101 = .8350, and so is COCO's AP50. Darknet divides the area
    # by 3: .2778. So of .8350 - .2778 = .5572, .5556 for two classes, .0017 for recalls, 0 rest.
    objects = [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0), (40, 20, 60, 50, 0, 1, 1)]
    found = [(0, 0, 10, 10, 0.9, 0), (70, 0, 80, 9, 0.8, 0), (20, 0, 30, 10, 0.7, 0)]
    images = [image_of(objects, found)]
    text = explain_gap(evaluate_coco(images, 3), evaluate_darknet(images, 3), 3)
    assert text == (
        "COCO's AP50 is 83.50%, Darknet's mAP 27.78%: of the +55.72 points, +55.56 come from the "
        "2 of 3 classes without ground truth, which Darknet counts as 0 (over the other 1 its mAP "
        "is 83.33%), and +0.17 come from COCO's 101 recalls instead of the area. The other +0.00 "
        "come from COCO's thresholds (confidence .001 and NMS .6 instead of .005 and .45), 1 "
        "ignored object and COCO's matching (a second choice for each detection, 100 of a class "
        "in an image)."
    )


def test_only_what_differs_is_named(image_of: ImageOf) -> None:
    images = [image_of([(0, 0, 10, 10, 0)], [(0, 0, 10, 10, 0.9, 0)])]
    same = Thresholds(0.001, 0.65)
    text = explain_gap(
        evaluate_coco(images, 1),
        evaluate_darknet(images, 1),
        1,
        coco_thresholds=same,
        darknet_thresholds=same,
    )
    assert text.startswith(
        "COCO's AP50 is 100.00%, Darknet's mAP 100.00%: of the +0.00 points, +0.00 come from "
        "COCO's 101 recalls instead of the area. The other +0.00 come"
    )
    assert "thresholds" not in text
    assert "ignored" not in text
    assert "The other +0.00 come from COCO's matching (a second choice" in text


def test_the_parts_add_up_on_a_networks_detections(real_images: list[EvaluatedImage]) -> None:
    text = explain_gap(evaluate_coco(real_images, 80), evaluate_darknet(real_images, 80), 80)
    gap, *parts = (float(number) for number in re.findall(r"[+-]\d+\.\d\d", text))
    assert len(parts) == 3
    assert gap == pytest.approx(sum(parts), abs=0.021)  # each is rounded
    assert "the 18 of 80 classes" in text
    assert "4 ignored objects" in text


def test_without_ground_truth_there_is_nothing_to_explain(image_of: ImageOf) -> None:
    images = [image_of([], [(0, 0, 10, 10, 0.9, 0)])]
    assert explain_gap(evaluate_coco(images, 1), evaluate_darknet(images, 1), 1) == (
        "there is no ground truth, so COCO's AP50 and Darknet's mAP say nothing"
    )
