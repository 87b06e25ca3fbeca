"""COCO's figures against pycocotools as its users call it: files in, its own summary out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.metrics.coco import CocoMetrics, evaluate_coco, evaluate_coco_reference
from yolo_gp.metrics.coco_columns import IouType, found_columns
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections

ImageOf = Callable[..., EvaluatedImage]
RandomImages = Callable[..., list[EvaluatedImage]]
WithMasks = Callable[[EvaluatedImage, int], EvaluatedImage]
Truths = dict[int, tuple[tuple[int, int], GroundTruth]]

SUMMARY = (  # the order of pycocotools' stats
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar_1",
    "ar_10",
    "ar_100",
    "ar_small",
    "ar_medium",
    "ar_large",
)


def pycocotools_stats(
    images: list[EvaluatedImage], classes: int, iou_type: IouType, folder: Path
) -> list[float]:
    """The twelve numbers of COCOeval.summarize, through files as COCO's users write them."""
    annotations, results = [], []
    for image in images:
        truth, found = image.truth, image.found
        for i in range(len(truth)):
            left, top, right, bottom = truth.boxes_xyxy[i].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": found.image_id,
                    "category_id": int(truth.class_ids[i]) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(truth.areas[i]),
                    "iscrowd": int(truth.crowd[i]),
                }
                | ({"segmentation": segmentation(truth.masks[i])} if truth.masks else {})
            )
        for i in range(len(found)):
            left, top, right, bottom = found.boxes_xyxy[i].tolist()
            shape: dict[str, object] = {"bbox": [left, top, right - left, bottom - top]}
            if iou_type == "segm" and found.masks:
                shape = {"segmentation": segmentation(found.masks[i])}
            results.append(
                {
                    "image_id": found.image_id,
                    "category_id": int(found.class_ids[i]) + 1,
                    "score": float(found.confidences[i]),
                }
                | shape
            )
    content = {
        "images": [
            {"id": image.found.image_id, "height": image.size[0], "width": image.size[1]}
            for image in images
        ],
        "categories": [{"id": i + 1, "name": f"class {i}"} for i in range(classes)],
        "annotations": annotations,
    }
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(results))
    truth_api = COCO(str(folder / "truth.json"))
    evaluator = COCOeval(truth_api, truth_api.loadRes(str(folder / "results.json")), iou_type)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return [float(value) for value in evaluator.stats]


def segmentation(mask: Rle) -> dict[str, object]:
    return {"size": list(mask.size), "counts": mask.counts}


def summary(metrics: CocoMetrics) -> list[float]:
    """The same twelve, with pycocotools' -1 for what is not known."""
    values = [getattr(metrics, name) for name in SUMMARY]
    return [-1.0 if math.isnan(value) else value for value in values]


