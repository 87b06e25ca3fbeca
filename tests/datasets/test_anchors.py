"""Anchors by k-means, judged by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from yolo_gp.data.anchors import box_sizes, fit_anchors, score_anchors
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError

from .conftest import Write


def test_the_iou_of_boxes_with_one_centre_is_worked_out_by_hand() -> None:
    # 10 x 20 and 20 x 10 share 10 x 10: 100 / (200 + 200 - 100) = 1/3; 10 x 20 in 20 x 20: 1/2
    boxes = np.array([[10.0, 20], [20, 20]])
    score = score_anchors(boxes, np.array([[20.0, 10], [20, 20]]))
    assert score.mean_iou == pytest.approx((1 / 2 + 1) / 2)
    assert score.recall == 0.5  # one half is not above one half
    assert score_anchors(boxes[:1], np.array([[20.0, 10]])).mean_iou == pytest.approx(1 / 3)


def test_clusters_of_equal_boxes_are_found_exactly() -> None:
    sizes = [(116, 90), (10, 13), (33, 23), (30, 61), (16, 30), (373, 326)]
    counts = [3, 200, 17, 40, 5, 1]  # very unequal clusters
    boxes = np.repeat(np.array(sizes, float), counts, axis=0)
    boxes = np.random.default_rng(0).permutation(boxes)
    # by area: 130, 480, 759, 1830, 10440, 121598
    expected = [[10, 13], [16, 30], [33, 23], [30, 61], [116, 90], [373, 326]]
    assert fit_anchors(boxes, 6).tolist() == expected


def best_by_brute_force(boxes: np.ndarray, num: int) -> float:
    """The best mean IoU over every way to part the boxes, with the mean of each part."""
    best = 0.0
    for parts in itertools.product(range(num), repeat=len(boxes)):
        chosen = np.array(parts)
        if len(set(parts)) == num:
            means = np.array([boxes[chosen == k].mean(axis=0) for k in range(num)])
            best = max(best, score_anchors(boxes, means).mean_iou)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_no_way_to_part_a_few_boxes_is_better(seed: int) -> None:
    boxes = np.random.default_rng(seed).uniform(5, 300, (7, 2))
    num = 2 + seed % 2
    found = score_anchors(boxes, fit_anchors(boxes, num)).mean_iou
    assert found >= best_by_brute_force(boxes, num) - 1e-3  # anchors are rounded to tenths


@pytest.mark.parametrize("seed", range(4))
def test_no_single_anchor_on_a_grid_is_better(seed: int) -> None:
    boxes = np.random.default_rng(seed).uniform(5, 200, (9, 2))
    sides = np.arange(5, 200.5)
    grid = np.stack(np.meshgrid(sides, sides), axis=-1).reshape(-1, 2)
    shared = np.minimum(boxes[:, None], grid).prod(axis=2)
    union = boxes.prod(axis=1)[:, None] + grid.prod(axis=1) - shared
    best = (shared / union).mean(axis=0).max()
    assert score_anchors(boxes, fit_anchors(boxes, 1)).mean_iou >= best - 1e-3


def test_the_same_seed_gives_the_same_anchors() -> None:
    boxes = np.random.default_rng(1).uniform(5, 300, (300, 2))
    assert fit_anchors(boxes, 5, seed=3).tolist() == fit_anchors(boxes, 5, seed=3).tolist()


def test_more_boxes_than_the_sample_are_fitted_too() -> None:
    # one size in ten thousand is rare enough to be missed by a sample of five thousand
    boxes = np.repeat([[20.0, 30], [200, 100]], [9_000, 3_000], axis=0)
    assert fit_anchors(boxes, 2).tolist() == [[20, 30], [200, 100]]


def test_too_few_different_boxes_are_refused() -> None:
    boxes = np.repeat([[20.0, 30], [200, 100]], 50, axis=0)
    with pytest.raises(DataError, match="has 2 different box sizes, too few for 3 anchors"):
        fit_anchors(boxes, 3)


def test_boxes_are_scaled_with_their_image_side_by_side(coco: Write) -> None:
    # 100 x 200 (h x w) to 300 x 400: heights times 3, widths times 2
    file = coco(
        {"bbox": [10, 20, 30, 40]},
        {"bbox": [0, 0, 50, 50], "iscrowd": 1},
        {"bbox": [0, 0, 0, 50]},
    )
    dataset = open_dataset(str(file))
    assert box_sizes(dataset, (300, 400)).tolist() == [[60, 120]]
    # with a letterbox both by the smaller factor
    assert box_sizes(dataset, (300, 400), letter_box=True).tolist() == [[60, 80]]
