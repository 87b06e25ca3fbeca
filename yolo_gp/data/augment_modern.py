"""The sample pipeline of YOLOR and YOLOv5: mosaic, scale and translation, mixup, colour, flip.

Each picture is resized once, straight to its place: there is no canvas of double size and no
second interpolation. Its place is rounded to whole pixels, and its boxes follow the rounding.
Source: recipes.md. It does not give the spread of the mixing ratio, nor which boxes are dropped;
for those see below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.augment_colour import scale_hsv, scale_levels
from yolo_gp.data.augment_copies import with_copies
from yolo_gp.data.augment_placing import PlacedPicture, paint, snapped
from yolo_gp.data.augment_tiles import (
    MASK_CELL,
    Axis,
    Boxes,
    Picture,
    Pixels,
    Tile,
    TrainingImage,
    Window,
    clipped,
)
from yolo_gp.data.augmentation import ModernAugmentation

_MIXING = 32.0  # mixing ratios are drawn from beta(32, 32): nearly always .3 to .7; YOLOv5's
_LEAST_SIDE = 2.0  # a box is kept if it is wider and higher than this many pixels,
_LEAST_SEEN = 0.1  # if more than this share of the whole box is seen,
_THINNEST = 100.0  # and if no side is this often the other one; YOLOv5's three


def augment_modern(
    first: Picture,
    more: Callable[[], Picture],
    settings: ModernAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    closed: bool = False,
) -> TrainingImage:
    """Make one training image of `size`.

    Args:
        first: the picture whose turn it is.
        more: draws another picture, for mosaic and mixup.
        rng: all that is drawn comes from here.
        closed: no mosaic, and so no mixup and no copy-paste: the last epochs.
    """
    if not closed and rng.random() < settings.mosaic:
        made = _mosaic(first, more, settings, size, rng)
        if rng.random() < settings.mixup:
            other = _mosaic(more(), more, settings, size, rng)
            made = _mixed(made, other, rng.beta(_MIXING, _MIXING))
    else:
        place = _draw_place(settings, size, rng)
        made = _assembled([_centred(first, place, size)], settings, size)
    pixels = _coloured(made.pixels, settings, rng)
    made = TrainingImage(pixels, made.boxes_xyxy, made.class_ids, made.masks, made.sources)
    return mirrored(made) if rng.random() < settings.flip else made


class _Place(NamedTuple):
    """Where the middle of the picture or mosaic goes in the canvas, and how much it grows."""

    x: float
    y: float
    scale: float


def _draw_place(
    settings: ModernAugmentation, size: tuple[int, int], rng: np.random.Generator
) -> _Place:
    scale = rng.uniform(1 - settings.scale, 1 + settings.scale)
    across, down = rng.uniform(0.5 - settings.translate, 0.5 + settings.translate, 2)
    return _Place(across * size[1], down * size[0], scale)


def _mosaic(
    first: Picture,
    more: Callable[[], Picture],
    settings: ModernAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> TrainingImage:
    """Four pictures that meet in a point, cut from a sheet of twice the canvas's size.

    The point lies in the middle half of the sheet.
    """
    height, width = size
    place = _draw_place(settings, size, rng)
    across, down = rng.uniform(-0.5, 0.5, 2)
    x = round(place.x + across * width * place.scale)
    y = round(place.y + down * height * place.scale)
    left, right = _sheet(place.x, width, place.scale)
    top, bottom = _sheet(place.y, height, place.scale)
    quarters = (
        Window(left, top, min(x, right), min(y, bottom)),
        Window(max(x, left), top, right, min(y, bottom)),
        Window(left, max(y, top), min(x, right), bottom),
        Window(max(x, left), max(y, top), right, bottom),
    )
    placed = []
    for number, quarter in enumerate(quarters):
        picture = first if number == 0 else more()
        scale = _fitting(picture.size, size) * place.scale
        is_right, is_lower = number % 2 == 1, number >= 2
        axes = (
            Axis(scale, x if is_right else x - picture.size[1] * scale),
            Axis(scale, y if is_lower else y - picture.size[0] * scale),
        )
        placed.append(snapped(picture, *axes, quarter))
    made = _assembled(placed, settings, size)
    return _with_copies(made, placed, settings.copy_paste, rng) if settings.copy_paste else made


def _with_copies(
    made: TrainingImage, placed: Sequence[PlacedPicture], share: float, rng: np.random.Generator
) -> TrainingImage:
    tiles = [each.tile for each in placed]
    height, width = made.pixels.shape[1:]
    outlines = _masks(tiles, [_kept(tile) for tile in tiles], (height, width), 1)
    return made if outlines is None else with_copies(made, outlines, share, rng)


def _sheet(middle: float, side: int, scale: float) -> tuple[int, int]:
    """The part of the sheet's extent, twice the side before it is scaled, inside the canvas."""
    return max(0, round(middle - side * scale)), min(side, round(middle + side * scale))


