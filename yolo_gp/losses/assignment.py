"""Which predictions answer for which objects.

Legend: T objects, A anchors, K cells of all levels, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from yolo_gp.boxes import pairwise_iou
from yolo_gp.losses.positives import Positives
from yolo_gp.losses.targets import Targets

_LARGEST_RATIO = 4.0  # of an object's side to the anchor's, or the other way round
_CANDIDATES = 10  # cells an object may be answered for by
_SCORE_POWER, _OVERLAP_POWER = 0.5, 6.0


def match_shapes(
    targets: Targets,
    numbers: Tensor,
    *,
    anchors_wh: tuple[tuple[float, float], ...],
    reach: float,
    grid: tuple[int, int],
    input_size: tuple[int, int],
) -> Positives:
    """Every anchor of about the object's shape, in the cell of its centre and in its neighbours.

    An anchor fits if neither side is `_LARGEST_RATIO` times the object's or more, nor the other way
    round. Of the four cells beside that of the centre those answer too from whose edge the centre
    lies less than `reach`: at .5 one to the left or right and one above or below.

    Args:
        numbers: (k,) the objects to match.
        anchors_wh: the head's own, (width, height) in pixels of the network input.
        reach: how far beyond its edge a cell can place a centre, in cells, 0 to .5.
        grid: (rows, columns) of the head's map.
        input_size: (height, width) of the network's input in pixels.

    Source: the facts in YOLOv5's and YOLOR's recipes (shape ratio 4, offset .5).
    """
    truths = targets.boxes_cxcywh_norm[numbers]
    sizes = truths[:, 2:] * truths.new_tensor(input_size[::-1])
    ratio = sizes[:, None] / truths.new_tensor(anchors_wh)
    fits = torch.maximum(ratio, 1 / ratio).amax(2) < _LARGEST_RATIO  # (k, A)
    centre = truths[:, :2] * truths.new_tensor(grid[::-1])
    cell = centre.floor()
    before, after = centre - cell < reach, cell + 1 - centre < reach
    answers = torch.cat((torch.ones_like(before[:, :1]), before, after), dim=1)  # (k, 5)
    steps = cell.new_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])
    cells = (cell[:, None] + steps).long()  # (k, 5, 2) by x, y
    inside = ((cells >= 0) & (cells < cells.new_tensor(grid[::-1]))).all(2)
    chosen = fits[:, :, None] & (answers & inside)[:, None]
    truth, slot, which = chosen.nonzero(as_tuple=True)
    column, row = cells[truth, which].unbind(1)
    return Positives(targets.image[numbers][truth], slot, row, column, numbers[truth])


class Alignment(NamedTuple):
    """Which cells of one image answer for an object, P of them.

    Fields:
        cell: (P,) int64, ascending.
        truth: (P,) int64, the number of the object.
        weight: (P,) float32, the class score to aim at: an object's best cell aims at the best
            overlap that any of its cells has with it.
    """

    cell: Tensor
    truth: Tensor
    weight: Tensor


@torch.no_grad()
def align_tasks(
    boxes_xyxy: Tensor,
    scores: Tensor,
    centres: Tensor,
    truths_xyxy: Tensor,
    class_ids: Tensor,
) -> Alignment:
    """The cells that predict an object best, in class and box at once.

    A cell's alignment with an object is t = s^.5 u^6, with s its score of the object's class and u
    the IoU of its box. Of the cells whose centre lies inside an object, the ten of highest t answer
    for it, if t > 0; a cell chosen by several answers for the one it overlaps most. A cell's weight
    is t, scaled so that an object's largest equals the largest u among its cells.

    Args:
        boxes_xyxy: (K, 4) predicted, in pixels of the network input, as all lengths here.
        scores: (K, C) predicted, 0 to 1.
        centres: (K, 2) of the cells, x and y.
        truths_xyxy: (T, 4).
        class_ids: (T,) within 0 to C - 1.

    Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, ICCV 2021, section 3.2.
    """
    overlap = pairwise_iou(truths_xyxy, boxes_xyxy)  # (T, K)
    inside = (centres > truths_xyxy[:, None, :2]) & (centres < truths_xyxy[:, None, 2:])
    alignment = scores.T[class_ids].pow(_SCORE_POWER) * overlap.pow(_OVERLAP_POWER)
    alignment = torch.where(inside.all(2), alignment, 0.0)
    best = alignment.topk(min(_CANDIDATES, alignment.shape[1]), dim=1)
    chosen = torch.zeros_like(inside[..., 0]).scatter_(1, best.indices, best.values > 0)
    if len(chosen) > 1:
        first = torch.where(chosen, overlap, -1.0).argmax(0)
        chosen &= first == torch.arange(len(chosen), device=first.device)[:, None]
    alignment, overlap = (torch.where(chosen, x, 0.0) for x in (alignment, overlap))
    cell, truth = chosen.T.nonzero(as_tuple=True)
    scale = overlap.amax(1) / alignment.amax(1)
    return Alignment(cell, truth, alignment[truth, cell] * scale[truth])
