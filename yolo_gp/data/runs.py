"""COCO's run-length masks: reading them safely, and making them from polygons.

pycocotools decodes whatever it is given, past the end of its memory if need be; so nothing reaches
it that has not been looked at here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from yolo_gp.detections import Rle

_FAR = 8  # polygons may reach so many image sides beyond the image


def decode_runs(counts: str) -> list[int]:
    """Run lengths, of background first, from COCO's text: 5 bits a character, differences from
    the run before the last.

    Source: COCO API, common/maskApi.c rleFrString.

    Raises:
        ValueError: not such a text.
    """
    runs: list[int] = []
    value = shift = 0
    for code in counts.encode("ascii"):
        digit = code - 48
        if not 0 <= digit < 64 or shift > 60:
            raise ValueError("the text is no run-length code")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends inside a number")
    return runs


def check_runs(runs: Sequence[int], size: tuple[int, int]) -> None:
    """Raises: ValueError: the runs do not cover an image of (height, width) exactly."""
    if any(run < 0 for run in runs):
        raise ValueError("a run has negative length")
    if (total := sum(runs)) != size[0] * size[1]:
        raise ValueError(f"the runs cover {total} pixels, but {size[0]}x{size[1]} are stated")


def encode_runs(runs: Sequence[int], size: tuple[int, int]) -> Rle:
    """Compress run lengths that `check_runs` accepts."""
    made = coco.frPyObjects({"size": list(size), "counts": list(runs)}, *size)
    return Rle(size, made["counts"].decode("ascii"))


def mask_area(rle: Rle) -> int:
    """The number of its pixels."""
    return sum(itertools.islice(decode_runs(rle.counts), 1, None, 2))


def check_polygon(points: NDArray[np.float64], size: tuple[int, int] | None = None) -> None:
    """Whether an outline, (P, 2), can be drawn in an image of (height, width).

    Raises:
        ValueError: fewer than three points, NaN, or points absurdly far away.
    """
    if len(points) < 3:
        raise ValueError(f"a polygon has {len(points)} points; it needs 3")
    if not np.isfinite(points).all():
        raise ValueError("a polygon has a coordinate that is no finite number")
    if size is not None and np.abs(points).max() > _FAR * max(size):
        raise ValueError("a polygon lies far outside the image")


def rasterise(polygons: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> Rle:
    """The pixels inside any of the outlines, each (P, 2), as pycocotools draws them.

    Args:
        polygons: at least one; points beyond the image are cut off.
        size: (height, width) of the image.
    """
    limit = float(_FAR * max(size))
    flat = [np.clip(points, -limit, limit).ravel().tolist() for points in polygons]
    merged = coco.merge(coco.frPyObjects(flat, *size))
    return Rle(size, merged["counts"].decode("ascii"))
