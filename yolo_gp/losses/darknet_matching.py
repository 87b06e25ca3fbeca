"""Which cells and anchors Darknet tells to hold an object. (darknet.md 6.6, pass 2)"""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_gp.losses.darknet_boxes import IouKind, iou_of
from yolo_gp.losses.positives import Positives
from yolo_gp.losses.targets import Targets


def match_anchors(
    targets: Targets,
    numbers: Tensor,
    *,
    anchors_wh: tuple[tuple[float, float], ...],
    mask: tuple[int, ...],
    iou_thresh: float,
    iou_thresh_kind: IouKind,
    grid: tuple[int, int],
    input_size: tuple[int, int],
) -> Positives:
    """The cell of each object's centre, with each anchor that its shape calls for.

    The best of all anchors counts if the head owns it; the head's others if they overlap the
    object's shape by more than `iou_thresh`. In the order of the objects, as Darknet visits them.

    Args:
        numbers: (k,) the objects to match.
        anchors_wh: all anchors, (width, height) in pixels of the network input.
        mask: the numbers of those that the head owns.
        grid: (rows, columns) of the head's map.
        input_size: (height, width) of the network's input in pixels.

    Source: Darknet src/yolo_layer.c process_batch.
    """
    truths = targets.boxes_cxcywh_norm[numbers]
    anchors = truths.new_tensor(anchors_wh) / truths.new_tensor(input_size[::-1])
    shapes = torch.cat((torch.zeros_like(anchors), anchors), dim=1)
    sizes = torch.cat((torch.zeros_like(truths[:, :2]), truths[:, 2:]), dim=1)
    best = iou_of("iou", shapes[None], sizes[:, None]).argmax(1) if len(truths) else numbers
    own = truths.new_tensor(mask, dtype=torch.long)
    chosen = own[None] == best[:, None]  # (k, A)
    if iou_thresh < 1:
        chosen |= iou_of(iou_thresh_kind, shapes[own][None], sizes[:, None]) > iou_thresh
    truth, slot = chosen.nonzero(as_tuple=True)
    column = (truths[truth, 0] * grid[1]).long()
    row = (truths[truth, 1] * grid[0]).long()
    inside = (column >= 0) & (column < grid[1]) & (row >= 0) & (row < grid[0])
    found = Positives(targets.image[numbers][truth], slot, row, column, numbers[truth])
    return found.only(inside)
