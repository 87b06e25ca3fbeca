"""Colours in OpenCV's 8-bit HSV, against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.data.augment_colour import scale_hsv, scale_levels, shift_hsv, to_hsv, to_rgb

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def planes() -> Pixels:
    """Random colours, all greys, and colours with two or three equal channels."""
    rng = np.random.default_rng(5)
    colors = rng.integers(0, 256, (3, 60, 100), dtype=np.uint8)
    colors[:, 0] = np.arange(100)
    colors[:, 1, :] = colors[:1, 1]
    colors[0, 2], colors[1, 3] = colors[1, 2], colors[2, 3]
    return colors


def interleaved(planes: NDArray[np.generic]) -> Pixels:
    return np.ascontiguousarray(planes.transpose(1, 2, 0)).astype(np.uint8)


def difference(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.abs(one.astype(np.int64) - other.astype(np.int64))


def by_opencv(hsv: NDArray[np.generic]) -> Pixels:
    return cv2.cvtColor(interleaved(hsv), cv2.COLOR_HSV2RGB).transpose(2, 0, 1)


def test_hue_saturation_and_value_are_those_of_opencv(planes: Pixels) -> None:
    found = to_hsv(planes)
    expected = cv2.cvtColor(interleaved(planes), cv2.COLOR_RGB2HSV).transpose(2, 0, 1)
    around = difference(found[0], expected[0])
    assert np.minimum(around, 180 - around).max() <= 1  # 179 and 0 are neighbours
    assert difference(found[1], expected[1]).max() <= 1
    np.testing.assert_array_equal(found[2], expected[2])


def test_colors_come_back_from_hsv_as_in_opencv() -> None:
    rng = np.random.default_rng(6)
    hsv = rng.integers(0, 256, (3, 100, 100))  # hues of 180 and more begin anew
    found = to_rgb(*hsv.astype(np.float32))
    assert difference(found, by_opencv(hsv)).max() <= 1


@pytest.mark.parametrize(("hue", "low", "high"), [(0.1, 17, 19), (-0.1, 0, 0)])
def test_darknet_stops_a_hue_at_red(hue: float, low: int, high: int) -> None:
    # pure red has hue 0: 179 * .1 = 17.9 rounds to 18, but -17.9 stops at 0 instead of 162
    red = np.zeros((3, 1, 1), np.uint8)
    red[0] = 200
    found = to_hsv(shift_hsv(red, hue, 1, 1))[0].item()
    assert low <= found <= high


def test_darknet_shifts_like_opencv_with_saturating_bytes(planes: Pixels) -> None:
    hsv = cv2.cvtColor(interleaved(planes), cv2.COLOR_RGB2HSV).astype(np.float64)
    hsv[..., 0] += 0.07 * 179
    hsv[..., 1] *= 1.4
    hsv[..., 2] *= 0.8
    expected = by_opencv(np.clip(np.rint(hsv), 0, 255).transpose(2, 0, 1))
    found = difference(shift_hsv(planes, 0.07, 1.4, 0.8), expected)
    # a level of hue is a sixth of 255 / 30 levels of color, doubled where saturation grows
    assert found.max() <= 10
    assert found.mean() < 1


def test_the_modern_hue_goes_round(planes: Pixels) -> None:
    violet = to_rgb(*(np.full((1, 1), v, np.float32) for v in (175, 255, 255)))
    # 175 * 1.1 = 192.5, that is 12.5 beyond the circle of 180
    found = to_hsv(scale_hsv(violet, 1.1, 1, 1))[0].item()
    assert found in (12, 13)


def test_factors_of_one_leave_colors_within_a_few_levels(planes: Pixels) -> None:
    # 180 hues and 256 saturations cannot name every color
    assert difference(scale_hsv(planes, 1, 1, 1), planes).max() <= 5
    assert difference(shift_hsv(planes, 0, 1, 1), planes).max() <= 5


def test_grey_is_scaled_and_stops_at_white() -> None:
    grey = np.array([[[0, 10, 101, 250]]], np.uint8)
    np.testing.assert_array_equal(scale_levels(grey, 1.5), [[[0, 15, 152, 255]]])
