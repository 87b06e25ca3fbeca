"""Box formats and overlap, on plain tensors.

Legend: A, B are numbers of boxes. `xyxy` is left, top, right, bottom; `cxcywh` is centre x,
centre y, width, height. Units are the caller's (pixels or fractions), the same for both arguments.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """Centre and size (..., 4) to left, top, right, bottom (..., 4), in the same unit."""
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def xyxy_to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """Left, top, right, bottom (..., 4) to centre and size (..., 4), in the same unit."""
    top_left, bottom_right = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat(((top_left + bottom_right) / 2, bottom_right - top_left), dim=-1)


def pairwise_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """IoU of each box of a (A, 4) with each box of b (B, 4), corners given: (A, B).

    0 where the boxes overlap by a negative width or height, and where the intersection or the
    union is 0.  Source: darknet.md 3.4, Darknet src/box.c box_iou.
    """
    return _iou(a_xyxy, _size(a_xyxy).prod(-1), b_xyxy, _size(b_xyxy).prod(-1))


def pairwise_iou_cxcywh(a_cxcywh: Tensor, b_cxcywh: Tensor) -> Tensor:
    """IoU of each box of a (A, 4) with each box of b (B, 4), centres and sizes given: (A, B).

    Rounds as Darknet does in float32: areas come from the sizes, not back from the corners.
    Otherwise like `pairwise_iou`.  Source: darknet.md 3.4, Darknet src/box.c box_iou.
    """
    a_area, b_area = a_cxcywh[:, 2:].prod(-1), b_cxcywh[:, 2:].prod(-1)
    return _iou(cxcywh_to_xyxy(a_cxcywh), a_area, cxcywh_to_xyxy(b_cxcywh), b_area)


def pairwise_distance_penalty(a_cxcywh: Tensor, b_cxcywh: Tensor) -> Tensor:
    """d^2 / c^2 of each box of a (A, 4) with each box of b (B, 4), centres and sizes: (A, B).

    d is the distance of the centres, c the diagonal of the smallest box around both; 0 where
    c^2 is 0.  Source: darknet.md 3.4, Darknet src/box.c box_diounms.
    """
    a, b = cxcywh_to_xyxy(a_cxcywh)[:, None], cxcywh_to_xyxy(b_cxcywh)[None]
    width = torch.maximum(a[..., 2], b[..., 2]) - torch.minimum(a[..., 0], b[..., 0])
    height = torch.maximum(a[..., 3], b[..., 3]) - torch.minimum(a[..., 1], b[..., 1])
    across = a_cxcywh[:, None, 0] - b_cxcywh[None, :, 0]
    down = a_cxcywh[:, None, 1] - b_cxcywh[None, :, 1]
    diagonal_squared = width * width + height * height
    distance_squared = across * across + down * down
    return torch.where(diagonal_squared == 0, 0.0, distance_squared / diagonal_squared)


def _iou(a_xyxy: Tensor, a_area: Tensor, b_xyxy: Tensor, b_area: Tensor) -> Tensor:
    """IoU (A, B) of boxes whose areas (A,) and (B,) are known."""
    a, b = a_xyxy[:, None], b_xyxy[None]
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    intersection = width.clamp(min=0) * height.clamp(min=0)
    union = a_area[:, None] + b_area[None] - intersection
    return torch.where((intersection == 0) | (union == 0), 0.0, intersection / union)


def _size(boxes_xyxy: Tensor) -> Tensor:
    """Width and height (..., 2)."""
    return boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
