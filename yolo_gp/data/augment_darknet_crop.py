"""Darknet's crop of a picture: how it is drawn, and its pixels.

Source: darknet.md 6.4, steps 1 to 5. Sizes are (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from yolo_gp.data.augment_tiles import Axis, Picture, Pixels, Tile, Window
from yolo_gp.data.augmentation import DarknetAugmentation


class Corner(NamedTuple):
    """One of the quarters of a mosaic, or one corner of a picture."""

    right: bool
    bottom: bool


CORNERS = (
    Corner(False, False),
    Corner(True, False),
    Corner(False, True),
    Corner(True, True),
)


class Margins(NamedTuple):
    """What a crop takes away on each side of a picture, in its pixels; negative adds."""

    left: int
    top: int
    right: int
    bottom: int

    def plus(self, left: float, top: float, right: float, bottom: float) -> Margins:
        """Each margin enlarged, and the fraction of a pixel dropped."""
        return Margins(
            int(self.left + left),
            int(self.top + top),
            int(self.right + right),
            int(self.bottom + bottom),
        )

    def toward(self, corner: Corner) -> Margins:
        """A crop of the same size that begins at one corner of the picture."""
        across, down = self.left + self.right, self.top + self.bottom
        left, right = (across, 0) if corner.right else (0, across)
        top, bottom = (down, 0) if corner.bottom else (0, down)
        return Margins(left, top, right, bottom)


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One varied picture that fills the canvas, not yet painted.

    Fields:
        tile: where the picture lies.
        margins: the crop, in pixels of the file's image.
        flip: mirrored.
        hue, saturation, exposure: see `shift_hsv`.
        blur: 0 none, 1 the background, 2 the whole.
        noisy: noise is added.
    """

    tile: Tile
    margins: Margins
    flip: bool
    hue: float
    saturation: float
    exposure: float
    blur: int
    noisy: bool


def draw_variant(
    picture: Picture,
    settings: DarknetAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
    corner: Corner | None = None,
) -> Variant:
    """Draw how a picture is varied; `corner` is its quarter of a mosaic."""
    flip = settings.flip and bool(rng.random() < 0.5)
    margins = _margins(picture.size, settings, size, rng)
    if corner is not None and rng.random() < 0.5:
        margins = margins.toward(Corner(corner.right != flip, corner.bottom))
    margins = _not_empty(margins, picture.size)
    x, y = _axis(picture, margins, size, 1), _axis(picture, margins, size, 0)
    return Variant(
        Tile(picture, x.mirrored(size[1]) if flip else x, y, Window.whole(size)),
        margins,
        flip,
        hue=rng.uniform(-settings.hue, settings.hue),
        saturation=_factor(settings.saturation, rng),
        exposure=_factor(settings.exposure, rng),
        blur=int(rng.integers(3)) if settings.blur else 0,
        noisy=settings.gaussian_noise > 0 and bool(rng.random() < 0.5),
    )


def _factor(limit: float, rng: np.random.Generator) -> float:
    """Between 1 and `limit`, inverted every second time."""
    factor = 1 + (limit - 1) * rng.random()
    return 1 / factor if rng.random() < 0.5 else factor


def _margins(
    image_size: tuple[int, int],
    settings: DarknetAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Margins:
    """Jitter on each edge, then one enlargement, then the border of letter_box."""
    height, width = image_size
    dx, dy = int(width * settings.jitter), int(height * settings.jitter)
    jitter = rng.uniform(-1, 1, 4)
    margins = Margins(0, 0, 0, 0).plus(*(jitter * (dx, dy, dx, dy)).tolist())
    left, right = (_growth(settings.resize, draw) for draw in rng.random(2).tolist())
    margins = margins.plus(width * left, height * left, width * right, height * right)
    if not settings.letter_box:
        return margins
    if width * size[0] > height * size[1]:  # the picture is wider than the network input
        border = (width * size[0] / size[1] - height) / 2
        return margins.plus(0, -border, 0, -border)
    border = (height * size[1] / size[0] - width) / 2
    return margins.plus(-border, 0, -border, 0)


def _growth(resize_key: float, draw: float) -> float:
    """What `resize` adds to a margin, as a share of the side; `draw` in 0..1."""
    low, high = min(resize_key, 1 / resize_key), max(resize_key, 1 / resize_key)
    widest, closest = (1 - 1 / low) / 2, (1 - 1 / high) / 2
    if resize_key < 1:  # Darknet only adds a border then
        return widest * (1 - draw)
    return widest + draw * (closest - widest)


def _not_empty(margins: Margins, image_size: tuple[int, int]) -> Margins:
    """The crop, or the whole picture where it would be empty."""
    height, width = image_size
    empty = width - margins.left - margins.right <= 0 or height - margins.top - margins.bottom <= 0
    return Margins(0, 0, 0, 0) if empty else margins


def _ends(picture: Picture, margins: Margins, axis: int) -> tuple[int, int]:
    """The first and the last but one loaded pixel of the crop along one axis."""
    share, side = picture.reduction(axis), picture.size[axis]
    first, last = (margins.top, margins.bottom) if axis == 0 else (margins.left, margins.right)
    start = round(first * share)
    return start, max(start + 1, round((side - last) * share))


def _axis(picture: Picture, margins: Margins, size: tuple[int, int], axis: int) -> Axis:
    start, end = _ends(picture, margins, axis)
    scale = size[axis] / (end - start)
    return Axis(picture.reduction(axis) * scale, -start * scale)


def cropped(variant: Variant) -> Pixels:
    """The crop of the picture, (h, w, C); what lies outside it has the picture's mean colour."""
    picture, margins = variant.tile.picture, variant.margins
    (top, bottom), (left, right) = (_ends(picture, margins, axis) for axis in (0, 1))
    height, width, channels = picture.pixels.shape
    if top >= 0 and left >= 0 and bottom <= height and right <= width:
        return picture.pixels[top:bottom, left:right]
    crop = np.empty((bottom - top, right - left, channels), np.uint8)
    # whole rows at a time, which is ten times as fast as one color at a time
    crop.reshape(bottom - top, -1)[...] = np.tile(picture.mean_color, right - left)
    seen = picture.pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    row, column = max(-top, 0), max(-left, 0)
    crop[row : row + seen.shape[0], column : column + seen.shape[1]] = seen
    return crop
