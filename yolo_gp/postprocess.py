"""From candidates to detections: back to the image, non-maximum suppression, the best first.

Legend: K candidates, C classes, D detections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from yolo_gp.boxes import cxcywh_to_xyxy, pairwise_distance_penalty, pairwise_iou_cxcywh
from yolo_gp.data.letterbox import ImagePlacement
from yolo_gp.detections import Candidates, Detections, NmsRule
from yolo_gp.masks import instance_masks
from yolo_gp.presets import Preset

_BLOCK = 128  # boxes compared with as many others at a time: matrices that stay in the cache
_TOGETHER = 1024  # boxes of small classes whose pairs are compared at a time, 65,000 at most


def join_candidates(parts: Sequence[Candidates]) -> Candidates:
    """What several heads propose for one image, in their order. Each may have masks or not."""
    recipes = []
    first = 0
    for part in parts:
        recipes += [replace(recipe, first=first + recipe.first) for recipe in part.mask_recipes]
        first += len(part.scores)
    return Candidates(
        torch.cat([part.boxes_cxcywh_norm for part in parts]),
        torch.cat([part.scores for part in parts]),
        tuple(recipes),
        _joined_objectness(parts),
    )


def _joined_objectness(parts: Sequence[Candidates]) -> Tensor | None:
    """One for all candidates if some have one; those without need no other than their scores."""
    if all(part.objectness is None for part in parts):
        return None
    joined = []
    for part in parts:
        enough = part.scores.new_full((len(part.scores),), torch.inf)
        joined.append(enough if part.objectness is None else part.objectness)
    return torch.cat(joined)


def exceeding(candidates: Candidates, threshold: float) -> Candidates:
    """The same candidates, their scores thresholded once more, higher: 0 where not above it."""
    scores = candidates.scores
    passes = scores > threshold
    if candidates.objectness is not None:
        passes &= (candidates.objectness > threshold).to(passes.device)[:, None]
    return replace(candidates, scores=scores.where(passes, 0.0))


def detections(
    candidates: Candidates,
    placement: ImagePlacement,
    preset: Preset,
    head_rule: NmsRule,
    names: tuple[str, ...] = (),
    class_filter: frozenset[int] | None = None,
    best_of_class: int | None = None,
) -> Detections:
    """The detections among one image's candidates, by the preset's conventions.

    Candidates with a number that is not finite are left out.

    Args:
        candidates: relative to the network input, their scores already thresholded.
        placement: how the image lies in that network input.
        head_rule: the rule of the network's last head, used where `preset.nms` is "head".
        names: class names by id.
        class_filter: ids of the classes to report; None reports all.
        best_of_class: of each class so many suffice, the most confident first, though a few more
            may come; None reports all. Spares work where very many boxes survive.
    """
    scores = candidates.scores.float().cpu()
    boxes = placement.boxes_on_image(candidates.boxes_cxcywh_norm.float().cpu())
    height, width = placement.image_size
    sides = boxes.new_tensor((width, height, width, height))
    boxes_xyxy = cxcywh_to_xyxy(boxes) * sides
    used = boxes_xyxy.isfinite().all(1) & scores.isfinite().all(1) & scores.any(1)
    numbers = used.nonzero().flatten()  # of those that stay, among all
    boxes, boxes_xyxy, scores = boxes[used], boxes_xyxy[used], scores[used]
    compared = boxes * sides if preset.nms_unit == "pixels" else boxes
    rule = head_rule if preset.nms == "head" else NmsRule()
    scores = _chosen_scores(scores, preset, class_filter)
    kept = non_maximum_suppression(compared, scores, rule, preset.iou_threshold, best_of_class)
    candidate, class_ids = kept.nonzero(as_tuple=True)
    confidences, order = kept[candidate, class_ids].sort(descending=True, stable=True)
    order = order[: preset.max_detections]
    chosen = candidate[order]
    found = boxes_xyxy[chosen]
    if preset.clip_boxes:
        found = found.clamp(min=0).minimum(sides)
    recipes = candidates.mask_recipes
    masks = instance_masks(recipes, numbers[chosen], found, placement) if recipes else None
    return Detections(
        boxes_xyxy=found,
        confidences=confidences[: len(order)],
        class_ids=class_ids[order],
        image_size=placement.image_size,
        names=names,
        instance_masks=masks,
        preset=preset.name,
    )


def _chosen_scores(scores: Tensor, preset: Preset, class_filter: frozenset[int] | None) -> Tensor:
    """The scores (K, C) of the classes that count, the others 0."""
    if not preset.multi_label:
        scores = _best_class_only(scores)
    return scores if class_filter is None else _of_classes(scores, class_filter)


def non_maximum_suppression(
    boxes_cxcywh: Tensor,
    scores: Tensor,
    rule: NmsRule,
    threshold: float,
    enough: int | None = None,
) -> Tensor:
    """The scores (K, C) of boxes (K, 4), with those of suppressed boxes set to 0.

    Class by class, from the highest score down (ties in the order given), each box that still has
    a score takes it from every later box that it suppresses by `rule`. A box suppressed in one
    class keeps its scores in the others. Needs memory for K * C scores, not for K * K overlaps.
    Once `enough` boxes of a class have survived, its later ones may be left out too.
    Source: darknet.md 3.4, Darknet src/box.c do_nms_sort, diounms_sort.
    """
    class_ids, rows = scores.t().nonzero(as_tuple=True)
    by_score = scores[rows, class_ids].argsort(descending=True, stable=True)
    order = by_score[class_ids[by_score].argsort(stable=True)]
    class_ids, rows = class_ids[order], rows[order]
    kept = scores.clone()
    for some in _groups(class_ids):
        boxes, own = boxes_cxcywh[rows[some]], class_ids[some]
        if len(boxes) > _BLOCK and own[0] == own[-1]:
            survives = _survivors_of_one(boxes, rule, threshold, enough)
        else:
            survives = _survivors_of_several(boxes, own, rule, threshold)
        kept[rows[some][~survives], own[~survives]] = 0
    return kept


def _groups(class_ids: Tensor) -> Iterator[slice]:
    """Sorted class ids (n,) cut between classes: one large class, or several small ones."""
    start = end = 0
    for size in class_ids.bincount().tolist():
        if end > start and (size > _BLOCK or end + size - start > _TOGETHER):
            yield slice(start, end)
            start = end
        end += size
        if size > _BLOCK:
            yield slice(start, end)
            start = end
    if end > start:
        yield slice(start, end)


def _survivors_of_several(
    boxes_cxcywh: Tensor, class_ids: Tensor, rule: NmsRule, threshold: float
) -> Tensor:
    """Which of the boxes (n, 4) no surviving better box of their class suppresses: (n,) bool.

    The boxes come class by class (n,), best first. Only pairs within a class are compared.
    """
    number = torch.arange(len(class_ids), device=class_ids.device)
    later = torch.searchsorted(class_ids, class_ids, right=True) - number - 1  # of the class
    better = number.repeat_interleave(later)
    place = torch.arange(len(better), device=better.device)  # among all pairs
    worse = better + 1 + place - (later.cumsum(0) - later).repeat_interleave(later)

    def pair(one: Tensor, other: Tensor) -> Tensor:
        return _suppresses(one[None], other[None], rule, threshold)[0, 0]

    hits = torch.vmap(pair)(boxes_cxcywh[better], boxes_cxcywh[worse])
    alive = [True] * len(class_ids)
    for i, j in zip(better[hits].tolist(), worse[hits].tolist(), strict=True):
        if alive[i]:
            alive[j] = False
    return torch.tensor(alive, device=class_ids.device)


def _survivors_of_one(
    boxes_cxcywh: Tensor, rule: NmsRule, threshold: float, enough: int | None
) -> Tensor:
    """Which of the boxes (n, 4) of one class no surviving better box suppresses: (n,) bool.

    The boxes come best first. What a block of them suppresses need not be compared any more.
    """
    blocks: list[Tensor] = []
    survivors = boxes_cxcywh[:0]
    for block in torch.split(boxes_cxcywh, _BLOCK):
        alive = torch.ones(len(block), dtype=torch.bool, device=block.device)
        if enough is not None and len(survivors) >= enough:
            blocks.append(~alive)
            continue
        for better in torch.split(survivors, _BLOCK):
            alive &= ~_suppresses(better, block, rule, threshold).any(0)
        rest = block[alive]
        alive[alive.clone()] = _greedy(_suppresses(rest, rest, rule, threshold))
        survivors = torch.cat((survivors, block[alive]))
        blocks.append(alive)
    return torch.cat(blocks)


def _greedy(suppresses: Tensor) -> Tensor:
    """Survivors (n,) where row i of (n, n) says whom i suppresses, and earlier boxes go first."""
    later = suppresses.triu(diagonal=1)
    spares = ~later.cpu().numpy()
    alive = torch.ones(len(spares), dtype=torch.bool)
    survives = alive.numpy()  # the same memory
    for i in later.any(1).nonzero().flatten().tolist():
        if survives[i]:
            survives &= spares[i]
    return alive.to(suppresses.device)


def _suppresses(better: Tensor, worse: Tensor, rule: NmsRule, threshold: float) -> Tensor:
    """Whether each box of the first (A, 4) suppresses each of the second (B, 4): (A, B) bool."""
    overlap = pairwise_iou_cxcywh(better, worse)
    if rule.kind == "diou":
        overlap -= pairwise_distance_penalty(better, worse).pow_(rule.exponent)
    return overlap > threshold


def _best_class_only(scores: Tensor) -> Tensor:
    """The scores (K, C) with all but each candidate's highest set to 0."""
    best, class_ids = scores.max(1, keepdim=True)
    return torch.zeros_like(scores).scatter_(1, class_ids, best)


def _of_classes(scores: Tensor, class_filter: frozenset[int]) -> Tensor:
    """The scores (K, C) with those of all other classes set to 0."""
    wanted = [class_id in class_filter for class_id in range(scores.shape[1])]
    return scores * scores.new_tensor(wanted)
