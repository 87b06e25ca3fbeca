"""Darknet's deltas, row by row of darknet.md 6.6: worked out here, and beside a loop over cells."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolo_gp.losses.darknet_boxes import IouKind, iou_gradient, iou_of
from yolo_gp.losses.darknet_yolo import DarknetYoloLoss, DarknetYoloSettings, YoloDeltas, inject
from yolo_gp.losses.targets import Targets

from .darknet_by_hand import Box, Head, Keys, Truth, box_gradient, overlap

KINDS: tuple[IouKind, ...] = ("iou", "giou", "diou", "ciou")
NOTHING = Targets(
    torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0, 4)
)


def targets_of(*truths: Truth) -> Targets:
    if not truths:
        return NOTHING
    return Targets(
        torch.tensor([t.image for t in truths]),
        torch.tensor([t.class_id for t in truths]),
        torch.tensor([t.box for t in truths], dtype=torch.float32),
    )


def found(keys: Keys, raw: Tensor, *truths: Truth) -> YoloDeltas:
    own = DarknetYoloSettings(
        classes=keys.classes,
        anchors_wh=tuple(keys.anchors),
        mask=tuple(keys.mask),
        scale_x_y=keys.scale_x_y,
        new_coords=keys.new_coords,
        box_loss=keys.iou_loss,  # type: ignore[arg-type]
        iou_normalizer=keys.iou_normalizer,
        obj_normalizer=keys.obj_normalizer,
        cls_normalizer=keys.cls_normalizer,
        ignore_thresh=keys.ignore_thresh,
        truth_thresh=keys.truth_thresh,
        iou_thresh=keys.iou_thresh,
        iou_thresh_kind=keys.iou_thresh_kind,  # type: ignore[arg-type]
        max_delta=keys.max_delta,
        label_smooth_eps=keys.label_smooth_eps,
        objectness_smooth=keys.objectness_smooth,
        focal_loss=keys.focal_loss,
        counters_per_class=tuple(keys.counters_per_class),
        show_details=keys.show_details,
    )
    width, height = keys.network
    return DarknetYoloLoss(own, (height, width)).deltas(raw, targets_of(*truths))


# One cell that covers a network input of 32 x 32 pixels, one anchor of 16 x 16, two classes. A raw
# map of zeros says: box (.5, .5, .5, .5), objectness .5, both classes .5.
ONE = Keys(classes=2, anchors=[(16, 16)], mask=[0], network=(32, 32), iou_normalizer=1)
SAME = Truth(0, 1, (0.5, 0.5, 0.5, 0.5))


def one_cell(keys: Keys, *truths: Truth, raw: list[float] | None = None) -> list[float]:
    values = torch.tensor(raw or [0.0] * 7).reshape(1, 7, 1, 1)
    return found(keys, values, *truths).deltas.flatten().tolist()


def test_a_cell_without_objects_is_told_to_be_background() -> None:
    # 0 - .5, times obj_normalizer
    assert one_cell(ONE) == [0, 0, 0, 0, -0.5, 0, 0]
    assert one_cell(replace(ONE, obj_normalizer=3)) == [0, 0, 0, 0, -1.5, 0, 0]


def test_a_perfect_box_gets_deltas_of_objectness_and_classes_only() -> None:
    # objectness 1 - .5; class 0: 0 - .5; class 1: 1 - .5
    assert one_cell(ONE, SAME) == [0, 0, 0, 0, 0.5, -0.5, 0.5]


def test_squared_errors_of_a_box_count_more_for_small_objects() -> None:
    # Targets: x 1 cell * .75, y .25, w ln(.25 * 32 / 16) = ln .5, h ln(1 * 32 / 16) = ln 2.
    # Predicted: .5, .5, 0, 0. Times 2 - .25 * 1 = 1.75.
    deltas = one_cell(ONE, Truth(0, 0, (0.75, 0.25, 0.25, 1.0)))
    expected = [1.75 * 0.25, 1.75 * -0.25, 1.75 * -math.log(2), 1.75 * math.log(2)]
    assert deltas[:4] == pytest.approx(expected)


def test_squared_errors_see_the_offset_that_scale_x_y_stretches() -> None:
    # sigmoid(ln 3) = .75, times 2, less .5: 1.0; the target is .5.
    raw = [math.log(3), 0, 0, 0, 0, 0, 0]
    deltas = one_cell(replace(ONE, scale_x_y=2), SAME, raw=raw)
    assert deltas[0] == pytest.approx((2 - 0.25) * (0.5 - 1.0))


def test_new_coords_read_the_map_as_it_is() -> None:
    # w = 4 * .5^2 * 16 / 32 = .5: the box fits. Target of tw: sqrt(.5 * 32 / (4 * 16)) = .5.
    raw = [0.5, 0.5, 0.5, 0.5, 0.2, 0.1, 0.6]
    assert one_cell(replace(ONE, new_coords=True), SAME, raw=raw) == pytest.approx(
        [0, 0, 0, 0, 0.8, -0.1, 0.4]
    )
    half = replace(SAME, box=(0.5, 0.5, 0.125, 0.5))  # target of tw: sqrt(.125 * 32 / 64) = .25
    deltas = one_cell(replace(ONE, new_coords=True), half, raw=raw)
    assert deltas[2] == pytest.approx((2 - 0.0625) * (0.25 - 0.5))


# Two cells side by side; the box of the left one reaches over both. The object's centre is in the
# right cell, but the left box overlaps it as well.
PAIR = Keys(classes=1, anchors=[(32, 16)], mask=[0], network=(32, 16), iou_normalizer=1)


def pair(class_score: float) -> Tensor:
    """Left cell: box (.49, .5, 1, 1), nearly all of the input; objectness .5."""
    raw = torch.zeros(1, 6, 1, 2)
    raw[0, 0, 0, 0] = math.log(0.98 / 0.02)
    raw[0, 5, 0, 0] = math.log(class_score / (1 - class_score))
    return raw


WHOLE = Truth(0, 0, (0.51, 0.5, 1.0, 1.0))  # IoU with the left box: .98 / 1.02 = .961


def test_a_near_miss_is_not_told_to_be_background() -> None:
    keys = replace(PAIR, ignore_thresh=0.9)
    assert found(keys, pair(0.3), WHOLE).deltas[0, 4, 0].tolist() == [0, 0.5]
    keys = replace(PAIR, ignore_thresh=0.97)
    assert found(keys, pair(0.3), WHOLE).deltas[0, 4, 0].tolist() == [-0.5, 0.5]


def test_a_near_miss_that_is_sure_of_no_class_is_background() -> None:
    # Every class output has to lie above .25 for the cell to be spared.
    keys = replace(PAIR, ignore_thresh=0.9)
    assert found(keys, pair(0.2), WHOLE).deltas[0, 4, 0].tolist() == [-0.5, 0.5]


def test_a_smooth_near_miss_is_drawn_towards_its_overlap() -> None:
    # Left: max(0 - .5, .961 - .5). Right: a positive, but its delta is not 0 any more, so it stays
    # what the first pass said, 0 - .5; its class output .5 makes it a near miss: (.5 to 1.5) with
    # (.01 to 1.01) share .51 of 1.49, .342 < .9.
    keys = replace(PAIR, ignore_thresh=0.9, objectness_smooth=True)
    deltas = found(keys, pair(0.3), WHOLE).deltas[0, 4, 0].tolist()
    assert deltas == pytest.approx([0.98 / 1.02 - 0.5, -0.5])


def test_an_overlap_beyond_truth_thresh_makes_a_positive() -> None:
    # Left: objectness 1 - .5, class 1 - .3, x (2 - 1 * 1) * (1.02 - .98).
    keys = replace(PAIR, truth_thresh=0.95)
    deltas = found(keys, pair(0.3), WHOLE).deltas[0, :, 0, 0].tolist()
    assert deltas == pytest.approx([0.04, 0, 0, 0, 0.5, 0.7], abs=1e-6)
    keys = replace(PAIR, truth_thresh=0.97)
    assert found(keys, pair(0.3), WHOLE).deltas[0, :4, 0, 0].tolist() == [0, 0, 0, 0]


def test_a_smooth_positive_of_the_first_pass_aims_at_the_overlap_squared() -> None:
    keys = replace(PAIR, truth_thresh=0.95, objectness_smooth=True)
    deltas = found(keys, pair(0.3), WHOLE).deltas[0, :, 0, 0].tolist()
    aim = (0.98 / 1.02) ** 2
    assert deltas[4:] == pytest.approx([aim - 0.5, aim - 0.3], abs=1e-6)


def test_an_object_whose_best_anchor_is_another_heads_is_no_positive() -> None:
    keys = replace(ONE, anchors=[(16, 16), (4, 4)])
    small = Truth(0, 0, (0.5, 0.5, 0.125, 0.125))  # 4 x 4 pixels
    assert one_cell(keys, small) == [0, 0, 0, 0, -0.5, 0, 0]


def test_iou_thresh_gives_an_object_more_anchors() -> None:
    # Shapes: object 16 x 16; anchors 16 x 16 (IoU 1), 8 x 16 (.5), 4 x 16 (.25), 4 x 4 (.0625).
    keys = replace(ONE, anchors=[(16, 16), (8, 16), (4, 16), (4, 4)], mask=[1, 2, 3])
    raw = torch.zeros(1, 21, 1, 1)
    assert found(keys, raw, SAME).positives == 0  # the best is not of this head
    assert found(replace(keys, iou_thresh=0.4), raw, SAME).positives == 1
    assert found(replace(keys, iou_thresh=0.2), raw, SAME).positives == 2
    # GIoU of concentric boxes, one inside the other, is their IoU.
    assert found(replace(keys, iou_thresh=0.2, iou_thresh_kind="giou"), raw, SAME).positives == 2
    # CIoU of 4 x 16: .25 - alpha v with v = 4/pi^2 (pi/4 - atan .25)^2 = .1182,
    # alpha = .1182 / (.75 + .1182) = .136: .234.
    keys = replace(keys, iou_thresh_kind="ciou")
    assert found(replace(keys, iou_thresh=0.235), raw, SAME).positives == 1
    assert found(replace(keys, iou_thresh=0.233), raw, SAME).positives == 2


def test_two_objects_in_one_cell_share_it_as_two_labels_and_sum_of_boxes() -> None:
    # Boxes: x .75 - .5 and .25 - .5 with equal sizes cancel; y .1 each, times 2 - .25.
    first, second = Truth(0, 0, (0.75, 0.6, 0.5, 0.5)), Truth(0, 1, (0.25, 0.6, 0.5, 0.5))
    deltas = one_cell(ONE, first, second)
    # Classes: the first says (1 - .5, 0 - .5); the second finds its own set and says 1 - .5.
    assert deltas == pytest.approx([0, 2 * 1.75 * 0.1, 0, 0, 0.5, 0.5, 0.5], abs=1e-6)


def test_boxes_of_a_cell_with_two_labels_are_averaged_where_anchors_may_be_many() -> None:
    first, second = Truth(0, 0, (0.75, 0.6, 0.5, 0.5)), Truth(0, 1, (0.25, 0.6, 0.5, 0.5))
    deltas = one_cell(replace(ONE, iou_thresh=0.99), first, second)
    assert deltas[1] == pytest.approx(1.75 * 0.1)  # two labels: half of the sum
    # Darknet looks at cells with a delta of objectness only.
    deltas = one_cell(replace(ONE, iou_thresh=0.99, obj_normalizer=0), first, second)
    assert deltas[1] == pytest.approx(2 * 1.75 * 0.1)


def test_the_same_object_twice_doubles_its_box_only() -> None:
    twice = Truth(0, 1, (0.75, 0.5, 0.5, 0.5))
    once, both = one_cell(ONE, twice), one_cell(ONE, twice, twice)
    assert both == pytest.approx([2 * once[0], *once[1:]])


def test_max_delta_clips_box_deltas_of_overlaps_but_not_squared_errors() -> None:
    apart = Truth(0, 1, (0.9, 0.5, 0.5, 0.5))
    free = one_cell(replace(ONE, iou_loss="ciou"), apart)
    clipped = one_cell(replace(ONE, iou_loss="ciou", max_delta=0.1), apart)
    assert abs(free[0]) > 0.1 and clipped[0] == pytest.approx(math.copysign(0.1, free[0]))
    assert one_cell(replace(ONE, max_delta=0.1), apart)[0] == pytest.approx(1.75 * 0.4)


def test_label_smoothing_moves_class_targets_from_0_and_1() -> None:
    # 1 * .9 + .05 and 0 * .9 + .05
    deltas = one_cell(replace(ONE, label_smooth_eps=0.1), SAME)
    assert deltas[5:] == pytest.approx([0.05 - 0.5, 0.95 - 0.5])


def test_focal_loss_scales_class_deltas() -> None:
    # p = .5: .5 * -((1 - .5) * (2 * .5 * ln .5 + .5 - 1)) = .25 * (ln 2 + .5) = .298
    deltas = one_cell(replace(ONE, focal_loss=True), SAME)
    factor = 0.25 * (math.log(2) + 0.5)
    assert deltas[5:] == pytest.approx([-0.5 * factor, 0.5 * factor])


def test_rare_classes_count_more_and_cls_normalizer_acts_beside_counters_only() -> None:
    assert one_cell(replace(ONE, cls_normalizer=4), SAME)[5:] == [-0.5, 0.5]
    # Class 1 has 10 of 30 objects: weight 3 on box, objectness and its own class delta.
    keys = replace(ONE, counters_per_class=[30, 10], cls_normalizer=4)
    shifted = Truth(0, 1, (0.75, 0.5, 0.5, 0.5))
    deltas = one_cell(keys, shifted)
    assert deltas == pytest.approx([3 * 1.75 * 0.25, 0, 0, 0, 3 * 0.5, -0.5, 3 * 4 * 0.5])
    assert one_cell(replace(keys, max_delta=2), shifted)[4] == pytest.approx(2 * 0.5)


@pytest.mark.parametrize("class_id", [-1, 2, 7])
def test_objects_of_classes_that_the_head_has_not_are_passed_over(class_id: int) -> None:
    assert one_cell(ONE, replace(SAME, class_id=class_id)) == one_cell(ONE)


def test_a_centre_on_the_far_edge_is_passed_over() -> None:
    # Darknet writes outside its array there.
    assert one_cell(ONE, replace(SAME, box=(1.0, 0.5, 0.1, 0.1))) == one_cell(ONE)


def test_objects_of_one_image_say_nothing_about_another() -> None:
    raw = torch.zeros(3, 7, 1, 1)
    deltas = found(ONE, raw, replace(SAME, image=1)).deltas.flatten(1).tolist()
    assert deltas == [one_cell(ONE), one_cell(ONE, SAME), one_cell(ONE)]


BOXES: list[tuple[Box, Box]] = [
    ((0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)),  # the same
    ((0.4, 0.5, 0.3, 0.2), (0.5, 0.55, 0.3, 0.4)),  # across
    ((0.5, 0.5, 0.6, 0.6), (0.45, 0.5, 0.2, 0.1)),  # around it
    ((0.45, 0.5, 0.2, 0.1), (0.5, 0.5, 0.6, 0.6)),  # inside it
    ((0.2, 0.5, 0.1, 0.2), (0.7, 0.5, 0.2, 0.2)),  # apart sideways
    ((0.2, 0.2, 0.1, 0.1), (0.7, 0.8, 0.2, 0.2)),  # apart both ways: two negative lengths
    ((0.5, 0.5, 0.0, 0.3), (0.5, 0.5, 0.3, 0.3)),  # of no width
    ((0.25, 0.5, 0.5, 0.5), (0.75, 0.5, 0.5, 0.5)),  # touching
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("box", "truth"), BOXES)
def test_box_gradients_are_those_of_the_formulas(kind: IouKind, box: Box, truth: Box) -> None:
    ours = iou_gradient(kind, torch.tensor([box]).double(), torch.tensor([truth]).double())
    patched = (box[0], box[1], box[2] or 1.0, box[3] or 1.0)
    assert ours[0].tolist() == pytest.approx(box_gradient(kind, patched, truth), abs=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("box", "truth"), BOXES[:6])
def test_overlaps_are_those_of_the_formulas(kind: IouKind, box: Box, truth: Box) -> None:
    ours = iou_of(kind, torch.tensor([box]).double(), torch.tensor([truth]).double())
    assert float(ours) == pytest.approx(overlap(kind, box, truth), abs=1e-6)


def test_a_gradient_of_the_overlap_worked_out() -> None:
    # Box 4 x 4 at 0..4, object 4 x 4 at 1..5 sideways, equal rows. I = 12, U = 20, Iw = 3, Ih = 4.
    # Left edge: l < L, so dI = 0; dX = -4, dU = -4: (0 - 12 * -4) / 400 = .12.
    # Right edge: r < R, so dI = 4; dX = 4, dU = 0: 20 * 4 / 400 = .2.
    # Top and bottom coincide: dI = 0; dU = -+4: +-.12. gx = .32, gw = .2 - .12 = .08.
    gradient = iou_gradient(
        "iou", torch.tensor([[2.0, 2.0, 4.0, 4.0]]), torch.tensor([[3.0, 2.0, 4.0, 4.0]])
    )
    assert gradient[0].tolist() == pytest.approx([0.32, 0, 0.08, -0.24])


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_along_the_gradient_by_the_centre_raises_the_overlap(kind: IouKind) -> None:
    box, truth = torch.tensor([[0.4, 0.5, 0.3, 0.2]]), torch.tensor([[0.5, 0.55, 0.3, 0.4]])
    step = iou_gradient(kind, box, truth) * torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert float(iou_of(kind, box + 0.01 * step, truth)) > float(iou_of(kind, box, truth))


ANCHORS = [(6.0, 9.0), (14.0, 11.0), (20.0, 33.0), (40.0, 26.0), (60.0, 60.0)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Keys, np.random.Generator]:
    own: dict[str, object] = {
        "scale_x_y": draw(st.sampled_from([1.0, 1.05, 2.0])),
        "new_coords": draw(st.booleans()),
        "iou_loss": draw(st.sampled_from(["mse", *KINDS])),
        "iou_normalizer": draw(st.sampled_from([0.07, 0.75])),
        "obj_normalizer": draw(st.sampled_from([1.0, 0.4])),
        "cls_normalizer": draw(st.sampled_from([1.0, 0.5])),
        "ignore_thresh": draw(st.sampled_from([0.1, 0.35, 0.7])),
        "truth_thresh": draw(st.sampled_from([1.0, 0.25])),
        "iou_thresh": draw(st.sampled_from([1.0, 0.213])),
        "iou_thresh_kind": draw(st.sampled_from(KINDS)),
        "max_delta": draw(st.sampled_from([math.inf, 2.0, 0.05])),
        "label_smooth_eps": draw(st.sampled_from([0.0, 0.1])),
        "objectness_smooth": draw(st.booleans()),
        "focal_loss": draw(st.booleans()),
        "counters_per_class": draw(st.sampled_from([[], [90, 30, 0]])),
        "show_details": draw(st.booleans()),
    }
    mask = draw(st.sampled_from([[0, 1, 2, 3, 4], [1, 3], [2]]))
    keys = Keys(classes=3, anchors=ANCHORS, mask=mask, network=(64, 48), **own)  # type: ignore[arg-type]
    return keys, np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def random_case(keys: Keys, random: np.random.Generator) -> tuple[Tensor, list[Truth]]:
    """A batch of three images, 3 x 4 cells, some of whose cells predict an object's box well."""
    raw = random.normal(0, 1.2, (3, len(keys.mask) * 8, 3, 4))
    if keys.new_coords:
        raw = 1 / (1 + np.exp(-raw))
    truths = []
    for image in (0, 2):  # the second image is empty
        for _ in range(int(random.integers(0, 6))):
            w, h = random.uniform(0.05, 0.9, 2).tolist()
            x, y = random.uniform(0, 1, 2).tolist()
            truths.append(Truth(image, int(random.integers(-1, 4)), (x, y, w, h)))
            if random.random() < 0.3:  # another object at the same place
                truths.append(Truth(image, int(random.integers(0, 3)), (x, y, w * 0.9, h)))
    return torch.from_numpy(raw).float(), truths


