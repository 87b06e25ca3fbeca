"""The loss of instance masks, worked out and beside a loop over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.losses.mask_loss import mask_loss

from .darknet_by_hand import Truth
from .heads import targets_of


def numbers(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.long)


def test_a_loss_worked_out() -> None:
    # 4 x 4 cells; the box covers columns 1 and 2 of rows 0 to 3: 8 cells, its area. The prototypes
    # combine to 2 * 1 - 1 * 0 = 2 everywhere. The mask is the upper half: 4 cells of the box cost
    # ln(1 + e^-2), 4 cost ln(1 + e^2). What lies outside the box costs nothing.
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, :2] = True
    prototypes = torch.stack((torch.ones(4, 4), torch.zeros(4, 4)))[None]
    targets = targets_of(Truth(0, 0, (0.5, 0.5, 0.5, 1.0)), masks=masks)
    found = mask_loss(torch.tensor([[2.0, -1.0]]), prototypes, numbers(0), numbers(0), targets)
    wanted = (4 * math.log(1 + math.exp(-2)) + 4 * math.log(1 + math.exp(2))) / 8
    assert float(found) == pytest.approx(wanted)


def test_masks_of_another_resolution_are_read_at_the_cells_centres() -> None:
    # Six columns for prototypes of four: the centres .5, 1.5, 2.5, 3.5 times 6 / 4 are .75, 2.25,
    # 3.75 and 5.25, in columns 0, 2, 3 and 5.
    masks = torch.zeros(1, 6, 6, dtype=torch.bool)
    masks[:, :, [0, 2, 3, 5]] = True
    targets = targets_of(Truth(0, 0, (0.5, 0.5, 1.0, 1.0)), masks=masks)
    prototypes = torch.full((1, 1, 4, 4), 50.0)
    found = mask_loss(torch.ones(1, 1), prototypes, numbers(0), numbers(0), targets)
    assert float(found) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_a_loop_over_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    truths = [
        Truth(image, 0, tuple(random.uniform(0.05, 0.9, 4).tolist())) for image in (0, 1, 1, 2)
    ]
    masks = torch.from_numpy(random.random((4, 6, 8)) > 0.5)
    prototypes = torch.from_numpy(random.normal(0, 1, (3, 2, 6, 8))).float()
    truth = random.integers(0, 4, 9)  # several positives of an object
    coefficients = torch.from_numpy(random.normal(0, 1, (9, 2))).float()
    image = [truths[t].image for t in truth]
    wanted = 0.0
    for p in range(9):
        x, y, w, h = truths[truth[p]].box
        cost = 0.0
        for row in range(6):
            for column in range(8):
                cx, cy = (column + 0.5) / 8, (row + 0.5) / 6
                if x - w / 2 <= cx < x + w / 2 and y - h / 2 <= cy < y + h / 2:
                    value = float(coefficients[p] @ prototypes[image[p], :, row, column])
                    sign = 1 if masks[truth[p], row, column] else -1
                    cost += math.log1p(math.exp(-sign * value))
        wanted += cost / max(1, w * 8 * h * 6) / 9
    found = mask_loss(
        coefficients, prototypes, numbers(*image), numbers(*truth), targets_of(*truths, masks=masks)
    )
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("masks", [None, torch.zeros(1, 4, 4, dtype=torch.bool)])
def test_nothing_to_learn_gives_gradients_of_zero_rather_than_none(masks: Tensor | None) -> None:
    # Distributed training waits for a gradient of every parameter.
    coefficients = torch.ones(0, 2, requires_grad=True)
    prototypes = torch.ones(1, 2, 4, 4, requires_grad=True)
    targets = targets_of(Truth(0, 0, (0.5, 0.5, 1.0, 1.0)), masks=masks)
    mask_loss(coefficients, prototypes, numbers(), numbers(), targets).backward()
    assert prototypes.grad is not None and float(prototypes.grad.abs().max()) == 0
    assert coefficients.grad is not None


def test_a_box_without_size_gives_a_finite_gradient() -> None:
    prototypes = torch.full((1, 1, 4, 4), 1e4, requires_grad=True)
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    for box in ((0.5, 0.5, 0.0, 0.0), (0.375, 0.375, 0.01, 0.01)):
        targets = targets_of(Truth(0, 0, box), masks=masks)
        found = mask_loss(torch.ones(1, 1), prototypes, numbers(0), numbers(0), targets)
        (gradient,) = torch.autograd.grad(found, prototypes)
        assert bool(gradient.isfinite().all())
