"""The loss of [anchor_free] heads: task-aligned assignment, CIoU and distribution focal loss.

Legend: N images, K cells of all heads, C classes, B bins, M mask coefficients, P positives.
Source: Feng et al., TOOD, ICCV 2021 (assignment, class targets); Li et al., Generalized Focal Loss,
NeurIPS 2020 (distributions); the gains are those of YOLO-ELAN-AF's recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from yolo_gp.boxes import cxcywh_to_xyxy
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.losses.assignment import align_tasks
from yolo_gp.losses.mask_loss import mask_loss
from yolo_gp.losses.modern_yolo import at_least_float32
from yolo_gp.losses.overlap import paired_overlap
from yolo_gp.losses.targets import Targets

BOX_GAIN, CLASS_GAIN, DISTRIBUTION_GAIN = 7.5, 0.5, 1.5


@dataclass(frozen=True, slots=True)
class AnchorFreeLosses:
    """What all the heads contribute together, without gains: scalars.

    Box and distribution are means over positives, weighted by the score that each aims at; the
    cross-entropy of all scores is divided by the sum of those.

    Fields:
        box: 1 - CIoU.
        distribution: cross-entropy of the two bins beside each side's distance.
        classes: cross-entropy of scores.
        mask: see mask_loss, a mean over all positives; None for heads without masks.
    """

    box: Tensor
    distribution: Tensor
    classes: Tensor
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class _Level:
    """What one head predicts.

    Fields:
        boxes_xyxy: (N, k, 4) in pixels of the network input.
        scores, logits: (N, k, C) of classes; the scores are detached.
        sides: (N, k, 4, B) logits of distances.
        centres: (k, 2) of the cells, in pixels.
        stride: (2,) pixels per cell, x and y.
        coefficients: (N, k, M); None without masks.
        prototypes: (N, M, h, w); None without masks.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    logits: Tensor
    sides: Tensor
    centres: Tensor
    stride: Tensor
    coefficients: Tensor | None
    prototypes: Tensor | None


@dataclass(frozen=True, slots=True)
class _Answers:
    """Cells of one level that answer for objects, P of them: image, cell, object and weight."""

    image: Tensor
    cell: Tensor
    truth: Tensor
    weight: Tensor


def anchor_free_losses(
    heads: Sequence[AnchorFree],
    maps: Sequence[Sequence[Tensor]],
    targets: Targets,
    input_size: tuple[int, int],
) -> AnchorFreeLosses:
    """The loss of a network's heads, which share the objects out among themselves.

    Args:
        maps: what each head reads, each (N, ..., H, W).
        input_size: (height, width) of the network's input in pixels.
    """
    levels = [_level(h, m, input_size) for h, m in zip(heads, maps, strict=True)]
    answers = _share_out(levels, targets, input_size)
    scale = _total([a.weight.sum() for a in answers]).clamp(min=1)
    positives = max(1, sum(len(a.truth) for a in answers))
    pairs = list(zip(levels, answers, strict=True))
    truths = cxcywh_to_xyxy(targets.boxes_cxcywh_norm) * _pixels(targets, input_size)
    masks = [
        mask_loss(level.coefficients[a.image, a.cell], level.prototypes, a.image, a.truth, targets)
        * (len(a.truth) / positives)
        for level, a in pairs
        if level.coefficients is not None and level.prototypes is not None
    ]
    return AnchorFreeLosses(
        box=_total([_box_error(level, a, truths) for level, a in pairs]) / scale,
        distribution=_total([_side_error(level, a, truths) for level, a in pairs]) / scale,
        classes=_total([_class_error(level, a, targets) for level, a in pairs]) / scale,
        mask=_total(masks) if masks else None,
    )


