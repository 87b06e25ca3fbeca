"""What goes into a classifier, against Darknet's arithmetic written out pixel by pixel."""

from __future__ import annotations

import tracemalloc
from math import floor, trunc

import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.data.classifier_input import prepare_for_classifier, scaled_size
from yolo_gp.errors import DataError

Image8 = NDArray[np.uint8]
Plane = NDArray[np.float32]
ONE = np.float32(1)


def noise(height: int, width: int, channels: int = 3) -> Image8:
    g = np.random.default_rng(height * width)
    return g.integers(0, 256, (height, width, channels), np.uint8)


def taps(number: int, scale: np.float32) -> tuple[int, np.float32]:
    position = np.float32(number) * scale
    return floor(position), position - np.float32(floor(position))


def resized(plane: Plane, height: int, width: int) -> Plane:
    """darknet.md 5.2 for one plane, horizontally first."""
    source_height, source_width = plane.shape
    sx = np.float32(source_width - 1) / np.float32(width - 1)
    sy = np.float32(source_height - 1) / np.float32(height - 1)
    part = np.zeros((source_height, width), np.float32)
    for column in range(width):
        if column == width - 1 or source_width == 1:
            part[:, column] = plane[:, -1]
            continue
        i, d = taps(column, sx)
        part[:, column] = (ONE - d) * plane[:, i] + d * plane[:, i + 1]
    out = np.zeros((height, width), np.float32)
    for row in range(height):
        i, d = taps(row, sy)
        out[row] = (ONE - d) * part[i]
        if row != height - 1 and source_height != 1:
            out[row] += d * part[i + 1]
    return out


def darknets(image: Image8, height: int, width: int) -> Plane:
    """resize_min to the network's width, then crop_image, which stays inside the image."""
    h, w = image.shape[:2]
    if w < h:
        h, w = (h * width) // w, width
    else:
        w, h = (w * width) // h, width
    dx, dy = trunc((w - width) / 2), trunc((h - height) / 2)
    out = np.zeros((image.shape[2], height, width), np.float32)
    for channel in range(image.shape[2]):
        plane = image[:, :, channel].astype(np.float32) / np.float32(255)
        whole = plane if plane.shape == (h, w) else resized(plane, h, w)
        for row in range(height):
            for column in range(width):
                y, x = min(max(row + dy, 0), h - 1), min(max(column + dx, 0), w - 1)
                out[channel, row, column] = whole[y, x]
    return out


@pytest.mark.parametrize(
    ("image", "network"),
    [
        ((20, 31), (8, 8)),  # landscape: 8 x 12, crop from column 2
        ((31, 20), (8, 8)),
        ((9, 20), (8, 8)),  # 8 x 17: an odd border of 9
        ((5, 7), (16, 16)),  # enlarged
        ((16, 16), (16, 16)),  # copied
        ((14, 30), (13, 8)),  # higher than wide: 8 rows for 13, the outer ones repeated
        ((14, 30), (16, 9)),  # 9 rows for 16: 7 are missing, 3 of them above
        ((30, 14), (7, 16)),
        ((1, 5), (4, 4)),
        ((5, 1), (4, 4)),
        ((121, 130), (8, 41)),
    ],
)
def test_the_input_is_darknets_bit_for_bit(
    image: tuple[int, int], network: tuple[int, int]
) -> None:
    pixels = noise(*image)
    found = prepare_for_classifier(pixels, network).numpy()
    assert found.shape == (3, *network)
    np.testing.assert_array_equal(found, darknets(pixels, *network))


def test_grey_and_alpha_go_the_same_way() -> None:
    for channels in (1, 4):
        pixels = noise(11, 13, channels)
        found = prepare_for_classifier(pixels, (6, 6)).numpy()
        np.testing.assert_array_equal(found, darknets(pixels, 6, 6))


def test_the_longer_side_is_truncated() -> None:
    # 500 x 333 to a shorter side of 224: 500 * 224 / 333 = 336.3
    assert scaled_size((333, 500), 224) == (224, 336)
    assert scaled_size((500, 333), 224) == (336, 224)
    assert scaled_size((300, 300), 224) == (224, 224)


def test_of_a_long_strip_only_the_middle_is_computed() -> None:
    strip = np.zeros((2, 20_000, 3), np.uint8)
    strip[:, 10_000:] = 255
    tracemalloc.start()
    found = prepare_for_classifier(strip, (32, 32)).numpy()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The resized strip is 32 x 320,000. Its columns 159,984 to 160,015 lie at 159,984 * 19,999 /
    # 319,999 = 9,998.53 to 10,000.47 of the strip: black, from 9,999 to 10,000 a ramp, white.
    row = found[0, 10]
    assert (row[0], row[-1]) == (0, 1)
    assert (np.diff(row) >= 0).all() and 0 < row[15] < 1
    assert peak < 5e6  # bytes; the whole of it would take 120 million


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(DataError, match=r"this one has shape \(4, 4\) and type uint8"):
        prepare_for_classifier(np.zeros((4, 4), np.uint8), (8, 8))
    with pytest.raises(DataError, match="type float32"):
        prepare_for_classifier(np.zeros((4, 4, 3), np.float32), (8, 8))  # type: ignore[arg-type]