@settings(max_examples=120, deadline=None)
@given(cases())
def test_deltas_equal_a_loop_over_cells(case: tuple[Keys, np.random.Generator]) -> None:
    keys, random = case
    raw, truths = random_case(keys, random)
    shaped = raw.double().reshape(3, len(keys.mask), 8, 3, 4)
    slow = Head(keys, shaped.tolist(), truths).run()
    ours = found(keys, raw, *truths)
    wanted = torch.tensor(slow.deltas, dtype=torch.float32).reshape(raw.shape)
    torch.testing.assert_close(ours.deltas, wanted, rtol=1e-3, atol=2e-4)
    assert ours.positives == slow.positives
    assert ours.cost == pytest.approx(slow.cost, rel=1e-3, abs=1e-4)
    parts = wanted.reshape(3, len(keys.mask), 8, 3, 4).square()
    assert ours.box_squares == pytest.approx(float(parts[:, :, :4].sum()), rel=1e-3, abs=1e-4)
    assert ours.objectness_squares == pytest.approx(float(parts[:, :, 4].sum()), rel=1e-3)
    assert ours.class_squares == pytest.approx(float(parts[:, :, 5:].sum()), rel=1e-3, abs=1e-4)


def test_the_gradient_is_minus_the_deltas_scaled_by_what_the_loss_is_scaled_by() -> None:
    raw = torch.zeros(1, 7, 1, 1, requires_grad=True)
    result = found(ONE, raw, SAME)
    (inject(raw, result) / 4).backward()
    assert raw.grad is not None
    torch.testing.assert_close(raw.grad, -result.deltas / 4)


def test_a_cost_beyond_float16_survives_in_a_map_of_float16() -> None:
    raw = torch.zeros(1, 7, 1, 1, dtype=torch.float16, requires_grad=True)
    huge = replace(found(ONE, raw, SAME), cost=1e6)
    total = inject(raw, huge)
    total.backward()
    assert float(total.detach()) == 1e6
    assert raw.grad is not None and raw.grad.dtype == torch.float16


@pytest.mark.parametrize("kind", ["mse", *KINDS])
@pytest.mark.parametrize("value", [-1e4, -90.0, 90.0, 1e4])
@pytest.mark.parametrize("new_coords", [False, True])
def test_huge_predictions_and_boxes_without_size_give_finite_deltas(
    kind: str, value: float, new_coords: bool
) -> None:
    keys = replace(ONE, iou_loss=kind, new_coords=new_coords, iou_thresh=0.2, truth_thresh=0.9)
    point = Truth(0, 0, (0.5, 0.5, 0.0, 0.0))
    raw = [value] * 7
    for truth in (SAME, point):
        deltas = one_cell(keys, truth, raw=raw)
        assert all(math.isfinite(delta) for delta in deltas), deltas
