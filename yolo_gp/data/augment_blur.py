"""Darknet's blur and noise on training images: planes (C, h, w) uint8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_LARGEST_NOISE = 127
_SMALL_KERNELS = {3: (1, 2, 1), 5: (1, 4, 6, 4, 1), 7: (2, 7, 14, 18, 14, 7, 2)}
"""Weights that OpenCV takes in place of the formula, before they are divided by their sum."""


def gaussian_blur(planes: Pixels, kernel: int) -> Pixels:
    """Blur with a Gaussian of `kernel` pixels, an odd number, mirrored at the border.

    The standard deviation follows from the kernel as in OpenCV, and the result is cv2's to one
    level.  Source: OpenCV documentation, GaussianBlur and getGaussianKernel.
    """
    if kernel == 1:
        return planes
    weights = _weights(kernel)
    blurred = planes.astype(np.float32)
    for axis in (1, 2):
        blurred = _filtered(blurred, weights, axis)
    blurred += np.float32(0.5)
    return blurred.astype(np.uint8)


def _weights(kernel: int) -> NDArray[np.float32]:
    sigma = 0.3 * ((kernel - 1) / 2 - 1) + 0.8
    distances = np.arange(kernel) - kernel // 2
    found = np.exp(-(distances**2) / (2 * sigma**2))
    found = np.array(_SMALL_KERNELS.get(kernel, found), np.float64)
    weights: NDArray[np.float32] = (found / found.sum()).astype(np.float32)
    return weights


def _filtered(
    planes: NDArray[np.float32], weights: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Planes filtered along one axis; the border pixel itself is not repeated."""
    reach, side = len(weights) // 2, planes.shape[axis]
    border = [(0, 0)] * 3
    border[axis] = (reach, reach)
    padded = np.pad(planes, border, mode="reflect" if side > 1 else "edge")
    total = np.zeros_like(planes)
    for start, weight in enumerate(weights):
        window = [slice(None)] * 3
        window[axis] = slice(start, start + side)
        total += weight * padded[tuple(window)]
    return total


def blur_background(planes: Pixels, boxes_xyxy: NDArray[np.float64], kernel: int) -> Pixels:
    """Blur everything outside the boxes (T, 4); a pixel partly inside one stays sharp."""
    blurred = gaussian_blur(planes, kernel)
    low = np.floor(boxes_xyxy[:, :2]).clip(0).astype(int)
    high = np.ceil(boxes_xyxy[:, 2:]).clip(0).astype(int)
    for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True):
        blurred[:, top:bottom, left:right] = planes[:, top:bottom, left:right]
    return blurred


def add_noise(planes: Pixels, deviation: int, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise of a standard deviation in levels, stopping at 255.

    Only its positive half: Darknet draws the noise into unsigned bytes.  Source: darknet.md 6.4,
    step 9.
    """
    noise = rng.standard_normal(planes.shape, dtype=np.float32)
    noise *= min(deviation, _LARGEST_NOISE)
    np.clip(np.rint(noise, out=noise), 0, 255, out=noise)
    noise += planes
    return np.minimum(noise, 255, out=noise).astype(np.uint8)
