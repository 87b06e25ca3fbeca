"""An image on its way into the network: resized, perhaps letterboxed, and the way back for boxes.

Images are (H, W, C) uint8 arrays; sizes are (height, width) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_gp.errors import DataError
from yolo_gp.presets import Preset

_LEVELS = np.float32(255)  # the value of white in 8 bits


@dataclass(frozen=True, slots=True)
class ImagePlacement:
    """How one image lies in its network input. All in network pixels, but for `image_size`.

    Fields:
        network_size: (height, width) of the network input.
        image_size: (height, width) of the image in its own pixels.
        scaled_size: (height, width) of the image inside the network input.
        offset: (top, left) of the image inside the network input.
        box_offset: (top, left) as the boxes' way back assumes it. Darknet does not round it there
            though it rounds `offset`, so that its boxes are off by half a pixel where the
            border is odd.  Source: darknet.md 3.2, 5.3.
    """

    network_size: tuple[int, int]
    image_size: tuple[int, int]
    scaled_size: tuple[int, int]
    offset: tuple[int, int]
    box_offset: tuple[float, float]

    def boxes_on_image(self, boxes_cxcywh_norm: Tensor) -> Tensor:
        """Boxes (K, 4) relative to the network input, made relative to the image.

        Computed in float64, returned in the boxes' own type.  Source: darknet.md 3.2, Darknet
        src/yolo_layer.c correct_yolo_boxes.
        """
        (height, width), (scaled_height, scaled_width) = self.network_size, self.scaled_size
        top, left = self.box_offset
        shift = (left / width, top / height, 0.0, 0.0)
        factor = (width / scaled_width, height / scaled_height) * 2
        wide = boxes_cxcywh_norm.to(torch.float64)
        moved = (wide - wide.new_tensor(shift)) * wide.new_tensor(factor)
        return moved.to(boxes_cxcywh_norm.dtype)

    def in_network(self, positions: Tensor, *, axis: int) -> Tensor:
        """Positions on the image, in its pixels from its edge, relative to the network input.

        The way of the pixels, by `offset`: they lie where they were pasted, not where Darknet
        looks for boxes.

        Args:
            axis: 0 for positions along the height, 1 along the width.
        """
        scale = self.scaled_size[axis] / self.image_size[axis]
        return (positions * scale + self.offset[axis]) / self.network_size[axis]


def place(
    image_size: tuple[int, int], size: tuple[int, int], preset: Preset, stride: int
) -> ImagePlacement:
    """Where an image of `image_size` goes in a network input of at most `size`.

    A letterboxed image is centred. With `preset.rectangular` the network input shrinks to the
    smallest multiples of `stride` that hold the scaled image, but never beyond `size`.
    """
    if preset.resize == "plain":
        return ImagePlacement(size, image_size, size, (0, 0), (0.0, 0.0))
    exact = preset.interpolation == "darknet"
    scaled = _darknet_scaled_size(image_size, size) if exact else _scaled_size(image_size, size)
    if preset.rectangular:
        size = _canvas_side(scaled[0], stride, size[0]), _canvas_side(scaled[1], stride, size[1])
    border = size[0] - scaled[0], size[1] - scaled[1]
    offset = border[0] // 2, border[1] // 2
    box_offset = (border[0] / 2, border[1] / 2) if exact else (float(offset[0]), float(offset[1]))
    return ImagePlacement(size, image_size, scaled, offset, box_offset)


def prepare(
    image: NDArray[np.uint8], size: tuple[int, int], preset: Preset, stride: int
) -> tuple[Tensor, ImagePlacement]:
    """An image (H, W, C) as network input (C, h, w) float32 in 0..1, and how it lies in there.

    (h, w) is `size`, or less where the preset is rectangular: see `place`.

    Raises:
        DataError: the array is no 8-bit image or holds no pixel.
    """
    require_image(image)
    placement = place((image.shape[0], image.shape[1]), size, preset, stride)
    resized = _RESIZERS[preset.interpolation](image, *placement.scaled_size)
    canvas = np.full((image.shape[2], *placement.network_size), preset.fill, dtype=np.float32)
    (top, left), (height, width) = placement.offset, placement.scaled_size
    canvas[:, top : top + height, left : left + width] = resized.transpose(2, 0, 1)
    return torch.from_numpy(canvas), placement


def require_image(image: NDArray[np.uint8]) -> None:
    """Raise a DataError unless the array is an 8-bit image (H, W, C) with at least one pixel."""
    if image.ndim != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(
            f"an image must be an array of shape (height, width, channels) and type uint8 with "
            f"at least one pixel; this one has shape {image.shape} and type {image.dtype}"
        )


def resize_darknet(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Darknet's corner-aligned resize, bit for bit: (H, W, C) uint8 to (height, width, C) in 0..1.

    Its last row may come out dark: rounding can put the row just before the source's last one,
    and Darknet leaves out the second of the two rows it mixes there.  Source: darknet.md 5.2,
    Darknet src/image.c resize_image.
    """
    return resize_darknet_at(image, (height, width), np.arange(height), np.arange(width))