def _centred(picture: Picture, place: _Place, size: tuple[int, int]) -> PlacedPicture:
    """One picture alone, its middle where the place says."""
    scale = _fitting(picture.size, size) * place.scale
    x = Axis(scale, place.x - picture.size[1] / 2 * scale)
    y = Axis(scale, place.y - picture.size[0] / 2 * scale)
    return snapped(picture, x, y, Window.whole(size))


def _fitting(image_size: tuple[int, int], size: tuple[int, int]) -> float:
    """The scale at which a picture just fits into the canvas."""
    return min(size[0] / image_size[0], size[1] / image_size[1])


class _Kept(NamedTuple):
    """The objects of one placed picture of which enough is seen: numbers and boxes."""

    chosen: NDArray[np.intp]
    boxes_xyxy: Boxes


def _kept(tile: Tile) -> _Kept:
    whole = tile.boxes()
    seen = clipped(whole, tile.window)
    chosen = _worth_keeping(whole, seen).nonzero()[0]
    return _Kept(chosen, seen[chosen])


def _assembled(
    placed: Sequence[PlacedPicture], settings: ModernAugmentation, size: tuple[int, int]
) -> TrainingImage:
    """Paint the pictures on grey, with their objects."""
    channels = placed[0].tile.picture.pixels.shape[2]
    canvas = np.full((channels, *size), round(settings.fill * 255), np.uint8)
    for each in placed:
        paint(each, canvas)
    tiles = [each.tile for each in placed]
    kept = [_kept(tile) for tile in tiles]
    ids = [tile.picture.labels.class_ids[k.chosen] for tile, k in zip(tiles, kept, strict=True)]
    return TrainingImage(
        canvas,
        np.concatenate([k.boxes_xyxy for k in kept]),
        np.concatenate(ids),
        _masks(tiles, kept, size, MASK_CELL),
        tuple(tile.picture.name for tile in tiles),
    )


def _masks(
    tiles: Sequence[Tile], kept: Sequence[_Kept], size: tuple[int, int], cell: int
) -> NDArray[np.bool_] | None:
    """The masks of what is kept; None unless all pictures have some."""
    if any(tile.picture.labels.masks is None for tile in tiles):
        return None
    pairs = zip(tiles, kept, strict=True)
    return np.concatenate([tile.masks(k.chosen, size, cell) for tile, k in pairs])


def _worth_keeping(whole: Boxes, seen: Boxes) -> NDArray[np.bool_]:
    """Which boxes to keep of (T, 4) in the canvas, before and after they were cut: (T,)."""
    sides = (seen[:, 2:] - seen[:, :2]).clip(0)
    full = (whole[:, 2:] - whole[:, :2]).prod(axis=1)
    large = (sides > _LEAST_SIDE).all(axis=1)
    enough = sides.prod(axis=1) > _LEAST_SEEN * full
    thick = sides.max(axis=1, initial=0) < _THINNEST * sides.min(axis=1, initial=np.inf)
    worth: NDArray[np.bool_] = large & enough & thick
    return worth


def _mixed(one: TrainingImage, other: TrainingImage, ratio: float) -> TrainingImage:
    """`ratio` of one image and the rest of another, with the objects of both."""
    levels = one.pixels * np.float32(ratio) + other.pixels * np.float32(1 - ratio)
    masks = None
    if one.masks is not None and other.masks is not None:
        masks = np.concatenate([one.masks, other.masks])
    return TrainingImage(
        np.rint(levels).astype(np.uint8),
        np.concatenate([one.boxes_xyxy, other.boxes_xyxy]),
        np.concatenate([one.class_ids, other.class_ids]),
        masks,
        one.sources + other.sources,
    )


def _coloured(planes: Pixels, settings: ModernAugmentation, rng: np.random.Generator) -> Pixels:
    """Hue, saturation and value varied; of grey only the value, alpha stays."""
    draws = rng.uniform(-1, 1, 3)
    hue, saturation, value = 1 + draws * (settings.hue, settings.saturation, settings.value)
    if (hue, saturation, value) == (1, 1, 1):
        return planes
    if len(planes) == 1:
        return scale_levels(planes, value)
    varied = scale_hsv(planes[:3], hue, saturation, value)
    return varied if len(planes) == 3 else np.concatenate([varied, planes[3:]])


def mirrored(image: TrainingImage) -> TrainingImage:
    """The image seen in a mirror."""
    boxes = image.boxes_xyxy.copy()
    boxes[:, 0::2] = image.pixels.shape[2] - image.boxes_xyxy[:, 2::-2]
    masks = None if image.masks is None else image.masks[:, :, ::-1]
    return TrainingImage(image.pixels[:, :, ::-1], boxes, image.class_ids, masks, image.sources)
