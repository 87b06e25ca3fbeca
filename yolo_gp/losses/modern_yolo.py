"""The loss of YOLOv5 and YOLOR for [yolo] heads: CIoU, and cross-entropy of objectness and classes.

What trains is what the head decodes, whatever its cfg says. YOLOv5 decodes xy = 2 sigmoid - .5 and
wh = (2 sigmoid)^2 anchor, which is `new_coords=1 scale_x_y=2`; such a head trains as there. Others
differ in two things only:

* Without new_coords wh = exp(t) anchor. The same objects and anchors are paired.
* A cell places centres up to (scale_x_y - 1) / 2 beyond its edges, so neighbours of an object's
  cell answer for it if the centre lies within that reach (at most .5): with scale_x_y=1 none does.

With new_coords=1 and no masks the map arrives with the sigmoids applied, in the YOLOR dialect it
never does. Cross-entropies are taken from logits, so such values are turned back into them. That is
exact but where a float32 sigmoid ends: from logits of 17 on it is 1, and passes no gradient
whatever the loss.

The class output trains for a single class too, as detection multiplies it into every score.

Legend: N images, A anchors of the head, C classes, M mask coefficients, H x W cells, P positives.
Source: the facts in YOLOv5's and YOLOR's recipes; CIoU: see overlap.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from yolo_gp.boxes import cxcywh_to_xyxy
from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.assignment import match_shapes
from yolo_gp.losses.mask_loss import mask_loss
from yolo_gp.losses.overlap import paired_overlap
from yolo_gp.losses.positives import Positives
from yolo_gp.losses.targets import Targets

_BOX_AND_OBJECTNESS = 5
_LARGEST_LOG = 10.0  # exp of more is no size; squares of sizes stay finite
_SMALLEST = 1e-30  # of a probability: the logarithm's gradient stays finite


@dataclass(frozen=True, slots=True)
class YoloLosses:
    """What one head contributes, without gains: scalars.

    Fields:
        box: 1 - CIoU, a mean over positives.
        objectness: cross-entropy with the detached IoU of positives and 0 elsewhere, a mean over
            all cells and anchors.
        classes: cross-entropy, a mean over positives and classes.
        mask: see mask_loss; None for a head without masks.
    """

    box: Tensor
    objectness: Tensor
    classes: Tensor
    mask: Tensor | None


def yolo_losses(
    head: Yolo, maps: tuple[Tensor, ...], targets: Targets, input_size: tuple[int, int]
) -> YoloLosses:
    """The loss of one head.

    Args:
        maps: what the head reads, each (N, ..., H, W).
        input_size: (height, width) of the network's input in pixels.
    """
    shaped = _by_anchor(head, maps[0])
    positives = _positives(head, shaped, targets, input_size)
    image, slot, row, column = positives.place
    entries = shaped[image, slot, :, row, column]  # (P, 5 + C + M)
    boxes = cxcywh_to_xyxy(_boxes(head, entries, positives, shaped, input_size))
    scale = boxes.new_tensor(input_size[::-1]).repeat(2)
    truths = cxcywh_to_xyxy(targets.boxes_cxcywh_norm[positives.truth].to(boxes)) * scale
    iou, complete = paired_overlap(boxes * scale, truths)
    classes = entries[:, _BOX_AND_OBJECTNESS : _BOX_AND_OBJECTNESS + head.classes]
    own = targets.class_ids[positives.truth]
    mask = None
    if head.masks.count:
        coefficients = entries[:, _BOX_AND_OBJECTNESS + head.classes :]
        prototypes = at_least_float32(maps[-1])
        mask = mask_loss(coefficients, prototypes, image, positives.truth, targets)
    return YoloLosses(
        box=_mean(1 - complete),
        objectness=_objectness(head, shaped[:, :, 4], positives, iou.detach()),
        classes=_mean(_class_errors(_logits(head, classes), own)),
        mask=mask,
    )


def at_least_float32(values: Tensor) -> Tensor:
    """The same, in a precision that sums over a map can bear."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _by_anchor(head: Yolo, raw: Tensor) -> Tensor:
    """A map as (N, A, 5 + C + M, H, W)."""
    batch, _, height, width = raw.shape
    return at_least_float32(raw).reshape(batch, len(head.anchors.mask), -1, height, width)


def _positives(
    head: Yolo, shaped: Tensor, targets: Targets, input_size: tuple[int, int]
) -> Positives:
    return match_shapes(
        targets,
        targets.of_classes(head.classes),
        anchors_wh=head.anchors.masked_wh,
        reach=min(0.5, max(0.0, (head.scale_x_y - 1) / 2)),
        grid=(shaped.shape[3], shaped.shape[4]),
        input_size=input_size,
    )


def _boxes(
    head: Yolo,
    entries: Tensor,
    positives: Positives,
    shaped: Tensor,
    input_size: tuple[int, int],
) -> Tensor:
    """Boxes (P, 4) as the head decodes them: centre and size, relative to the input."""
    xy, wh = entries[:, :2], entries[:, 2:4]
    if not head.arrives_activated:
        xy = xy.sigmoid()
        wh = wh.sigmoid() if head.new_coords else wh.clamp(-_LARGEST_LOG, _LARGEST_LOG)
    factor = 4 * wh.square() if head.new_coords else wh.exp()
    anchors = entries.new_tensor(head.anchors.masked_wh)[positives.slot]
    corner = torch.stack((positives.column, positives.row), dim=1)
    centre = corner + xy * head.scale_x_y - 0.5 * (head.scale_x_y - 1)
    grid = entries.new_tensor((shaped.shape[4], shaped.shape[3]))
    size = factor * anchors / entries.new_tensor(input_size[::-1])
    return torch.cat((centre / grid, size), dim=1)


def _objectness(head: Yolo, values: Tensor, positives: Positives, iou: Tensor) -> Tensor:
    """Where several objects share a cell and an anchor, the best overlap is what it aims at."""
    goal = torch.zeros_like(values).contiguous()
    _, slots, height, width = goal.shape
    image, slot, row, column = positives.place
    place = ((image * slots + slot) * height + row) * width + column
    goal.view(-1).scatter_reduce_(0, place, iou.to(goal), "amax")
    return F.binary_cross_entropy_with_logits(_logits(head, values), goal)


def _logits(head: Yolo, values: Tensor) -> Tensor:
    """Of scores as they stand in the map."""
    if not head.arrives_activated:
        return values
    rest = (1 - values).clamp(min=torch.finfo(values.dtype).eps / 2)
    return values.clamp(min=_SMALLEST).log() - rest.log()


def _class_errors(logits: Tensor, own: Tensor) -> Tensor:
    """Cross-entropies (P, C) with 1 for each one's own class (P,) and 0 for others."""
    goal = torch.zeros_like(logits).scatter_(1, own[:, None], 1.0)
    return F.binary_cross_entropy_with_logits(logits, goal, reduction="none")


def _mean(values: Tensor) -> Tensor:
    """The mean, 0 of nothing."""
    return values.sum() / max(1, values.numel())