def _total(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()


def _pixels(targets: Targets, input_size: tuple[int, int]) -> Tensor:
    height, width = input_size
    return targets.boxes_cxcywh_norm.new_tensor((width, height, width, height))


def _level(head: AnchorFree, maps: Sequence[Tensor], input_size: tuple[int, int]) -> _Level:
    wide = [at_least_float32(one) for one in maps]
    decoded = head.decode_all(wide, input_size)
    height, width = wide[0].shape[2:]
    stride = wide[0].new_tensor((input_size[1] / width, input_size[0] / height))
    cells = torch.arange(height * width, device=stride.device)
    centres = (torch.stack((cells % width, cells // width), dim=1) + 0.5) * stride
    boxes = cxcywh_to_xyxy(decoded.boxes_cxcywh_norm) * stride.new_tensor(
        (*input_size[::-1], *input_size[::-1])
    )
    return _Level(
        boxes_xyxy=boxes,
        scores=decoded.scores.detach(),
        logits=wide[1].permute(0, 2, 3, 1).flatten(1, 2),
        sides=wide[0].permute(0, 2, 3, 1).reshape(len(wide[0]), -1, 4, head.bins),
        centres=centres,
        stride=stride,
        coefficients=decoded.coefficients,
        prototypes=wide[-1] if head.masks.count else None,
    )


@torch.no_grad()
def _share_out(
    levels: Sequence[_Level], targets: Targets, input_size: tuple[int, int]
) -> list[_Answers]:
    """What each level answers for."""
    boxes = torch.cat([level.boxes_xyxy for level in levels], dim=1)
    scores = torch.cat([level.scores for level in levels], dim=1)
    centres = torch.cat([level.centres for level in levels])
    numbers = targets.of_classes(scores.shape[2])
    truths = cxcywh_to_xyxy(targets.boxes_cxcywh_norm) * _pixels(targets, input_size)
    found = []
    for number in range(len(boxes)):
        own = numbers[targets.image[numbers] == number]
        aligned = align_tasks(
            boxes[number], scores[number], centres, truths[own], targets.class_ids[own]
        )
        where = torch.full_like(aligned.cell, number)
        found.append((where, aligned.cell, own[aligned.truth], aligned.weight))
    image, cell, truth, weight = (torch.cat(column) for column in zip(*found, strict=True))
    answers, start = [], 0
    for level in levels:
        end = start + len(level.centres)
        here = ((cell >= start) & (cell < end)).nonzero().flatten()
        answers.append(_Answers(image[here], cell[here] - start, truth[here], weight[here]))
        start = end
    return answers


def _box_error(level: _Level, answers: _Answers, truths_xyxy: Tensor) -> Tensor:
    boxes = level.boxes_xyxy[answers.image, answers.cell]
    _, complete = paired_overlap(boxes, truths_xyxy[answers.truth].to(boxes))
    return ((1 - complete) * answers.weight).sum()


def _side_error(level: _Level, answers: _Answers, truths_xyxy: Tensor) -> Tensor:
    """Cross-entropy with the two bins around each distance, shared by closeness; mean of sides."""
    logits = level.sides[answers.image, answers.cell]  # (P, 4, B)
    truths, centres = truths_xyxy[answers.truth].to(logits), level.centres[answers.cell]
    distances = torch.cat((centres - truths[:, :2], truths[:, 2:] - centres), dim=1)
    last = logits.shape[2] - 1
    distances = (distances / level.stride.repeat(2)).clamp(0, last)
    below = distances.floor().clamp(max=last - 1).long()
    share = distances - below  # of the bin above
    logs = F.log_softmax(logits, dim=2)
    low, high = logs.gather(2, below[..., None]), logs.gather(2, below[..., None] + 1)
    errors = -(low[..., 0] * (1 - share) + high[..., 0] * share).mean(1)
    return (errors * answers.weight).sum()


def _class_error(level: _Level, answers: _Answers, targets: Targets) -> Tensor:
    goal = torch.zeros_like(level.logits)
    own = targets.class_ids[answers.truth]
    goal[answers.image, answers.cell, own] = answers.weight.to(goal)
    return F.binary_cross_entropy_with_logits(level.logits, goal, reduction="sum")
