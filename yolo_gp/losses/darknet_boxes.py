"""Darknet's box deltas: what it adds to a box in place of a gradient. (darknet.md 6.6.1)

Legend: P positives. Boxes are centre and size, relative to the network input.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from yolo_gp.boxes import cxcywh_to_xyxy

IouKind = Literal["iou", "giou", "diou", "ciou"]
BoxLoss = Literal["mse"] | IouKind

_DIOU_EXPONENT = 0.6  # Darknet's own: diou = iou - (d^2 / c^2)^0.6


def iou_of(kind: IouKind, boxes: Tensor, truths: Tensor) -> Tensor:
    """The overlap of each box (..., 4) with its truth (..., 4), as Darknet reports it."""
    plain, hull_wh, union = _iou(boxes, truths)
    if kind == "iou":
        return plain
    if kind == "giou":
        hull = hull_wh.prod(-1)
        return torch.where(hull == 0, plain, plain - (hull - union) / hull)
    diagonal = hull_wh.square().sum(-1)
    distance = (boxes[..., :2] - truths[..., :2]).square().sum(-1)
    penalty = torch.where(diagonal == 0, 0.0, distance / diagonal)
    if kind == "diou":
        return plain - penalty.pow(_DIOU_EXPONENT)
    spread, _ = _aspect(boxes, truths)
    return plain - torch.where(diagonal == 0, 0.0, penalty + _alpha(plain, spread) * spread)


def _iou(boxes: Tensor, truths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Plain IoU, size of the smallest box around both, and union."""
    a, b = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truths)
    overlap_wh = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = overlap_wh.clamp(min=0).prod(-1)
    union = boxes[..., 2:].prod(-1) + truths[..., 2:].prod(-1) - intersection
    hull_wh = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    plain = torch.where((intersection == 0) | (union == 0), 0.0, intersection / union)
    return plain, hull_wh, union


def _aspect(boxes: Tensor, truths: Tensor) -> tuple[Tensor, Tensor]:
    """v of CIoU, and atan(w / h) of the truth minus that of the box."""
    difference = torch.atan(truths[..., 2] / truths[..., 3]) - torch.atan(
        boxes[..., 2] / boxes[..., 3]
    )
    return 4 / math.pi**2 * difference.square(), difference


def _alpha(iou: Tensor, spread: Tensor) -> Tensor:
    return spread / (1 - iou + spread + 1e-6)


def iou_gradient(kind: IouKind, boxes: Tensor, truths: Tensor) -> Tensor:
    """What Darknet takes for the gradient of the overlap: (P, 4) by x, y, w, h.

    Not the derivative: by w and h twice that, and the overlap of boxes that are apart is the
    product of two negative lengths.  Source: Darknet src/box.c dx_box_iou.
    """
    boxes = torch.cat((boxes[:, :2], torch.where(boxes[:, 2:] == 0, 1.0, boxes[:, 2:])), dim=1)
    edges, apart = _edge_gradient(kind, boxes, truths)
    left, top, right, bottom = edges.unbind(1)
    gradient = torch.stack((left + right, top + bottom, right - left, bottom - top), dim=1)
    if kind in ("diou", "ciou"):
        extra = _distance_terms(kind, boxes, truths)
        gradient = torch.where(apart[:, None], extra, gradient + extra)
    return gradient


def _edge_gradient(kind: IouKind, boxes: Tensor, truths: Tensor) -> tuple[Tensor, Tensor]:
    """By the edges left, top, right, bottom: (P, 4); and whether the boxes are apart (P,)."""
    p, t = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truths)
    wh = p[:, 2:] - p[:, :2]
    overlap = torch.minimum(p[:, 2:], t[:, 2:]) - torch.maximum(p[:, :2], t[:, :2])
    apart = (overlap <= 0).any(1)
    truth_area = (t[:, 2:] - t[:, :2]).prod(1)
    intersection = overlap.prod(1)[:, None]
    union = wh.prod(1)[:, None] + truth_area[:, None] - intersection
    across = wh.flip(1)  # what an edge's shift is multiplied by: the length of the other axis
    area = torch.cat((-across, across), dim=1)
    inside = torch.cat((p[:, :2] > t[:, :2], p[:, 2:] < t[:, 2:]), dim=1)
    other = overlap.flip(1)
    shared = torch.cat((-other, other), dim=1) * inside
    joint = area - shared
    gradient = torch.where(union > 0, (union * shared - intersection * joint) / union.square(), 0.0)
    if kind != "giou":
        return gradient, apart
    hull = torch.maximum(p[:, 2:], t[:, 2:]) - torch.minimum(p[:, :2], t[:, :2])
    hull_area = hull.prod(1)[:, None]
    outside = torch.cat((p[:, :2] < t[:, :2], p[:, 2:] > t[:, 2:]), dim=1)
    across_hull = hull.flip(1)
    grown = torch.cat((-across_hull, across_hull), dim=1) * outside
    extra = (hull_area * joint - union * grown) / hull_area.square()
    extra = torch.where(hull_area > 0, extra, 0.0)
    return torch.where(apart[:, None], extra, gradient + extra), apart


def _distance_terms(kind: IouKind, boxes: Tensor, truths: Tensor) -> Tensor:
    """What DIoU and CIoU add: (P, 4) by x, y, w, h."""
    p, t = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truths)
    hull = torch.maximum(p[:, 2:], t[:, 2:]) - torch.minimum(p[:, :2], t[:, :2])
    shift = truths[:, :2] - boxes[:, :2]
    distance = shift.square().sum(1, keepdim=True)
    diagonal = hull.square().sum(1, keepdim=True)
    ends = (p[:, 2:] > t[:, 2:]).float()
    starts = (p[:, :2] < t[:, :2]).float()
    hull_by_centre, hull_by_size = ends - starts, (ends + starts) / 2
    by_centre = (2 * shift * diagonal - 2 * hull * hull_by_centre * distance) / diagonal.square()
    by_size = 2 * hull * hull_by_size * distance / diagonal.square()
    if kind == "ciou":
        spread, difference = _aspect(boxes, truths)
        plain = _unclamped_iou(boxes, truths)
        factor = _alpha(plain, spread) * 8 / math.pi**2 * difference
        by_aspect = torch.stack((factor * boxes[:, 3], -factor * boxes[:, 2]), dim=1)
        by_size = by_size + by_aspect
    terms = torch.cat((by_centre, by_size), dim=1)
    return torch.where(diagonal > 0, terms, 0.0)


def _unclamped_iou(boxes: Tensor, truths: Tensor) -> Tensor:
    """IoU whose intersection is the product of two lengths, negative or not."""
    p, t = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truths)
    overlap = torch.minimum(p[:, 2:], t[:, 2:]) - torch.maximum(p[:, :2], t[:, :2])
    intersection = overlap.prod(1)
    union = boxes[:, 2:].prod(1) + truths[:, 2:].prod(1) - intersection
    return intersection / union
