"""Darknet's blur and noise, against OpenCV and by their statistics."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolo_gp.data.augment_blur import add_noise, blur_background, gaussian_blur

RNG = np.random.default_rng(4)
PLANES = RNG.integers(0, 256, (3, 40, 60), dtype=np.uint8)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9, 17])
def test_a_blurred_image_is_that_of_opencv(kernel: int) -> None:
    image = np.ascontiguousarray(PLANES.transpose(1, 2, 0))
    expected = cv2.GaussianBlur(image, (kernel, kernel), 0).transpose(2, 0, 1)
    found = gaussian_blur(PLANES, kernel)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_objects_stay_sharp_before_a_blurred_background() -> None:
    # the box reaches from inside pixel (10, 5) to inside pixel (20, 15)
    found = blur_background(PLANES, np.array([[10.5, 5.5, 20.5, 15.5]]), 17)
    np.testing.assert_array_equal(found[:, 5:16, 10:21], PLANES[:, 5:16, 10:21])
    everywhere = gaussian_blur(PLANES, 17)
    np.testing.assert_array_equal(found[:, 16:], everywhere[:, 16:])
    np.testing.assert_array_equal(found[:, :, :10], everywhere[:, :, :10])


def test_noise_only_brightens() -> None:
    grey = np.full((3, 200, 200), 100, np.uint8)
    added = add_noise(grey, 20, np.random.default_rng(1)).astype(float) - 100
    assert added.min() == 0
    # half of a normal distribution: its mean is deviation / sqrt(2 pi) = 7.98
    assert added.mean() == pytest.approx(7.98, abs=0.2)


def test_noise_beyond_127_is_127() -> None:
    black = np.zeros((1, 50, 50), np.uint8)
    one, other = (add_noise(black, n, np.random.default_rng(2)) for n in (127, 500))
    np.testing.assert_array_equal(one, other)
