"""Overlaps that can be differentiated, against arithmetic and numeric derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolo_gp.losses.overlap import paired_overlap

from .darknet_by_hand import Box, overlap

PAIRS: list[tuple[Box, Box]] = [  # centre and size
    ((4.0, 5.0, 3.0, 2.0), (5.0, 5.5, 3.0, 4.0)),  # across
    ((5.0, 5.0, 6.0, 7.0), (4.5, 5.2, 2.0, 1.0)),  # around it
    ((4.5, 5.2, 2.0, 1.0), (5.0, 5.0, 6.0, 7.0)),  # inside it
    ((2.0, 5.0, 1.0, 2.0), (7.0, 5.1, 2.0, 2.4)),  # apart
    ((2.0, 2.0, 1.0, 1.0), (7.0, 8.0, 2.0, 3.0)),  # apart both ways
]


def corners(boxes: list[Box]) -> Tensor:
    rows = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in boxes]
    return torch.tensor(rows, dtype=torch.float64)


def test_overlaps_worked_out() -> None:
    # 4 x 4 at 0..4 and 4 x 2 at 2..6, 1..3: share 2 x 2 = 4 of 16 + 8 - 4 = 20: .2.
    # Centres (2, 2) and (4, 2): 4; hull 6 x 4: 36 + 16 = 52.
    # v = 4/pi^2 (atan 2 - atan 1)^2 = 4/pi^2 * .32175^2 = .041956; alpha = v / (.8 + v) = .049832.
    first = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    second = torch.tensor([[2.0, 1.0, 6.0, 3.0]])
    iou, complete = paired_overlap(first, second)
    assert float(iou) == pytest.approx(0.2)
    assert float(complete) == pytest.approx(0.2 - 4 / 52 - 0.049832 * 0.041956, abs=1e-6)


@pytest.mark.parametrize(("box", "truth"), PAIRS)
def test_overlaps_are_those_of_the_formulas(box: Box, truth: Box) -> None:
    iou, complete = paired_overlap(corners([box]), corners([truth]))
    assert float(iou) == pytest.approx(overlap("iou", box, truth), abs=1e-6)
    assert float(complete) == pytest.approx(overlap("ciou", box, truth), abs=1e-6)


def test_a_box_overlaps_itself_wholly() -> None:
    boxes = corners([box for box, _ in PAIRS])
    for values in paired_overlap(boxes, boxes):
        torch.testing.assert_close(values, torch.ones(5, dtype=torch.float64))


def test_the_iou_has_its_numeric_gradient() -> None:
    boxes, truths = corners([p[0] for p in PAIRS]), corners([p[1] for p in PAIRS])

    def iou(boxes: Tensor, truths: Tensor) -> Tensor:
        return paired_overlap(boxes, truths)[0]

    arguments = (boxes.requires_grad_(), truths.requires_grad_())
    assert torch.autograd.gradcheck(iou, arguments, eps=1e-7)


@pytest.mark.parametrize(("box", "truth"), PAIRS)
def test_the_complete_iou_has_its_numeric_gradient_with_alpha_held(box: Box, truth: Box) -> None:
    boxes = corners([box]).requires_grad_()
    _, complete = paired_overlap(boxes, corners([truth]))
    (gradient,) = torch.autograd.grad(complete.sum(), boxes)

    def turn(candidate: Box) -> float:
        angle = math.atan(truth[2] / truth[3]) - math.atan(candidate[2] / candidate[3])
        return 4 / math.pi**2 * angle**2

    alpha = turn(box) / (1 - overlap("iou", box, truth) + turn(box))

    def held(edges: list[float]) -> float:
        left, top, right, bottom = edges
        moved = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        v = turn(moved)
        own = v / (1 - overlap("iou", moved, truth) + v + 1e-6)
        return overlap("ciou", moved, truth) + (own - alpha) * v

    edges = corners([box])[0].tolist()
    for edge in range(4):
        up, down = list(edges), list(edges)
        up[edge] += 1e-5
        down[edge] -= 1e-5
        numeric = (held(up) - held(down)) / 2e-5
        assert float(gradient[0, edge]) == pytest.approx(numeric, abs=2e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e10])
def test_boxes_without_size_or_beyond_measure_have_finite_gradients(scale: float) -> None:
    boxes = (torch.tensor([[-1.0, -1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]) * scale).requires_grad_()
    truths = torch.tensor([[3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 4.0, 4.0]])
    iou, complete = paired_overlap(boxes, truths)
    (iou.sum() + complete.sum()).backward()
    assert boxes.grad is not None
    assert bool(boxes.grad.isfinite().all() and complete.isfinite().all())
