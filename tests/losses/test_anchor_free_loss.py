"""The loss of [anchor_free] heads, beside loops over what the heads decode."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.losses.anchor_free import AnchorFreeLosses, anchor_free_losses

from .alignment_by_hand import slow_alignment
from .darknet_by_hand import Truth, overlap
from .heads import SIZE, free_graph, free_heads, targets_of

BINS = 5
Maps = list[list[Tensor]]


def random_maps(images: int, seed: int, *strides: int) -> Maps:
    """Of each head the box branch and the class branch."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(filters, SIZE // stride) for stride in strides for filters in (4 * BINS, 2)]
    made = [torch.randn(images, f, side, side, generator=generator) for f, side in shapes]
    return [made[start : start + 2] for start in range(0, len(made), 2)]


def losses(maps: Maps, *truths: Truth, strides: Sequence[int] = (8, 16)) -> AnchorFreeLosses:
    heads = free_heads(free_graph(*strides, bins=BINS))
    return anchor_free_losses(heads, maps, targets_of(*truths), (SIZE, SIZE))


def total(found: AnchorFreeLosses) -> Tensor:
    return found.box + found.distribution + found.classes


def slow_losses(maps: Maps, truths: list[Truth]) -> tuple[float, float, float]:
    """Box, distribution and classes of heads at strides 8 and 16."""
    heads = free_heads(free_graph(8, 16, bins=BINS))
    decoded = [h.decode_all(m, (SIZE, SIZE)) for h, m in zip(heads, maps, strict=True)]
    boxes = torch.cat([d.boxes_cxcywh_norm for d in decoded], 1).numpy() * SIZE
    scores = torch.cat([d.scores for d in decoded], 1).numpy()
    places = [
        (level, row, column, stride)
        for level, stride in enumerate((8, 16))
        for row in range(SIZE // stride)
        for column in range(SIZE // stride)
    ]
    centres = np.array([((c + 0.5) * stride, (r + 0.5) * stride) for _, r, c, stride in places])
    weights = box = distribution = classes = 0.0
    for image in range(len(boxes)):
        own = [
            Truth(0, t.class_id, tuple(v * SIZE for v in t.box)) for t in truths if t.image == image
        ]
        found = [tuple(row) for row in boxes[image].tolist()]
        answers = slow_alignment(found, scores[image], centres, own)
        goals = np.zeros_like(scores[image])
        for cell, (number, weight) in answers.items():
            truth, (level, row, column, stride) = own[number], places[cell]
            goals[cell, truth.class_id] = weight
            weights += weight
            box += weight * (1 - overlap("ciou", found[cell], truth.box))
            x, y, w, h = truth.box
            cx, cy = centres[cell]
            sides = (cx - x + w / 2, cy - y + h / 2, x + w / 2 - cx, y + h / 2 - cy)
            logits = maps[level][0][image, :, row, column].reshape(4, BINS).double()
            for side, distance in enumerate(sides):
                bins = min(distance / stride, BINS - 1)
                low = min(int(bins), BINS - 2)
                p = logits[side].softmax(0).tolist()
                error = -(low + 1 - bins) * math.log(p[low]) - (bins - low) * math.log(p[low + 1])
                distribution += weight * error / 4
        p = scores[image].astype(float)
        classes += float((-goals * np.log(p) - (1 - goals) * np.log(1 - p)).sum())
    scale = max(1.0, weights)
    return box / scale, distribution / scale, classes / scale


@pytest.mark.parametrize("seed", range(5))
def test_losses_equal_a_loop_over_decoded_boxes(seed: int) -> None:
    random = np.random.default_rng(seed)
    truths = []
    for image in (0, 2):
        for _ in range(4):
            w, h = random.uniform(0.15, 0.9, 2).tolist()
            x, y = random.uniform(0.2, 0.8, 2).tolist()
            truths.append(Truth(image, int(random.integers(2)), (x, y, w, h)))
    maps = random_maps(3, seed, 8, 16)
    found = losses(maps, *truths)
    ours = [float(part) for part in (found.box, found.distribution, found.classes)]
    assert ours == pytest.approx(slow_losses(maps, truths), rel=1e-3)


def test_a_loss_worked_out() -> None:
    # One head, 2 x 2 cells of 32 pixels. All logits are 0: each side lies at the mean of 0 to 4,
    # 2 cells = 64 px from the cell's centre, so each box is 128 x 128; every score is .5.
    # The object covers 0..32 x 0..32, so cell 0 alone, centre (16, 16), lies inside it.
    # Its box, -48..80 both ways, holds the object in its middle: IoU 32^2 / 128^2 = 1 / 16, same
    # shape, same centre: CIoU 1 / 16. Its weight is the largest overlap, 1 / 16; the sum of
    # weights counts as 1 at least.
    truth = Truth(0, 1, (0.25, 0.25, 0.5, 0.5))
    maps = [[torch.zeros(1, 4 * BINS, 2, 2), torch.zeros(1, 2, 2, 2)]]
    found = losses(maps, truth, strides=(32,))
    assert float(found.box) == pytest.approx((1 - 1 / 16) / 16)
    # Every bin has probability 1/5; scores of .5 cost ln 2 each, 8 of them.
    assert float(found.distribution) == pytest.approx(math.log(5) / 16)
    assert float(found.classes) == pytest.approx(8 * math.log(2))


def test_a_side_between_two_bins_is_drawn_to_both_by_closeness() -> None:
    # As above, but the object is 80 px wide: its left and right side lie 24 and 56 px from the
    # centre (16, 16): .75 and 1.75 cells. The gradient of the left side's logits is
    # weight / 4 (softmax - goal), with goals .25 for bin 0 and .75 for bin 1.
    truth = Truth(0, 1, (32 / 64, 0.25, 80 / 64, 0.5))
    logits = torch.zeros(1, 4 * BINS, 2, 2, requires_grad=True)
    classes = torch.zeros(1, 2, 2, 2)
    classes[0, :, 0, 1] = -100.0  # cell 1 lies inside too, but is sure of no class: weight 0
    found = losses([[logits, classes]], truth, strides=(32,))
    found.distribution.backward()
    assert logits.grad is not None
    weight = 80 * 32 / 128**2  # the box -48..80 holds the object, -8..72: its IoU
    wanted = [weight / 4 * (0.2 - goal) for goal in (0.25, 0.75, 0, 0, 0)]
    assert logits.grad[0, :BINS, 0, 0].tolist() == pytest.approx(wanted, abs=1e-6)


def test_a_perfect_prediction_costs_nothing() -> None:
    # The object covers the middle 32 x 32 pixels; every one of the 4 x 4 cells of stride 8 in it
    # predicts its sides, whole numbers of bins and a half.
    maps = [[torch.zeros(1, 4 * BINS, 8, 8), torch.full((1, 2, 8, 8), -30.0)]]
    for row in range(2, 6):
        for column in range(2, 6):
            before, after = (column + 0.5 - 2, row + 0.5 - 2), (6 - column - 0.5, 6 - row - 0.5)
            for side, distance in enumerate((*before, *after)):
                bins = torch.full((BINS,), -30.0)
                bins[int(distance) : int(distance) + 2] = 0.0  # half and half
                maps[0][0][0, side * BINS : (side + 1) * BINS, row, column] = bins
            maps[0][1][0, 1, row, column] = 30.0
    # Only ten of the sixteen may answer: the others are to be silent.
    found = losses(maps, Truth(0, 1, (0.5, 0.5, 0.5, 0.5)), strides=(8,))
    assert float(found.box) == pytest.approx(0, abs=1e-5)
    # A distance between two bins costs ln 2 at best.
    assert float(found.distribution) == pytest.approx(math.log(2), abs=1e-5)
    assert float(found.classes) == pytest.approx(6 * 30 / 10, rel=1e-4)


def test_images_without_objects_teach_scores_only() -> None:
    maps = [[one.requires_grad_() for one in level] for level in random_maps(2, 0, 8, 16)]
    found = losses(maps)
    assert (float(found.box.detach()), float(found.distribution.detach())) == (0, 0)
    total(found).backward()
    for box, classes in maps:
        assert box.grad is not None and float(box.grad.abs().max()) == 0
        assert classes.grad is not None and float(classes.grad.abs().max()) > 0


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_huge_logits_and_boxes_without_size_give_finite_gradients(value: float) -> None:
    truths = (Truth(0, 0, (0.4, 0.4, 0.3, 0.3)), Truth(0, 1, (0.5, 0.5, 0.0, 0.0)))
    maps = [
        [torch.full_like(one, value).requires_grad_() for one in m] for m in random_maps(1, 0, 8)
    ]
    found = losses(maps, *truths, strides=(8,))
    total(found).backward()
    assert math.isfinite(float(total(found).detach()))
    for one in maps[0]:
        assert one.grad is not None and bool(one.grad.isfinite().all())


def test_steps_down_the_loss_lead_to_a_detection_of_the_object() -> None:
    maps = [[(one * 0.1).requires_grad_() for one in level] for level in random_maps(1, 0, 8)]
    truth = Truth(0, 1, (0.45, 0.6, 0.3, 0.4))
    optimiser = torch.optim.Adam([one for level in maps for one in level], lr=0.2)
    start = None
    for _ in range(60):
        loss = total(losses(maps, truth, strides=(8,)))
        start = start or float(loss.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.2 * start
    found = []
    for head, level in zip(free_heads(free_graph(8, bins=BINS)), maps, strict=True):
        (candidates,) = head.decode([one.detach() for one in level], (SIZE, SIZE), 0.5)
        found += list(zip(candidates.boxes_cxcywh_norm.tolist(), candidates.scores, strict=True))
    assert found
    for box, scores in found:
        assert overlap("iou", tuple(box), truth.box) > 0.9
        assert float(scores[1]) > 0.5 and float(scores[0]) < 0.1
