"""Resizing and mean colours, against OpenCV and numpy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolo_gp.data.augment_tiles import mean_color, resize

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(20, 30), (48, 30), (100, 64), (101, 203), (1, 1)])
def test_pictures_are_resized_as_by_opencv(size: tuple[int, int]) -> None:
    expected = cv2.resize(PIXELS, size[::-1])
    assert np.abs(resize(PIXELS, size, smooth=False).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_part_of_a_picture_can_be_resized(channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, channels), dtype=np.uint8)
    part = pixels[5:35, 10:40]
    expected = cv2.resize(part, (17, 23)).reshape(23, 17, channels)
    assert np.abs(resize(part, (23, 17), smooth=False).astype(int) - expected).max() <= 1


def test_smooth_resizing_misses_no_pixel() -> None:
    # stripes of one white column in four: two of four columns are mixed otherwise, both black
    stripes = np.zeros((16, 160, 3), np.uint8)
    stripes[:, ::4] = 255
    assert not resize(stripes, (16, 40), smooth=False).any()
    smooth = resize(stripes, (16, 40), smooth=True)[:, 2:-2]
    assert np.abs(smooth.astype(int) - 64).max() <= 6


def test_the_mean_color_is_rounded() -> None:
    expected = np.rint(PIXELS.reshape(-1, 3).mean(axis=0))
    np.testing.assert_array_equal(mean_color(PIXELS), expected)
