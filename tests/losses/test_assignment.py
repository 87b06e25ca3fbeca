"""Who answers for which object: worked out on grids of two by two, and beside loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.losses.assignment import align_tasks, match_shapes
from yolo_gp.losses.targets import Targets

from .alignment_by_hand import slow_alignment
from .darknet_by_hand import Truth
from .heads import targets_of

Pair = tuple[int, int, int, int, int]  # image, slot, row, column, object


def matched(
    targets: Targets,
    *,
    anchors: tuple[tuple[float, float], ...] = ((8.0, 8.0),),
    reach: float = 0.5,
    grid: tuple[int, int] = (2, 2),
    size: tuple[int, int] = (16, 16),
) -> list[Pair]:
    found = match_shapes(
        targets,
        torch.arange(len(targets)),
        anchors_wh=anchors,
        reach=reach,
        grid=grid,
        input_size=size,
    )
    columns = [part.tolist() for part in (*found.place, found.truth)]
    return list(zip(*columns, strict=True))


# Two by two cells of 8 pixels; an object of 8 x 8 pixels.
@pytest.mark.parametrize(
    ("centre", "cells"),
    [
        # Centre (5.6, 4.8) px is (.7, .6) cells: cell (0, 0), more than .5 from its left and top
        # edges, so the right and the lower neighbour answer too.
        ((0.35, 0.3), {(0, 0), (0, 1), (1, 0)}),
        # (.3, .6) cells: the left neighbour lies outside; the lower one answers.
        ((0.15, 0.3), {(0, 0), (1, 0)}),
        # (1.3, 1.4) cells: cell (1, 1), near its left and top edges.
        ((0.65, 0.7), {(1, 1), (1, 0), (0, 1)}),
        # (1.7, .2) cells: right and upper neighbour lie outside.
        ((0.85, 0.1), {(0, 1)}),
        # (.5, 1.5) cells: in the very middle of a cell no neighbour is near.
        ((0.25, 0.75), {(1, 0)}),
    ],
)
def test_the_cell_of_the_centre_and_its_near_neighbours_answer(
    centre: tuple[float, float], cells: set[tuple[int, int]]
) -> None:
    found = matched(targets_of(Truth(0, 0, (*centre, 0.5, 0.5))))
    assert {(row, column) for _, _, row, column, _ in found} == cells
    assert len(found) == len(cells)


def test_neighbours_answer_only_as_far_as_they_reach() -> None:
    target = targets_of(Truth(0, 0, (0.475, 0.4, 0.5, 0.5)))  # (.95, .8) cells
    assert [pair[2:4] for pair in matched(target, reach=0.0)] == [(0, 0)]
    assert [pair[2:4] for pair in matched(target, reach=0.1)] == [(0, 0), (0, 1)]
    assert [pair[2:4] for pair in matched(target, reach=0.3)] == [(0, 0), (0, 1), (1, 0)]


def test_anchors_fit_below_four_times_the_side_either_way() -> None:
    # The object is 4 x 12 pixels. 8 x 8: ratios 2 and 1.5. 16 x 12: 4, not below. 15 x 12: 3.75.
    # 4 x 3: 4. 4 x 4: 3.
    anchors = ((8.0, 8.0), (16.0, 12.0), (15.0, 12.0), (4.0, 3.0), (4.0, 4.0))
    found = matched(targets_of(Truth(0, 0, (0.25, 0.25, 0.25, 0.75))), anchors=anchors)
    assert [pair[1] for pair in found] == [0, 2, 4]


def test_an_object_without_width_fits_no_anchor() -> None:
    assert matched(targets_of(Truth(0, 0, (0.25, 0.25, 0.0, 0.5)))) == []


def test_no_objects_give_no_answers() -> None:
    assert matched(targets_of()) == []


def slow_matches(
    truths: list[Truth], anchors: tuple[tuple[float, float], ...], reach: float
) -> set[Pair]:
    """On 3 x 4 cells of 8 pixels, input 24 x 32."""
    found = set()
    for number, truth in enumerate(truths):
        x, y, w, h = (float(np.float32(value)) for value in truth.box)
        for slot, (aw, ah) in enumerate(anchors):
            ratios = (w * 32 / aw, aw / (w * 32), h * 24 / ah, ah / (h * 24))
            if max(ratios) >= 4:
                continue
            for row in range(3):
                for column in range(4):
                    across, down = x * 4 - column, y * 3 - row
                    home = 0 <= across < 1 and 0 <= down < 1
                    beside = -reach < across < 0 or 1 <= across < 1 + reach
                    above = -reach < down < 0 or 1 <= down < 1 + reach
                    if home or (beside and 0 <= down < 1) or (above and 0 <= across < 1):
                        found.add((truth.image, slot, row, column, number))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_answers_equal_a_loop_over_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    truths = []
    for image in range(3):
        for _ in range(int(random.integers(0, 5))):
            box = (*random.uniform(0, 1, 2).tolist(), *random.uniform(0.02, 1, 2).tolist())
            truths.append(Truth(image, 0, box))
    anchors, reach = ((5.0, 6.0), (14.0, 9.0), (20.0, 30.0)), float(random.uniform(0, 0.5))
    found = matched(targets_of(*truths), anchors=anchors, reach=reach, grid=(3, 4), size=(24, 32))
    assert len(found) == len(set(found))
    assert set(found) == slow_matches(truths, anchors, reach)


def grid_centres() -> Tensor:
    """Of 2 x 2 cells of 8 pixels."""
    return torch.tensor([[4.0, 4.0], [12.0, 4.0], [4.0, 12.0], [12.0, 12.0]])


def test_cells_inside_an_object_answer_by_score_and_overlap() -> None:
    # The object covers 0..16 x 0..8, the upper two cells' centres. Cell 0 predicts it at .64, with
    # IoU 1; cell 1 predicts its right half, IoU .5, at .25; cell 3 predicts it too, from outside.
    # t: .8 * 1 and .5 * .5^6 = .0078125. Weights: 1 and .0078125 * 1 / .8 = .009765625.
    boxes = torch.tensor(
        [[0.0, 0.0, 16.0, 8.0], [8.0, 0.0, 16.0, 8.0], [0.0, 8.0, 8.0, 16.0], [0.0, 0.0, 16.0, 8.0]]
    )
    scores = torch.tensor([[0.0, 0.64], [0.9, 0.25], [0.9, 0.9], [0.9, 0.9]])
    truth = torch.tensor([[0.0, 0.0, 16.0, 8.0]])
    found = align_tasks(boxes, scores, grid_centres(), truth, torch.tensor([1]))
    assert found.cell.tolist() == [0, 1]
    assert found.truth.tolist() == [0, 0]
    assert found.weight.tolist() == pytest.approx([1.0, 0.009765625])


def test_a_cell_that_two_objects_choose_answers_for_the_one_it_overlaps_more() -> None:
    # Both objects hold cell 0's centre. Its box 0..8 x 0..8 is half of the first and all of the
    # second; the second's class is less sure, which does not count here.
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(4, 1)
    truths = torch.tensor([[0.0, 0.0, 16.0, 8.0], [0.0, 0.0, 8.0, 8.0]])
    scores = torch.tensor([[1.0, 0.01]]).repeat(4, 1)
    found = align_tasks(boxes, scores, grid_centres(), truths, torch.tensor([0, 1]))
    # Cell 1 answers for the first; its t is the largest there, so it aims at its overlap, .5.
    assert found.cell.tolist() == [0, 1]
    assert found.truth.tolist() == [1, 0]
    assert found.weight.tolist() == pytest.approx([1.0, 0.5])


def test_at_most_ten_cells_answer_for_an_object() -> None:
    # 16 cells of 4 pixels in an object of 16 x 16; cell k predicts its whole, scored (k + 1) / 16.
    rows, columns = np.divmod(np.arange(16), 4)
    centres = torch.tensor(np.stack((columns, rows), 1) * 4.0 + 2, dtype=torch.float32)
    boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0]]).repeat(16, 1)
    scores = torch.arange(1.0, 17.0)[:, None] / 16
    found = align_tasks(boxes, scores, centres, boxes[:1], torch.tensor([0]))
    assert found.cell.tolist() == list(range(6, 16))
    wanted = [math.sqrt((k + 1) / 16) for k in range(6, 16)]  # t over the largest t, 1; times IoU 1
    assert found.weight.tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(12))
def test_alignment_equals_a_loop_over_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = np.divmod(np.arange(64), 8)
    centres = np.stack((columns, rows), 1) * 8.0 + 4
    boxes = np.concatenate(
        (centres + random.normal(0, 4, (64, 2)), random.uniform(4, 40, (64, 2))), 1
    )
    scores = random.uniform(0, 1, (64, 3))
    truths = [
        Truth(0, int(random.integers(3)), tuple(random.uniform(8, 56, 4).tolist()))
        for _ in range(int(random.integers(0, 6)))
    ]
    slow = slow_alignment([tuple(box) for box in boxes.tolist()], scores, centres, truths)
    half = boxes[:, 2:] / 2
    corners = torch.tensor(
        [
            (
                *(np.array(t.box[:2]) - np.array(t.box[2:]) / 2),
                *(np.array(t.box[:2]) + np.array(t.box[2:]) / 2),
            )
            for t in truths
        ]
    )
    found = align_tasks(
        torch.tensor(np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), 1)),
        torch.tensor(scores),
        torch.tensor(centres),
        corners.reshape(-1, 4).double(),
        torch.tensor([t.class_id for t in truths], dtype=torch.long),
    )
    assert found.cell.tolist() == sorted(slow)
    assert found.truth.tolist() == [slow[cell][0] for cell in sorted(slow)]
    assert found.weight.tolist() == pytest.approx([slow[cell][1] for cell in sorted(slow)])
