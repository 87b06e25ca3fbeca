import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yolo_gp.boxes import (
    cxcywh_to_xyxy,
    pairwise_distance_penalty,
    pairwise_iou,
    pairwise_iou_cxcywh,
    xyxy_to_cxcywh,
)

F = np.float32
# Few distinct values, so that equal, touching, nested and empty boxes all turn up.
_coordinate = st.integers(0, 8).map(lambda n: n / 10)
_box = st.tuples(_coordinate, _coordinate, _coordinate, _coordinate)
_boxes = st.lists(_box, min_size=1, max_size=5)


def iou_by_the_spec(a: tuple[float, ...], b: tuple[float, ...]) -> np.float32:
    """darknet.md 3.4 for two (cx, cy, w, h), one float32 operation at a time."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = map(F, a), map(F, b)
    width = min(ax + aw / F(2), bx + bw / F(2)) - max(ax - aw / F(2), bx - bw / F(2))
    height = min(ay + ah / F(2), by + bh / F(2)) - max(ay - ah / F(2), by - bh / F(2))
    if width < 0 or height < 0:
        return F(0)
    intersection = width * height
    union = aw * ah + bw * bh - intersection
    return F(0) if intersection == 0 or union == 0 else intersection / union


def penalty_by_the_spec(a: tuple[float, ...], b: tuple[float, ...]) -> np.float32:
    (ax, ay, aw, ah), (bx, by, bw, bh) = map(F, a), map(F, b)
    width = max(ax + aw / F(2), bx + bw / F(2)) - min(ax - aw / F(2), bx - bw / F(2))
    height = max(ay + ah / F(2), by + bh / F(2)) - min(ay - ah / F(2), by - bh / F(2))
    diagonal = width * width + height * height
    if diagonal == 0:
        return F(0)
    return ((ax - bx) * (ax - bx) + (ay - by) * (ay - by)) / diagonal


def test_centre_and_size_become_corners() -> None:
    # 10 - 4/2, 20 - 6/2, 10 + 4/2, 20 + 6/2
    assert cxcywh_to_xyxy(torch.tensor([[10.0, 20, 4, 6]])).tolist() == [[8, 17, 12, 23]]


def test_corners_become_centre_and_size() -> None:
    # (8 + 12)/2, (17 + 23)/2, 12 - 8, 23 - 17
    assert xyxy_to_cxcywh(torch.tensor([[8.0, 17, 12, 23]])).tolist() == [[10, 20, 4, 6]]


def test_conversions_keep_leading_axes() -> None:
    boxes = torch.arange(24.0).reshape(2, 3, 4)
    there = cxcywh_to_xyxy(boxes)
    assert there.shape == (2, 3, 4)
    assert torch.equal(xyxy_to_cxcywh(there), boxes)


@given(_boxes, _boxes)
def test_iou_from_centres_equals_the_spec_bit_for_bit(
    a: list[tuple[float, ...]], b: list[tuple[float, ...]]
) -> None:
    found = pairwise_iou_cxcywh(torch.tensor(a), torch.tensor(b)).numpy()
    expected = np.array([[iou_by_the_spec(one, other) for other in b] for one in a])
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)


@given(_boxes, _boxes)
def test_distance_penalty_equals_the_spec_bit_for_bit(
    a: list[tuple[float, ...]], b: list[tuple[float, ...]]
) -> None:
    found = pairwise_distance_penalty(torch.tensor(a), torch.tensor(b)).numpy()
    expected = np.array([[penalty_by_the_spec(one, other) for other in b] for one in a])
    assert np.array_equal(found, expected)


def test_iou_from_corners_of_hand_worked_boxes() -> None:
    a = torch.tensor([[0.0, 0, 4, 4], [10, 10, 12, 14]])
    b = torch.tensor([[2.0, 2, 6, 6], [0, 0, 4, 4], [4, 0, 8, 4], [10, 10, 12, 12]])
    # a0 with b0: 2*2 / (16 + 16 - 4) = 1/7; with itself 1; with b2 it shares an edge only: 0
    # a1 with b3: 2*2 / (2*4 + 2*2 - 4) = 1/2
    expected = torch.tensor([[1 / 7, 1, 0, 0], [0, 0, 0, 0.5]])
    torch.testing.assert_close(pairwise_iou(a, b), expected)


def test_boxes_apart_in_both_directions_do_not_overlap() -> None:
    # Both overlaps are -2; their product is positive.
    assert pairwise_iou(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[3.0, 3, 4, 4]])).item() == 0


def test_iou_of_empty_boxes_is_zero_and_not_nan() -> None:
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert pairwise_iou(point, point).item() == 0
    assert pairwise_iou(point, torch.tensor([[0.0, 0, 6, 6]])).item() == 0


def test_distance_penalty_of_hand_worked_boxes() -> None:
    a = torch.tensor([[0.0, 0, 2, 2]])
    b = torch.tensor([[3.0, 4, 2, 2], [0, 0, 8, 8]])
    # b0: centres 3 and 4 apart, d^2 = 25; the box around both is 5 by 6, c^2 = 61
    # b1: same centre, d = 0
    expected = torch.tensor([[25 / 61, 0]])
    torch.testing.assert_close(pairwise_distance_penalty(a, b), expected)


def test_distance_penalty_of_two_equal_points_is_zero_and_not_nan() -> None:
    point = torch.tensor([[3.0, 3, 0, 0]])
    assert pairwise_distance_penalty(point, point).item() == 0


@pytest.mark.parametrize("pairwise", [pairwise_iou, pairwise_iou_cxcywh, pairwise_distance_penalty])
def test_rows_are_the_first_boxes_and_none_are_allowed(pairwise: object) -> None:
    assert callable(pairwise)
    assert pairwise(torch.rand(3, 4), torch.rand(2, 4)).shape == (3, 2)
    assert pairwise(torch.rand(0, 4), torch.rand(2, 4)).shape == (0, 2)
