"""Colours varied in OpenCV's 8-bit HSV: hue 0..179 for the whole circle, the others 0..255.

Legend: planes are (3, h, w) uint8, red, green and blue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Levels = NDArray[np.float32]

HUES = 180  # levels of the circle
_SECTOR = 30  # levels between two of its six corners: red, yellow, green, cyan, blue, magenta


def to_hsv(planes: Pixels) -> tuple[Levels, Levels, Levels]:
    """Hue, saturation and value, each (h, w) float32 holding whole levels.

    Source: OpenCV documentation, color conversions, RGB to HSV for 8-bit images.
    """
    red, green, blue = planes
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    value = highest.astype(np.float32)
    spread = (highest - lowest).astype(np.float32)
    hue = _hue(planes.astype(np.float32), spread, highest == red, highest == green)
    saturation = spread * np.float32(255)
    saturation /= np.maximum(value, 1)
    saturation += np.float32(0.5)
    np.floor(saturation, out=saturation)
    return hue, saturation, value


def _hue(
    planes: Levels, spread: Levels, is_red: NDArray[np.bool_], is_green: NDArray[np.bool_]
) -> Levels:
    """Hue from the two channels below the highest; red wins a tie, then green."""
    red, green, blue = planes
    # products with 0 and 1, since numpy selects by a mask ten times as slowly
    hue: Levels = (red - green + 4 * spread) * ~(is_red | is_green)
    hue += (blue - red + 2 * spread) * (is_green & ~is_red)
    hue += (green - blue) * is_red
    hue *= np.float32(_SECTOR)
    hue /= np.maximum(spread, 1)
    hue += np.float32(0.5)
    np.floor(hue, out=hue)
    hue += np.float32(HUES) * (hue < 0)
    return hue


def to_rgb(hue: Levels, saturation: Levels, value: Levels) -> Pixels:
    """Planes from hue, saturation and value, each (h, w) float32 in levels; hue below 360.

    Source: OpenCV documentation, color conversions; its u8 code lets hues from 180 on begin anew.
    """
    # Channel c is value - value * saturation * t, where t is 0 for the two corners of the hue
    # circle nearest to the pure colour, 1 on the opposite side, and linear between.
    sector = hue / np.float32(_SECTOR)
    chroma = saturation * value
    chroma /= np.float32(255)
    planes = np.empty((3, *hue.shape), np.uint8)
    for plane, start in zip(planes, (5, 3, 1), strict=True):
        distance = sector + np.float32(start)
        distance -= np.floor(distance / 6) * 6
        np.minimum(distance, 4 - distance, out=distance)
        np.clip(distance, 0, 1, out=distance)
        distance *= chroma
        np.subtract(value, distance, out=distance)
        distance += np.float32(0.5)
        plane[...] = distance
    return planes


def shift_hsv(planes: Pixels, hue: float, saturation: float, value: float) -> Pixels:
    """Darknet's variation: hue moved by a share of the circle, the others multiplied.

    All three stop at 0 and 255, so that a hue moved below red becomes red.  Source: darknet.md
    6.4, step 7.
    """
    hues, saturations, values = to_hsv(planes)
    return to_rgb(
        _levels(hues + np.float32(hue * (HUES - 1))),
        _levels(saturations * np.float32(saturation)),
        _levels(values * np.float32(value)),
    )


def scale_hsv(planes: Pixels, hue: float, saturation: float, value: float) -> Pixels:
    """The modern variation: all three multiplied, the hue going round.  Source: recipes.md."""
    hues, saturations, values = to_hsv(planes)
    hues *= np.float32(hue)
    hues -= np.floor(hues / HUES) * HUES
    return to_rgb(
        hues, _levels(saturations * np.float32(saturation)), _levels(values * np.float32(value))
    )


def scale_levels(planes: Pixels, factor: float) -> Pixels:
    """Brightness of grey planes (1, h, w), stopping at 255."""
    return _levels(planes * np.float32(factor)).astype(np.uint8)


def _levels(values: Levels) -> Levels:
    """Rounded to whole levels of 0..255, in place."""
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return values
