"""Overlap of pairs of boxes that autograd can differentiate.

Legend: P pairs. Boxes are left, top, right, bottom, in one unit whose length is the same in x and
in y (pixels, not fractions of an oblong input): the shape terms of CIoU depend on it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from yolo_gp.boxes import xyxy_to_cxcywh

_EPSILON = 1e-7  # square pixels, or pixels: keeps quotients of empty boxes finite


def paired_overlap(boxes_xyxy: Tensor, truths_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and complete IoU of each box (P, 4) with its truth (P, 4): each (P,).

    CIoU = IoU - d^2 / c^2 - alpha v, with d the distance of the centres, c the diagonal of the
    smallest box around both, v = 4 / pi^2 (atan w'/h' - atan w/h)^2 and
    alpha = v / (1 - IoU + v). No gradient passes through alpha. Between -1.5 and 1; both are 0 or
    less, and their gradients finite, for boxes without size.

    Source: Zheng et al., Distance-IoU Loss, AAAI 2020, equations 7 to 11.
    """
    a, b = xyxy_to_cxcywh(boxes_xyxy), xyxy_to_cxcywh(truths_xyxy)
    low = torch.maximum(boxes_xyxy[:, :2], truths_xyxy[:, :2])
    high = torch.minimum(boxes_xyxy[:, 2:], truths_xyxy[:, 2:])
    intersection = (high - low).clamp(min=0).prod(1)
    union = a[:, 2:].prod(1) + b[:, 2:].prod(1) - intersection
    iou = intersection / (union + _EPSILON)
    hull = torch.maximum(boxes_xyxy[:, 2:], truths_xyxy[:, 2:]) - torch.minimum(
        boxes_xyxy[:, :2], truths_xyxy[:, :2]
    )
    distance = (a[:, :2] - b[:, :2]).square().sum(1)
    diagonal = hull.square().sum(1) + _EPSILON
    turn = _angle(b) - _angle(a)
    spread = 4 / math.pi**2 * turn.square()
    with torch.no_grad():
        alpha = spread / (1 - iou + spread + _EPSILON)
    return iou, iou - distance / diagonal - alpha * spread


def _angle(boxes_cxcywh: Tensor) -> Tensor:
    """atan(w / h) of each."""
    return torch.atan(boxes_cxcywh[:, 2] / (boxes_cxcywh[:, 3] + _EPSILON))
