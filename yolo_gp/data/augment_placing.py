"""Where a picture lies in a training image when whole pixels are resized to whole pixels.

Sizes are (height, width).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from yolo_gp.data.augment_tiles import Axis, Picture, Pixels, Tile, Window, resize


class _Span(NamedTuple):
    """Loaded pixels of one side of a picture, and the canvas pixels they are resized to."""

    source: slice
    start: int
    length: int


class PlacedPicture(NamedTuple):
    """A picture whose visible pixels are resized from whole pixels to whole pixels."""

    tile: Tile
    rows: _Span
    columns: _Span


def snapped(picture: Picture, x: Axis, y: Axis, limit: Window) -> PlacedPicture:
    """A picture near where its axes want it, seen inside `limit`."""
    rows, y = _snap(y, picture, 0, (limit.top, limit.bottom))
    columns, x = _snap(x, picture, 1, (limit.left, limit.right))
    window = Window(
        max(limit.left, columns.start),
        max(limit.top, rows.start),
        min(limit.right, columns.start + columns.length),
        min(limit.bottom, rows.start + rows.length),
    )
    return PlacedPicture(Tile(picture, x, y, window), rows, columns)


def _snap(axis: Axis, picture: Picture, side: int, limit: tuple[int, int]) -> tuple[_Span, Axis]:
    """The loaded pixels seen in `limit` of the canvas, and the axis that their rounding makes."""
    scale = axis.scale / picture.reduction(side)
    count = picture.pixels.shape[side]
    first = int(np.clip(np.floor((limit[0] - axis.shift) / scale), 0, count - 1))
    last = int(np.clip(np.ceil((limit[1] - axis.shift) / scale), first + 1, count))
    start, end = round(first * scale + axis.shift), round(last * scale + axis.shift)
    end = max(end, start + 1)
    scale = (end - start) / (last - first)
    snapped = Axis(scale * picture.reduction(side), start - first * scale)
    return _Span(slice(first, last), start, end - start), snapped


def paint(placed: PlacedPicture, canvas: Pixels) -> None:
    """Put the visible part of a picture into the canvas (C, h, w)."""
    left, top, right, bottom = placed.tile.window
    if left >= right or top >= bottom:
        return
    rows, columns = placed.rows, placed.columns
    crop = placed.tile.picture.pixels[rows.source, columns.source]
    resized = resize(crop, (rows.length, columns.length), smooth=True)
    row, column = top - rows.start, left - columns.start
    seen = resized[row : row + bottom - top, column : column + right - left]
    canvas[:, top:bottom, left:right] = seen.transpose(2, 0, 1)
