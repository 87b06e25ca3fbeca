"""Pictures in which every object can be found again after any augmentation.

A picture has 4 channels. Picture n of a sample shows one white rectangle in channel n, black all
around; its class is n. So the pixels of channel n tell where its object is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from yolo_gp.data.augment_tiles import Labels, Picture, TrainingImage
from yolo_gp.detections import Rle

Box = tuple[int, int, int, int]
CHANNELS = 4


def picture(size: tuple[int, int], box: Box, channel: int, *, reduction: int = 1) -> Picture:
    """A picture with one object.

    Its mean colour is black as well, so that what Darknet paints around it is no object.

    Args:
        reduction: the pixels are loaded at 1 / this of the size; the box has multiples of it.
    """
    mask = np.zeros(size, np.uint8, order="F")
    left, top, right, bottom = box
    mask[top:bottom, left:right] = 1
    pixels = np.zeros((*size, CHANNELS), np.uint8)
    pixels[..., channel] = mask * 255
    pixels = np.ascontiguousarray(pixels[::reduction, ::reduction])
    labels = Labels(
        np.array([box], np.float64),
        np.array([channel]),
        (Rle(size, coco.encode(mask)["counts"].decode()),),
    )
    return Picture(pixels, size, np.zeros(CHANNELS, np.uint8), labels, f"picture {channel}")


@st.composite
def pictures(draw: st.DrawFn, count: int = CHANNELS) -> list[Picture]:
    """Pictures of different sizes, perhaps loaded at half of them."""
    made = []
    for channel in range(count):
        reduction = draw(st.sampled_from([1, 1, 2]))
        height, width = (reduction * draw(st.integers(20, 60)) for _ in range(2))
        left, right = span(draw, width, reduction)
        top, bottom = span(draw, height, reduction)
        made.append(
            picture((height, width), (left, top, right, bottom), channel, reduction=reduction)
        )
    return made


def span(draw: st.DrawFn, side: int, step: int) -> tuple[int, int]:
    """Where an object begins and ends along one side: 3 loaded pixels at least."""
    start = draw(st.integers(0, side // step - 3))
    end = draw(st.integers(start + 3, min(side // step, start + 20)))
    return start * step, end * step


def one_after_another(made: list[Picture]) -> Callable[[], Picture]:
    """What the pipelines call to get another picture: the second, the third ..."""
    rest: Iterator[Picture] = iter(made[1:])
    return lambda: next(rest)


def seen(image: TrainingImage, channel: int) -> NDArray[np.bool_]:
    """The pixels (h, w) that belong to the object of a channel for more than half."""
    return image.pixels[channel] > 127


def extent(inside: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The box around all set pixels."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
