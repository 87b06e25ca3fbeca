"""Pictures of a data set, and where their parts lie in a training image.

Pixels are (H, W, C) uint8 as loaded, (C, h, w) uint8 in a training image, which is called the
canvas. Sizes are (height, width). Boxes are left, top, right, bottom; T objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco
from torch.nn import functional

from yolo_gp.detections import Rle

MASK_CELL = 4  # canvas pixels along a side of one mask cell

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The objects of one picture that a network shall learn.

    Fields:
        boxes_xyxy: (T, 4) float64, in pixels of the full picture.
        class_ids: (T,) int64.
        masks: one for each object, of the full picture's size; None where none are wanted.
    """

    boxes_xyxy: Boxes
    class_ids: NDArray[np.int64]
    masks: tuple[Rle, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One image of a data set, decoded.

    Fields:
        pixels: (h, w, C) uint8; may be smaller than the file's image.
        size: of the file's upright image, which the labels refer to.
        mean_color: (C,) uint8, the mean of the pixels.
        labels: its objects.
        name: what messages call it.
    """

    pixels: Pixels
    size: tuple[int, int]
    mean_color: Pixels
    labels: Labels
    name: str

    def reduction(self, axis: int) -> float:
        """Loaded pixels per pixel of the file's image along axis 0, the height, or 1."""
        return int(self.pixels.shape[axis]) / self.size[axis]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingImage:
    """One training image with its objects.

    Fields:
        pixels: (C, h, w) uint8.
        boxes_xyxy: (T, 4) float64, in its pixels.
        class_ids: (T,) int64.
        masks: (T, h / 4, w / 4) bool; None where none are wanted.
        sources: the names of the pictures it is made of.
    """

    pixels: Pixels
    boxes_xyxy: Boxes
    class_ids: NDArray[np.int64]
    masks: NDArray[np.bool_] | None
    sources: tuple[str, ...]


class Axis(NamedTuple):
    """From a position along one side of the picture to the canvas: scale * position + shift.

    Positions are pixels from the edge, so that pixel i has its centre at i + 0.5. A mirrored
    picture has a negative scale.
    """

    scale: float
    shift: float

    def moved(self, distance: float) -> Axis:
        return Axis(self.scale, self.shift + distance)

    def mirrored(self, side: int) -> Axis:
        """Seen in a mirror as long as the canvas, `side` pixels."""
        return Axis(-self.scale, side - self.shift)


class Window(NamedTuple):
    """A rectangle of canvas pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Window:
        return cls(0, 0, size[1], size[0])

    def mirrored(self, width: int) -> Window:
        return Window(width - self.right, self.top, width - self.left, self.bottom)


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A picture's place in the canvas, and the part of the canvas where it is seen."""

    picture: Picture
    x: Axis
    y: Axis
    window: Window

    def boxes(self) -> Boxes:
        """The picture's boxes (T, 4) in canvas pixels; they may reach beyond the window."""
        found = self.picture.labels.boxes_xyxy
        placed = np.empty_like(found)
        for side, axis in enumerate((self.x, self.y)):
            ends = found[:, side::2] * axis.scale + axis.shift
            placed[:, side::2] = ends[:, ::-1] if axis.scale < 0 else ends
        return placed

    def masks(
        self, chosen: NDArray[np.intp], size: tuple[int, int], cell: int = MASK_CELL
    ) -> NDArray[np.bool_]:
        """Masks of some of its objects, (len(chosen), h / cell, w / cell), inside the window.

        A cell is set if the object covers its centre.

        Args:
            size: of the canvas.
            cell: canvas pixels along a side of one cell.
        """
        grid = size[0] // cell, size[1] // cell
        sampled = np.zeros((len(chosen), *grid), np.bool_)
        masks = self.picture.labels.masks
        if masks is None or not len(chosen):
            return sampled
        rows = _sources(self.y, grid[0], cell, self.window[1::2], self.picture.size[0])
        columns = _sources(self.x, grid[1], cell, self.window[0::2], self.picture.size[1])
        if not rows.cells.size or not columns.cells.size:
            return sampled
        coded = [{"size": list(masks[i].size), "counts": masks[i].counts} for i in chosen]
        decoded = coco.decode(coded).astype(np.bool_)  # (H, W, len(chosen)), column by column
        picked = decoded[rows.pixels[:, None], columns.pixels]
        sampled[:, rows.cells[:, None], columns.cells] = picked.transpose(2, 0, 1)
        return sampled


class _Sources(NamedTuple):
    """Cells of one axis of a mask, and the picture's pixel under the centre of each."""

    cells: NDArray[np.intp]
    pixels: NDArray[np.intp]


def _sources(axis: Axis, cells: int, cell: int, window: Sequence[int], side: int) -> _Sources:
    centres = (np.arange(cells) + 0.5) * cell
    pixels = np.floor((centres - axis.shift) / axis.scale).astype(np.intp)
    low, high = window
    seen = ((centres >= low) & (centres < high) & (pixels >= 0) & (pixels < side)).nonzero()[0]
    return _Sources(seen, pixels[seen])


def resize(pixels: Pixels, size: tuple[int, int], *, smooth: bool) -> Pixels:
    """Resize (H, W, C) uint8 bilinearly with pixel edges aligned.

    Args:
        pixels: writable, since torch takes no others without complaint.
        smooth: average over all pixels on the way down. Otherwise four at most are mixed, as by
            cv2.resize with INTER_LINEAR, which this equals to one level.
    """
    if pixels.shape[:2] == size:
        return pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = functional.interpolate(planes, size, mode="bilinear", antialias=smooth)
    made: Pixels = resized[0].permute(1, 2, 0).numpy()
    return made


def clipped(boxes_xyxy: Boxes, window: Window) -> Boxes:
    """The parts of boxes (T, 4) inside a window; of no extent where they lie outside."""
    low, high = window[:2] * 2, window[2:] * 2
    return np.clip(boxes_xyxy, low, high)


def mean_color(pixels: Pixels) -> Pixels:
    """The mean of (H, W, C) uint8, rounded: (C,)."""
    height, width, channels = pixels.shape
    # first down the rows, whose sums run along memory: four times as fast
    sums = pixels.reshape(height, -1).sum(axis=0, dtype=np.uint64).reshape(width, channels)
    rounded: Pixels = np.rint(sums.sum(axis=0) / (height * width)).astype(np.uint8)
    return rounded