def flat(metrics: CocoMetrics) -> list[object]:
    """All fields, nan made equal to itself."""
    return [repr(getattr(metrics, field.name)) for field in fields(metrics)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_all_figures_equal_pycocotools_to_the_last_digit(
    random_images: RandomImages,
    with_random_masks: WithMasks,
    tmp_path: Path,
    seed: int,
    iou_type: IouType,
) -> None:
    images = random_images(seed, classes=1 + seed % 4, ties=seed % 3 > 0, found=(1, 12))
    if iou_type == "segm":
        images = [with_random_masks(image, seed) for image in images]
    expected = pycocotools_stats(images, 4, iou_type, tmp_path)
    assert summary(evaluate_coco(images, 4, iou_type=iou_type)) == expected
    assert summary(evaluate_coco_reference(images, 4, iou_type=iou_type)) == expected


@pytest.mark.parametrize("ties", [True, False])
def test_more_than_100_detections_of_a_class_in_an_image_are_cut_as_pycocotools_cuts_them(
    random_images: RandomImages, tmp_path: Path, ties: bool
) -> None:
    images = random_images(5, classes=2, count=4, found=(250, 400), ties=ties)
    assert max(np.bincount(image.found.class_ids).max() for image in images) > 110
    expected = pycocotools_stats(images, 2, "bbox", tmp_path)
    assert summary(evaluate_coco(images, 2)) == expected


def test_the_101st_detection_of_a_class_is_not_looked_at_but_other_classes_are(
    image_of: ImageOf,
) -> None:
    nowhere = [(0, 0, 5, 5, 0.9, 0)] * 100
    objects = [(30, 30, 50, 50, 0), (10, 30, 20, 50, 1)]
    hits = [(30, 30, 50, 50, 0.8, 0), (10, 30, 20, 50, 0.7, 1)]
    metrics = evaluate_coco([image_of(objects, [*nowhere, *hits])], 2)
    assert metrics.class_ap[0] == 0
    assert metrics.class_ap[1] == pytest.approx(1)


def test_no_more_than_100_detections_of_a_class_in_an_image_are_handed_over(
    image_of: ImageOf,
) -> None:
    found = [(0, 0, 9, 9, 1 - i / 1000, i % 2) for i in range(300)]  # 150 of each class
    handed_over = found_columns([image_of([], found), image_of([], found)], "bbox")
    assert np.bincount(handed_over.category_ids).tolist() == [0, 200, 200]
    assert handed_over.scores.min() == pytest.approx(1 - 199 / 1000)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_both_evaluators_agree_where_objects_are_ignored_that_are_no_crowds(
    random_images: RandomImages, with_random_masks: WithMasks, seed: int, iou_type: IouType
) -> None:
    images = random_images(100 + seed, difficult=0.4)
    if iou_type == "segm":
        images = [with_random_masks(image, seed) for image in images]
    fast = evaluate_coco(images, 3, iou_type=iou_type)
    assert flat(fast) == flat(evaluate_coco_reference(images, 3, iou_type=iou_type))


def test_an_ignored_object_may_be_found_once_or_missed_at_no_cost(image_of: ImageOf) -> None:
    objects = [(0, 0, 20, 20, 0), (30, 30, 50, 50, 0, 1)]
    hit, on_ignored = (0, 0, 20, 20, 0.8, 0), (30, 30, 50, 50, 0.9, 0)
    for found, ap in (
        ([hit], 1.0),  # the ignored one is missed
        ([on_ignored, hit], 1.0),  # found
        ([on_ignored, on_ignored, hit], 0.5),  # found twice: wrong, then right at precision 1/2
    ):
        assert evaluate_coco([image_of(objects, found)], 1).ap == pytest.approx(ap), found


def test_a_crowd_excuses_every_detection_inside_of_it(image_of: ImageOf) -> None:
    objects = [(0, 0, 20, 20, 0), (30, 10, 70, 50, 0, 1, 1)]
    inside = [(40, 20, 50, 30, 0.9, 0), (30, 10, 60, 40, 0.9, 0)]
    metrics = evaluate_coco([image_of(objects, [*inside, (0, 0, 20, 20, 0.8, 0)])], 1)
    assert metrics.ap == pytest.approx(1)


def test_figures_are_those_of_a_count_by_hand(image_of: ImageOf) -> None:
    # Class 0: two objects of 10 x 10 (small). The first is found exactly, .9; then a miss, .8; the
    # second at .7 with 10 x 6 of its 10 x 10: IoU .6, which passes .5, .55 and .6.
    # At those three: precision 1 up to recall 1/2 (51 of 101 points), then 2/3 (50 points):
    # (51 + 50 * 2/3) / 101 = .835. At the other seven: 51 / 101 = .505.
    # Class 1 has no object, so it counts nowhere.
    objects = [(0, 0, 10, 10, 0), (20, 0, 30, 10, 0)]
    found = [(0, 0, 10, 10, 0.9, 0), (50, 0, 60, 10, 0.8, 0), (20, 0, 30, 6, 0.7, 0)]
    metrics = evaluate_coco([image_of(objects, [*found, (0, 0, 5, 5, 0.6, 1)])], 2)
    ap50, ap75 = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert metrics.ap50 == pytest.approx(ap50)
    assert metrics.ap75 == pytest.approx(ap75)
    assert metrics.ap == pytest.approx((3 * ap50 + 7 * ap75) / 10)
    assert metrics.ap_small == pytest.approx(metrics.ap)
    assert math.isnan(metrics.ap_medium)
    assert math.isnan(metrics.ap_large)
    assert metrics.ar_1 == pytest.approx(0.5)
    assert metrics.ar_100 == pytest.approx((3 * 1 + 7 * 0.5) / 10)
    assert metrics.class_ap50 == pytest.approx((ap50, math.nan), nan_ok=True)
    assert metrics.class_ap == pytest.approx((metrics.ap, math.nan), nan_ok=True)


def test_the_area_of_the_ground_truth_decides_what_is_small(image_of: ImageOf) -> None:
    image = image_of([(0, 0, 50, 50, 0)], [(0, 0, 50, 50, 0.9, 0)])
    of_a_thin_mask = replace(image, truth=replace(image.truth, areas=np.array([900.0])))
    assert evaluate_coco([image], 1).ap_medium == pytest.approx(1)  # 2500 square pixels
    assert evaluate_coco([of_a_thin_mask], 1).ap_small == pytest.approx(1)


def test_without_detections_all_is_zero_and_without_objects_all_is_unknown(
    image_of: ImageOf,
) -> None:
    objects, found = [(0, 0, 10, 10, 0)], [(0, 0, 10, 10, 0.9, 0)]
    nothing_found = evaluate_coco([image_of(objects, [])], 1)
    assert (nothing_found.ap, nothing_found.ar_100) == (0, 0)
    for images in ([image_of([], found)], [image_of([], [])], []):
        for evaluate in (evaluate_coco, evaluate_coco_reference):
            metrics = evaluate(images, 1)
            assert math.isnan(metrics.ap)
            assert math.isnan(metrics.ar_100)
            assert math.isnan(metrics.class_ap[0])


def test_the_order_of_images_does_not_matter_even_with_equal_confidences(
    random_images: RandomImages,
) -> None:
    images = random_images(8, count=10)
    assert flat(evaluate_coco(images, 3)) == flat(evaluate_coco(images[::-1], 3))


def test_evaluation_prints_nothing(
    random_images: RandomImages, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate_coco(random_images(1), 3)
    evaluate_coco_reference(random_images(1), 3)
    assert capfd.readouterr() == ("", "")


def test_the_fast_evaluator_equals_pycocotools_on_a_networks_detections(
    real_images: list[EvaluatedImage],
) -> None:
    images = real_images[:32]
    assert flat(evaluate_coco(images, 80)) == flat(evaluate_coco_reference(images, 80))


def as_found(truths: Truths, change: Callable[[Rle], Rle]) -> list[EvaluatedImage]:
    """The images with their own masks, but for crowds, as detections."""
    images = []
    for image_id, (size, truth) in truths.items():
        assert truth.masks is not None
        chosen = np.flatnonzero(~truth.crowd)
        found = ImageDetections(
            image_id,
            truth.boxes_xyxy[chosen].astype(np.float32),
            np.full(len(chosen), 0.9, dtype=np.float32),
            truth.class_ids[chosen],
            tuple(change(truth.masks[i]) for i in chosen),
        )
        images.append(EvaluatedImage(size, truth, found))
    return images


def test_masks_of_the_ground_truth_have_an_average_precision_of_1(coco_truth: Truths) -> None:
    metrics = evaluate_coco(as_found(coco_truth, lambda mask: mask), 80, iou_type="segm")
    present = {int(c) for _, truth in coco_truth.values() for c in truth.class_ids[~truth.crowd]}
    assert len(present) == 62
    for name in SUMMARY:
        if not name.startswith("ar_1"):  # one detection of a class in an image cannot find all
            assert getattr(metrics, name) == pytest.approx(1, abs=1e-12), name
    for class_id, ap in enumerate(metrics.class_ap):
        assert ap == pytest.approx(1, abs=1e-12) if class_id in present else math.isnan(ap)


def test_eroded_masks_are_worse_by_as_much_as_pycocotools_says(
    coco_truth: Truths, encoded: Callable[[NDArray[np.bool_]], Rle], tmp_path: Path
) -> None:
    def eroded(mask: Rle) -> Rle:
        pixels = mask_api.decode(segmentation(mask))
        return encoded(cv2.erode(pixels, np.ones((3, 3), np.uint8), borderValue=0) > 0)

    images = as_found(dict(list(coco_truth.items())[:24]), eroded)
    metrics = evaluate_coco(images, 80, iou_type="segm")
    assert summary(metrics) == pycocotools_stats(images, 80, "segm", tmp_path)
    assert 0.3 < metrics.ap < 0.9
    assert metrics.ap50 > metrics.ap > metrics.ap_small  # a pixel is more of a small object
    assert evaluate_coco(images, 80).ap == pytest.approx(1)  # their boxes are as they were


def test_masks_that_are_missing_are_an_error_that_names_the_image(
    random_images: RandomImages, with_random_masks: WithMasks, image_of: ImageOf
) -> None:
    image = image_of([(0, 0, 9, 9, 0)] * 2, [(0, 0, 9, 9, 0.5, 0)], image_id=17)
    with pytest.raises(DataError) as caught:
        evaluate_coco([image], 1, iou_type="segm")
    assert str(caught.value) == (
        "masks are to be compared, but the 2 objects in image 17 have none\n"
        "help: compare boxes instead"
    )
    masked = with_random_masks(image, 0)
    with pytest.raises(DataError, match="but the 1 detection in image 17 has none"):
        evaluate_coco([replace(masked, found=image.found)], 1, iou_type="segm")


def test_a_mask_of_another_size_than_its_image_is_an_error(
    with_random_masks: WithMasks, image_of: ImageOf
) -> None:
    image = with_random_masks(image_of([(0, 0, 9, 9, 0)], [], image_id=3), 0)
    with pytest.raises(DataError) as caught:
        evaluate_coco([replace(image, size=(80, 60))], 1, iou_type="segm")
    assert str(caught.value) == (
        "image 3 is 60 x 80 pixels, but the mask of one of its objects is made for 80 x 60"
    )