def resize_darknet_at(
    image: NDArray[np.uint8],
    size: tuple[int, int],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Some rows and columns of `resize_darknet`'s result; the others cost nothing.

    Args:
        size: (height, width) of the whole resized image.
        rows: (h,) numbers of rows of the resized image, in any order, also repeated.
        columns: (w,) numbers of its columns, likewise.

    Returns:
        (h, w, C) in 0..1.
    """
    (height, width), (source_height, source_width) = size, image.shape[:2]
    across = _corner_aligned(source_width, width, columns)
    across.first[columns == width - 1] = source_width - 1  # also where width is 1
    across.fraction[columns == width - 1] = 0
    down = _corner_aligned(source_height, height, rows)
    second_weight = down.fraction.copy()
    second_weight[rows == height - 1] = 0
    read, down = _rows_wanted(image, down)
    values = _down(_across(read, across, _LEVELS), down, second_weight)
    return values.reshape(len(rows), len(columns), -1)


def resize_bilinear(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Bilinear resize of pixel areas: (H, W, C) uint8 to (height, width, C) float32 in 0..1.

    Pixel edges are aligned, nothing is smoothed on the way down, and the result is rounded to
    8-bit levels, as cv2.resize with INTER_LINEAR does. They differ by one level in an eighth of
    the values: OpenCV mixes in fixed point and drops the last bits.
    """
    rows, columns = _edge_aligned(image.shape[0], height), _edge_aligned(image.shape[1], width)
    read, rows = _rows_wanted(image, rows)
    levels = _down(_across(read, columns, np.float32(1)), rows, rows.fraction)
    levels += np.float32(0.5)  # halves go up, as in OpenCV
    np.floor(levels, out=levels)
    levels /= _LEVELS
    return levels.reshape(height, width, -1)


_RESIZERS = {"darknet": resize_darknet, "bilinear": resize_bilinear}


class _Taps(NamedTuple):
    """The two source pixels that each pixel of one output axis mixes: (n,) each.

    An output pixel is (1 - fraction) * source[first] + fraction * source[second].
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    fraction: NDArray[np.float32]


def _corner_aligned(source: int, target: int, wanted: NDArray[np.intp]) -> _Taps:
    """Taps that map the first and last pixel's centres onto each other, in float32.

    A single target pixel reads source pixel 0; Darknet divides 0 by 0 there.

    Args:
        wanted: numbers of the target pixels.
    """
    scale = np.float32(source - 1) / np.float32(max(target - 1, 1))
    return _taps(wanted.astype(np.float32) * scale, source)


def _edge_aligned(source: int, target: int) -> _Taps:
    """Taps that map the outer edges of the first and last pixel onto each other."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    return _taps(position.clip(0, source - 1).astype(np.float32), source)


def _taps(position: NDArray[np.float32], source: int) -> _Taps:
    first = position.astype(np.intp)
    fraction = position - first.astype(np.float32)
    return _Taps(first, np.minimum(first + 1, source - 1), fraction)


def _rows_wanted(image: NDArray[np.uint8], rows: _Taps) -> tuple[NDArray[np.uint8], _Taps]:
    """Only the source rows that are read, and the taps into those: a large photo has many more."""
    wanted = np.zeros(image.shape[0], dtype=bool)
    wanted[rows.first] = wanted[rows.second] = True
    position = np.cumsum(wanted) - 1
    return image[wanted], _Taps(position[rows.first], position[rows.second], rows.fraction)


def _across(image: NDArray[np.uint8], columns: _Taps, unit: np.float32) -> NDArray[np.float32]:
    """Resize (H, W, C) along W; returns (H, w * C), in levels divided by `unit`.

    Darknet divides first and mixes afterwards; the other order rounds differently.
    """
    height, width, channels = image.shape
    flat = image.reshape(height, width * channels)
    fraction = np.repeat(columns.fraction, channels)
    each = np.arange(channels)

    def taken(index: NDArray[np.intp]) -> NDArray[np.float32]:
        chosen = np.take(flat, (index[:, None] * channels + each).ravel(), axis=1)
        values: NDArray[np.float32] = chosen.astype(np.float32)
        values /= unit
        return values

    mixed = taken(columns.first)
    mixed *= 1 - fraction
    second = taken(columns.second)
    second *= fraction
    mixed += second
    return mixed


def _down(
    wide: NDArray[np.float32], rows: _Taps, second_weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Resize (H, w * C) along H; returns (h, w * C)."""
    mixed: NDArray[np.float32] = wide[rows.first]
    second: NDArray[np.float32] = wide[rows.second]
    mixed *= (1 - rows.fraction)[:, None]
    second *= second_weight[:, None]
    mixed += second
    return mixed


def _darknet_scaled_size(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The letterboxed image's (height, width) by Darknet's comparison and truncation.

    At least 1 pixel, where Darknet gets an image of no rows.  Source: darknet.md 3.2, 5.3.
    """
    (height, width), (net_height, net_width) = image_size, size
    # The two quotients are compared in float32, so that nearly equal ones count as equal.
    if np.float32(net_width) / np.float32(width) < np.float32(net_height) / np.float32(height):
        return max(1, height * net_width // width), net_width
    return net_height, max(1, width * net_height // height)


def _scaled_size(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The letterboxed image's (height, width), each rounded to the nearest pixel, at least 1."""
    scale = min(size[0] / image_size[0], size[1] / image_size[1])
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def _canvas_side(scaled: int, stride: int, limit: int) -> int:
    return min(limit, -(-scaled // stride) * stride)
