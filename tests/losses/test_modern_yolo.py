"""The modern loss of [yolo] heads, beside loops over what the heads decode."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.modern_yolo import YoloLosses, yolo_losses

from .darknet_by_hand import Truth, overlap
from .heads import ACTIVATED, KINDS, MASKED, PLAIN, SIZE, STRETCHED, targets_of, yolo_head

CELLS = 4
REACH = {ACTIVATED: 0.5, MASKED: 0.5, PLAIN: 0.0, STRETCHED: 0.2}


def random_map(keys: str, images: int, seed: int) -> Tensor:
    """Logits; pass them through `arriving` to get what the head reads."""
    entries = 5 + 2 + (2 if keys == MASKED else 0)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, 3 * entries, CELLS, CELLS, generator=generator)


def arriving(keys: str, logits: Tensor) -> Tensor:
    return logits.sigmoid() if keys == ACTIVATED else logits


def losses(head: Yolo, raw: Tensor, *truths: Truth) -> YoloLosses:
    maps = (raw, raw.new_zeros(len(raw), 2, 16, 16)) if head.masks.count else (raw,)
    return yolo_losses(head, maps, targets_of(*truths), (SIZE, SIZE))


def cross_entropy(p: float, goal: float) -> float:
    return -goal * math.log(p) - (1 - goal) * math.log(1 - p)


def slow_losses(keys: str, raw: Tensor, truths: list[Truth]) -> tuple[float, float, float]:
    """Box, objectness and classes, from the boxes that detection would decode."""
    head = yolo_head(keys)
    maps = (raw, raw.new_zeros(len(raw), 2, 16, 16)) if head.masks.count else (raw,)
    decoded = (head.decode_all(maps, (SIZE, SIZE)).boxes_cxcywh_norm * SIZE).tolist()
    shaped = raw.reshape(len(raw), 3, -1, CELLS, CELLS)
    scores = (shaped if keys == ACTIVATED else shaped.sigmoid()).tolist()
    goals = np.zeros((len(raw), 3, CELLS, CELLS))
    box, classes = [], []
    for truth in truths:
        x, y, w, h = (value * SIZE for value in truth.box)
        for slot, (aw, ah) in enumerate(head.anchors.masked_wh):
            if max(w / aw, aw / w, h / ah, ah / h) >= 4:
                continue
            for row in range(CELLS):
                for column in range(CELLS):
                    across, down = x / 16 - column, y / 16 - row  # cells are 16 pixels
                    reach = REACH[keys]
                    in_row, in_column = 0 <= down < 1, 0 <= across < 1
                    beside = in_row and (-reach < across < 0 or 1 <= across < 1 + reach)
                    above = in_column and (-reach < down < 0 or 1 <= down < 1 + reach)
                    if not ((in_row and in_column) or beside or above):
                        continue
                    found = tuple(decoded[truth.image][(row * CELLS + column) * 3 + slot])
                    box.append(1 - overlap("ciou", found, (x, y, w, h)))
                    goal = max(
                        goals[truth.image, slot, row, column], overlap("iou", found, (x, y, w, h))
                    )
                    goals[truth.image, slot, row, column] = goal
                    for k in range(2):
                        p = scores[truth.image][slot][5 + k][row][column]
                        classes.append(cross_entropy(p, float(k == truth.class_id)))
    objectness = [
        cross_entropy(scores[n][a][4][j][i], goals[n, a, j, i])
        for n, a, j, i in np.ndindex(goals.shape)
    ]
    return tuple(sum(part) / max(1, len(part)) for part in (box, objectness, classes))  # type: ignore[return-value]


@pytest.mark.parametrize("keys", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_losses_equal_a_loop_over_decoded_boxes(keys: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    truths = [
        Truth(image, int(random.integers(2)), tuple(random.uniform(0.05, 0.95, 4).tolist()))
        for image in (0, 2)
        for _ in range(3)
    ]
    truths.append(Truth(2, 1, truths[-1].box))  # two objects in the same places
    raw = arriving(keys, random_map(keys, 3, seed)).double()
    found = losses(yolo_head(keys), raw, *truths)
    ours = [float(part) for part in (found.box, found.objectness, found.classes)]
    assert ours == pytest.approx(slow_losses(keys, raw, truths), rel=1e-4)


def test_a_loss_worked_out() -> None:
    # A map of logits 0 with new_coords and scale_x_y 2: every box stands in the middle of its cell
    # and is as large as its anchor. The object is the first anchor's box in the middle of cell
    # (1, 2), (40, 24) px of 64, 10 x 14: the middle of a cell has no near neighbours. Anchor 1,
    # 23 x 27, fits too: ratios 2.3, 1.93. Anchor 2, 40 x 20: ratio 4, not below.
    head = yolo_head(ACTIVATED)
    raw = torch.full((1, 21, CELLS, CELLS), 0.5)
    found = losses(head, raw, Truth(0, 1, (40 / 64, 24 / 64, 10 / 64, 14 / 64)))
    # Box: 0 for the first; the second: IoU 140 / 621, distance 0,
    # v = 4/pi^2 (atan(10/14) - atan(23/27))^2, alpha = v / (1 - IoU + v).
    v = 4 / math.pi**2 * (math.atan(10 / 14) - math.atan(23 / 27)) ** 2
    second = 1 - (140 / 621 - v * v / (1 - 140 / 621 + v))
    assert float(found.box) == pytest.approx(second / 2, rel=1e-5)
    # Scores of .5 cost ln 2 whatever the goal.
    assert float(found.objectness) == pytest.approx(math.log(2))
    assert float(found.classes) == pytest.approx(math.log(2))
    # Objectness, by p: (p - goal) / (p (1 - p)) / 48 places; goals 1 and 140 / 621.
    raw.requires_grad_()
    found = losses(head, raw, Truth(0, 1, (40 / 64, 24 / 64, 10 / 64, 14 / 64)))
    found.objectness.backward()
    assert raw.grad is not None
    assert (
        float(raw.grad[0, :, 1, 2].reshape(3, 7)[:, :4].abs().max()) == 0
    )  # boxes are a goal only
    gradient = raw.grad[0, :, 1, 2].reshape(3, 7)[:, 4]
    wanted = [(0.5 - goal) * 4 / 48 for goal in (1, 140 / 621, 0)]
    assert gradient.tolist() == pytest.approx(wanted, rel=1e-5)


def perfect_map(keys: str, column: int, row: int, slot: int, xy: float, wh: float) -> Tensor:
    """Sure of class 1 at one place, of nothing elsewhere; logits."""
    logits = random_map(keys, 1, 0) * 0
    shaped = logits.reshape(1, 3, -1, CELLS, CELLS)
    shaped[:, :, 4] = -20
    shaped[0, slot, :2, row, column] = xy
    shaped[0, slot, 2:4, row, column] = wh
    shaped[0, slot, 4:7, row, column] = torch.tensor([20.0, -20.0, 20.0])
    return logits


@pytest.mark.parametrize("keys", KINDS)
def test_a_perfect_prediction_costs_nothing(keys: str) -> None:
    # The object lies in the middle of cell (2, 1). 3 x 40 fits anchor 0 only: 10 / 3 and 40 / 14
    # are below 4; 23 / 3 and 40 / 3 are not.
    head = yolo_head(keys)
    ratio_w, ratio_h = 3 / 10, 40 / 14
    logits = perfect_map(keys, 2, 1, 0, 0.0, 0.0)
    shaped = logits.reshape(1, 3, -1, CELLS, CELLS)
    for entry, ratio in ((2, ratio_w), (3, ratio_h)):
        p = math.sqrt(ratio) / 2  # 4 p^2 = ratio
        shaped[0, 0, entry, 1, 2] = math.log(p / (1 - p)) if head.new_coords else math.log(ratio)
    truth = Truth(0, 1, (40 / 64, 24 / 64, 3 / 64, 40 / 64))
    found = losses(head, arriving(keys, logits), truth)
    assert float(found.box) == pytest.approx(0, abs=1e-5)
    assert float(found.objectness) == pytest.approx(0, abs=1e-5)
    assert float(found.classes) == pytest.approx(0, abs=1e-5)


def test_cross_entropies_of_an_activated_map_have_the_gradient_of_logits() -> None:
    # Before the sigmoid, objectness has the gradient (p - goal) / places, however far p is from
    # the goal: not the p (1 - p) that stifles a squared error.
    logits = torch.tensor([-60.0, -20.0, -5.0, 0.0, 5.0, 14.0]).repeat(8).reshape(1, 3, 16, 1)
    shaped = torch.zeros(1, 3, 7, CELLS, CELLS)
    shaped[:, :, 4] = logits.reshape(1, 3, CELLS, CELLS)
    leaf = shaped.reshape(1, 21, CELLS, CELLS).requires_grad_()
    losses(yolo_head(ACTIVATED), leaf.sigmoid()).objectness.backward()
    assert leaf.grad is not None
    gradient = leaf.grad.reshape(1, 3, 7, CELLS, CELLS)[:, :, 4]
    wanted = shaped[:, :, 4].detach().sigmoid() / 48
    torch.testing.assert_close(gradient, wanted, rtol=2e-2, atol=1e-12)


def test_a_positive_that_is_sure_of_nothing_learns_at_full_rate() -> None:
    leaf = torch.zeros(1, 21, CELLS, CELLS)
    leaf.reshape(1, 3, 7, CELLS, CELLS)[:, :, 4:] = -60.0
    leaf.requires_grad_()
    truth = Truth(0, 1, (40 / 64, 24 / 64, 3 / 64, 40 / 64))  # anchor 0 in cell (2, 1)
    found = losses(yolo_head(ACTIVATED), leaf.sigmoid(), truth)
    (found.objectness + found.classes).backward()
    assert leaf.grad is not None
    gradient = leaf.grad[0, :, 1, 2].reshape(3, 7)[0]
    iou = 3 * 14 / (10 * 14 + 3 * 40 - 3 * 14)  # of 10 x 14 and 3 x 40, concentric
    assert gradient[4:].tolist() == pytest.approx([-iou / 48, 0, -1 / 2], abs=1e-6)


@pytest.mark.parametrize("keys", KINDS)
@pytest.mark.parametrize("value", [-1e4, -100.0, 100.0, 1e4])
def test_huge_logits_and_boxes_without_size_give_finite_gradients(keys: str, value: float) -> None:
    head = yolo_head(keys)
    leaf = torch.full_like(random_map(keys, 1, 0), value).requires_grad_()
    for box in ((0.4, 0.4, 0.3, 0.3), (0.4, 0.4, 0.0, 0.0)):
        found = losses(head, arriving(keys, leaf), Truth(0, 0, box))
        total = found.box + found.objectness + found.classes
        (gradient,) = torch.autograd.grad(total, leaf)
        assert math.isfinite(float(total.detach())) and bool(gradient.isfinite().all())


@pytest.mark.parametrize("keys", KINDS)
def test_images_without_objects_train_objectness_only(keys: str) -> None:
    leaf = random_map(keys, 2, 1).requires_grad_()
    found = losses(yolo_head(keys), arriving(keys, leaf))
    assert (float(found.box.detach()), float(found.classes.detach())) == (0, 0)
    (found.box + found.objectness + found.classes).backward()
    assert leaf.grad is not None
    by_entry = leaf.grad.reshape(2, 3, -1, CELLS, CELLS).abs().amax((0, 1, 3, 4))
    assert float(by_entry[4]) > 0
    assert float(by_entry.sum() - by_entry[4]) == 0


def test_objects_of_classes_that_the_head_has_not_are_passed_over() -> None:
    raw, box = random_map(PLAIN, 1, 2), (0.4, 0.4, 0.3, 0.3)
    other = losses(yolo_head(PLAIN), raw, Truth(0, 2, box), Truth(0, -1, box))
    nothing = losses(yolo_head(PLAIN), raw)
    assert float(other.objectness) == float(nothing.objectness)
    assert float(other.box) == 0


def test_a_single_class_is_trained_as_detection_multiplies_it_in() -> None:
    raw = torch.zeros(1, 18, CELLS, CELLS)
    found = losses(yolo_head(PLAIN, classes=1), raw, Truth(0, 0, (0.4, 0.4, 0.3, 0.3)))
    assert float(found.classes) == pytest.approx(math.log(2))


@pytest.mark.parametrize("keys", KINDS)
def test_steps_down_the_loss_lead_to_detections_of_the_object(keys: str) -> None:
    head = yolo_head(keys)
    leaf = (random_map(keys, 1, 3) * 0.1).requires_grad_()
    truth = Truth(0, 1, (0.45, 0.6, 0.3, 0.4))
    optimiser = torch.optim.Adam([leaf], lr=0.2)
    start = None
    for _ in range(100):
        found = losses(head, arriving(keys, leaf), truth)
        total = found.box + found.objectness + found.classes
        start = start or float(total.detach())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert float(total.detach()) < 0.1 * start
    raw = arriving(keys, leaf.detach())
    maps = (raw, raw.new_zeros(1, 2, 16, 16)) if head.masks.count else (raw,)
    (candidates,) = head.decode(maps, (SIZE, SIZE), 0.5)
    assert len(candidates.boxes_cxcywh_norm)
    for box, scores in zip(candidates.boxes_cxcywh_norm.tolist(), candidates.scores, strict=True):
        assert overlap("iou", tuple(box), truth.box) > 0.9
        assert float(scores[1]) > 0.9 and float(scores[0]) < 0.1
