"""Instance masks: from mask coefficients and prototypes to pixels, and to COCO's run lengths.

Legend: M prototypes of h x w cells, D detections. Sizes are (height, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

from yolo_gp.data.letterbox import ImagePlacement
from yolo_gp.detections import InstanceMask, MaskRecipe, Rle

_THRESHOLD = 0.5
_BLOCK = 2**20  # pixels interpolated at a time: a mask needs little beyond its own cut-out


def instance_masks(
    recipes: Sequence[MaskRecipe],
    candidates: Tensor,
    boxes_xyxy: Tensor,
    placement: ImagePlacement,
) -> tuple[InstanceMask, ...]:
    """The masks of detections, each inside its box and on the CPU, made one after the other.

    A candidate of a head without masks gets an empty one.

    Args:
        recipes: of all candidates of the image.
        candidates: (D,) int64, the number of each detection's candidate.
        boxes_xyxy: (D, 4) in pixels of the image.
        placement: how the image lies in the network input, which the prototypes cover.
    """
    masks = [InstanceMask(torch.zeros(0, 0, dtype=torch.bool), 0, 0)] * len(candidates)
    for recipe in recipes:
        rows = candidates - recipe.first
        made = ((rows >= 0) & (rows < len(recipe.coefficients))).nonzero().flatten()
        if not len(made):
            continue  # spares moving the prototypes
        chosen = rows[made].to(recipe.coefficients.device)
        coefficients = recipe.coefficients[chosen].float().cpu()
        prototypes = recipe.prototypes.float().cpu()
        for index, weights in zip(made.tolist(), coefficients, strict=True):
            masks[index] = _assemble(weights, prototypes, boxes_xyxy[index], placement)
    return tuple(masks)


def encode_rle(mask: InstanceMask, image_size: tuple[int, int]) -> Rle:
    """The mask in COCO's compressed run-length encoding."""
    height, width = mask.inside.shape
    whole = np.zeros(image_size, dtype=np.uint8, order="F")
    whole[mask.top : mask.top + height, mask.left : mask.left + width] = mask.inside.numpy()
    return Rle(image_size, coco.encode(whole)["counts"].decode("ascii"))


def _assemble(
    coefficients: Tensor, prototypes: Tensor, box_xyxy: Tensor, placement: ImagePlacement
) -> InstanceMask:
    """One mask, from (M,) and (M, h, w): interpolated between prototype cells, then compared."""
    left, top, right, bottom = box_xyxy.tolist()
    rows = _pixels(top, bottom, placement.image_size[0])
    columns = _pixels(left, right, placement.image_size[1])
    if not rows or not columns:
        return InstanceMask(torch.zeros(len(rows), len(columns), dtype=torch.bool), 0, 0)
    down = _taps(rows, placement, prototypes.shape[1], axis=0)
    across = _taps(columns, placement, prototypes.shape[2], axis=1)
    cells = prototypes[:, down.cells, across.cells]
    values = torch.tensordot(coefficients, cells, dims=1).sigmoid()
    values = torch.lerp(values[:, across.first], values[:, across.second], across.fraction)
    inside = torch.empty(len(rows), len(columns), dtype=torch.bool)
    step = max(1, _BLOCK // len(columns))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        first, second = values[down.first[block]], values[down.second[block]]
        inside[block] = torch.lerp(first, second, down.fraction[block, None]) > _THRESHOLD
    return InstanceMask(inside, rows.start, columns.start)


def _pixels(low: float, high: float, limit: int) -> range:
    """The pixels of 0 to limit - 1 whose centres lie in low <= centre < high."""
    return range(max(0, math.ceil(low - 0.5)), min(limit, math.ceil(high - 0.5)))


class _Taps(NamedTuple):
    """The two prototype cells that each pixel of one axis mixes.

    Fields:
        cells: all the cells that are read.
        first, second: (n,) positions among them.
        fraction: (n,) float32; the share of the second.
    """

    cells: slice
    first: Tensor
    second: Tensor
    fraction: Tensor


def _taps(pixels: range, placement: ImagePlacement, cells: int, *, axis: int) -> _Taps:
    """Where the centres of an image's pixels lie among `cells` that cover the network input.

    Beyond the centres of the outermost cells their value holds.
    """
    centres = torch.arange(pixels.start, pixels.stop, dtype=torch.float64) + 0.5
    position = placement.in_network(centres, axis=axis) * cells - 0.5
    position = position.clamp(0, cells - 1)
    first = position.long()
    second = (first + 1).clamp(max=cells - 1)
    start = int(first[0])
    wanted = slice(start, int(second[-1]) + 1)
    return _Taps(wanted, first - start, second - start, (position - first).float())
