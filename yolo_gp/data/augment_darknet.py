"""Darknet's sample pipeline for detectors: crop, resize, mosaic or mixup, flip, colour, blur.

Darknet flips one coin for the mixing of all images that a thread of its loader makes; here each
image has its own.  Source: darknet.md 6.4 (OpenCV build).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.augment_blur import add_noise, blur_background, gaussian_blur
from yolo_gp.data.augment_colour import scale_levels, shift_hsv
from yolo_gp.data.augment_darknet_crop import CORNERS, Corner, Variant, cropped, draw_variant
from yolo_gp.data.augment_tiles import (
    Boxes,
    Picture,
    Pixels,
    Tile,
    TrainingImage,
    Window,
    clipped,
    resize,
)
from yolo_gp.data.augmentation import DarknetAugmentation

_BACKGROUND_KERNEL = 17
_CUT_MARGIN = 0.2  # of the canvas on either side of a mosaic's cut point
_SHARPEST_OBJECT = 8  # blur no more than a kernel of the smallest object's side divided by this


@dataclass(frozen=True, slots=True, eq=False)
class _Truth:
    """The objects that are kept: their numbers in the picture and their boxes in the canvas."""

    chosen: NDArray[np.intp]
    boxes_xyxy: Boxes


def augment_darknet(
    first: Picture,
    more: Callable[[], Picture],
    settings: DarknetAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> TrainingImage:
    """Make one training image of `size`.

    Args:
        first: the picture whose turn it is.
        more: draws another picture, for mosaic and mixup.
        rng: all that is drawn comes from here.
    """
    mixing = (settings.mosaic or settings.mixup) and rng.random() < 0.5
    if mixing and settings.mosaic:
        return _mosaic([first, more(), more(), more()], settings, size, rng)
    made = _single(first, settings, size, rng)
    return _mixed(made, _single(more(), settings, size, rng), settings) if mixing else made


def _single(
    picture: Picture,
    settings: DarknetAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> TrainingImage:
    variant = draw_variant(picture, settings, size, rng)
    truth = _truth(variant.tile, settings, size, rng)
    pixels = _painted(variant, truth, settings, Window.whole(size), size, rng)
    return _assembled(pixels, [(variant.tile, truth)], settings, size)


def _mixed(
    one: TrainingImage, other: TrainingImage, settings: DarknetAugmentation
) -> TrainingImage:
    """The mean of two, rounded to whole levels, and the objects of both."""
    total = one.pixels.astype(np.uint16) + other.pixels + 1
    masks = None
    if one.masks is not None and other.masks is not None:
        masks = np.concatenate([one.masks, other.masks])[: settings.max_boxes]
    return TrainingImage(
        (total >> 1).astype(np.uint8),
        np.concatenate([one.boxes_xyxy, other.boxes_xyxy])[: settings.max_boxes],
        np.concatenate([one.class_ids, other.class_ids])[: settings.max_boxes],
        masks,
        one.sources + other.sources,
    )


def _mosaic(
    pictures: list[Picture],
    settings: DarknetAugmentation,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> TrainingImage:
    """Four varied pictures, cut so that they meet in one point."""
    height, width = size
    cut_x, cut_y = (_cut(side, rng) for side in (width, height))
    pixels = np.empty((pictures[0].pixels.shape[2], height, width), np.uint8)
    parts = []
    for picture, corner in zip(pictures, CORNERS, strict=True):
        variant = draw_variant(picture, settings, size, rng, corner)
        truth = _truth(variant.tile, settings, size, rng)
        quarter = Window(
            cut_x if corner.right else 0,
            cut_y if corner.bottom else 0,
            width if corner.right else cut_x,
            height if corner.bottom else cut_y,
        )
        start_x, start_y = _seen_from(variant, corner, (cut_x, cut_y), size)
        dx, dy = quarter.left - start_x, quarter.top - start_y
        seen = Window(start_x, start_y, quarter.right - dx, quarter.bottom - dy)
        painted = _painted(variant, truth, settings, seen, size, rng)
        pixels[:, quarter.top : quarter.bottom, quarter.left : quarter.right] = painted
        tile = Tile(picture, variant.tile.x.moved(dx), variant.tile.y.moved(dy), quarter)
        limit = quarter if settings.mosaic_bound else Window.whole(size)
        parts.append((tile, _moved(truth, dx, dy, limit)))
    return _assembled(pixels, parts, settings, size)


def _cut(side: int, rng: np.random.Generator) -> int:
    low = int(side * _CUT_MARGIN)
    return int(rng.integers(low, int(side * (1 - _CUT_MARGIN)) + 1))


def _seen_from(
    variant: Variant, corner: Corner, cut: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int]:
    """The first column and row of a varied picture that a mosaic shows in its quarter.

    A quarter shows the part of the picture that touches the cut point in its middle, moved past
    what the crop added there.
    """
    (height, width), (cut_x, cut_y) = size, cut
    picture_height, picture_width = variant.tile.picture.size
    left, right = variant.margins.left, variant.margins.right
    if variant.flip:
        left, right = right, left

    def added(margin: int, side: int, of: int, limit: int) -> int:
        return min(limit, max(0, -margin * side // of))

    if corner.right:
        column = added(left, width, picture_width, cut_x)
    else:
        column = width - cut_x - added(right, width, picture_width, width - cut_x)
    if corner.bottom:
        row = added(variant.margins.top, height, picture_height, cut_y)
    else:
        added_below = added(variant.margins.bottom, height, picture_height, height - cut_y)
        row = height - cut_y - added_below
    return column, row


def _moved(truth: _Truth, dx: int, dy: int, limit: Window) -> _Truth:
    """The truth shifted in a mosaic; only what has more than a pixel inside `limit`."""
    boxes = clipped(truth.boxes_xyxy + np.array([dx, dy] * 2), limit)
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 1).all(axis=1)
    return _Truth(truth.chosen[kept], boxes[kept])


def _truth(
    tile: Tile, settings: DarknetAugmentation, size: tuple[int, int], rng: np.random.Generator
) -> _Truth:
    """The objects at least a pixel wide and high, in random order, of the first `max_boxes`."""
    order = rng.permutation(len(tile.picture.labels.class_ids))[: settings.max_boxes]
    boxes = clipped(tile.boxes()[order], Window.whole(size))
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)
    return _Truth(order[kept], boxes[kept])


def _painted(
    variant: Variant,
    truth: _Truth,
    settings: DarknetAugmentation,
    window: Window,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Pixels:
    """The pixels of a varied picture inside a window of the canvas, (C, h, w)."""
    resized = resize(cropped(variant), size, smooth=False)
    if variant.flip:
        resized = resized[:, ::-1]
    inside = slice(window.top, window.bottom), slice(window.left, window.right)
    if not variant.blur:
        resized = resized[inside]  # colours of pixels that nobody sees need not be made
    planes = _coloured(np.ascontiguousarray(resized.transpose(2, 0, 1)), variant)
    if variant.blur:
        planes = _blurred(planes, variant.blur, truth.boxes_xyxy, settings)[:, *inside]
    return add_noise(planes, settings.gaussian_noise, rng) if variant.noisy else planes


def _coloured(planes: Pixels, variant: Variant) -> Pixels:
    """Hue, saturation and exposure varied; of grey only the exposure, alpha stays."""
    change = (variant.hue, variant.saturation, variant.exposure)
    if change == (0, 1, 1):
        return planes
    if len(planes) == 1:
        return scale_levels(planes, variant.exposure)
    varied = shift_hsv(planes[:3], *change)
    return varied if len(planes) == 3 else np.concatenate([varied, planes[3:]])


def _blurred(planes: Pixels, kind: int, boxes: Boxes, settings: DarknetAugmentation) -> Pixels:
    if kind == 1 or settings.blur == 1:
        return blur_background(planes, boxes, _BACKGROUND_KERNEL)
    kernel = settings.blur // 2 * 2 + 1
    if len(boxes):
        smallest = float((boxes[:, 2:] - boxes[:, :2]).min())
        kernel = min(kernel, int(smallest / _SHARPEST_OBJECT) // 2 * 2 + 1)
    return gaussian_blur(planes, kernel)


def _assembled(
    pixels: Pixels,
    parts: list[tuple[Tile, _Truth]],
    settings: DarknetAugmentation,
    size: tuple[int, int],
) -> TrainingImage:
    """One training image of its pixels and the objects of its parts, at most `max_boxes`."""
    limit = settings.max_boxes
    masks = None
    if all(tile.picture.labels.masks is not None for tile, _ in parts):
        masks = np.concatenate([tile.masks(truth.chosen, size) for tile, truth in parts])[:limit]
    ids = [tile.picture.labels.class_ids[truth.chosen] for tile, truth in parts]
    return TrainingImage(
        pixels,
        np.concatenate([truth.boxes_xyxy for _, truth in parts])[:limit],
        np.concatenate(ids)[:limit],
        masks,
        tuple(tile.picture.name for tile, _ in parts),
    )
