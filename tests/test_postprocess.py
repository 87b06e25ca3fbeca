import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolo_gp.data.letterbox import ImagePlacement, place
from yolo_gp.detections import Candidates, Detections, NmsRule
from yolo_gp.postprocess import detections, exceeding, non_maximum_suppression
from yolo_gp.presets import PRESETS

F = np.float32
IOU, GREEDY = NmsRule(), NmsRule("diou", 0.6)
DARKNET, COCO, ULTRALYTICS = (PRESETS[name] for name in ("darknet", "coco", "ultralytics"))
WHOLE = ImagePlacement((64, 64), (100, 200), (64, 64), (0, 0), (0.0, 0.0))  # 200 wide, 100 high


def overlap_by_the_spec(a: list[float], b: list[float], rule: NmsRule) -> np.float32:
    """darknet.md 3.4 for two (cx, cy, w, h), one float32 operation at a time."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = map(F, a), map(F, b)
    lefts, rights = (ax - aw / F(2), bx - bw / F(2)), (ax + aw / F(2), bx + bw / F(2))
    tops, bottoms = (ay - ah / F(2), by - bh / F(2)), (ay + ah / F(2), by + bh / F(2))
    width, height = min(rights) - max(lefts), min(bottoms) - max(tops)
    intersection = width * height if width > 0 and height > 0 else F(0)
    union = aw * ah + bw * bh - intersection
    iou = intersection / union if intersection and union else F(0)
    around = (max(rights) - min(lefts)) ** 2 + (max(bottoms) - min(tops)) ** 2
    if rule.kind == "iou" or around == 0:
        return F(iou)
    apart = (ax - bx) ** 2 + (ay - by) ** 2
    return F(iou) - F((apart / around) ** F(rule.exponent))


def nms_by_the_spec(boxes: Tensor, scores: Tensor, rule: NmsRule, threshold: float) -> Tensor:
    kept, positions = scores.tolist(), boxes.tolist()
    for c in range(scores.shape[1]):
        order = sorted(range(len(kept)), key=lambda k: -scores[k, c].item())  # sorted() is stable
        for n, i in enumerate(order):
            if kept[i][c] == 0:
                continue
            for j in order[n + 1 :]:
                if overlap_by_the_spec(positions[i], positions[j], rule) > F(threshold):
                    kept[j][c] = 0
    return torch.tensor(kept).reshape(scores.shape)


def crowd(count: int, classes: int, density: float, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes around a few centres, and scores of which a share `density` is not 0."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.rand(max(1, count // 12), 2, generator=g)
    xy = centres[torch.randint(0, len(centres), (count,), generator=g)]
    xy = xy + 0.02 * torch.randn(count, 2, generator=g)
    wh = 0.1 + 0.05 * torch.rand(count, 2, generator=g)
    scores = torch.rand(count, classes, generator=g)
    scores[torch.rand(count, classes, generator=g) > density] = 0
    return torch.cat((xy, wh), dim=1), scores


_step = st.integers(0, 5).map(lambda n: n / 8)
_boxes_and_scores = st.lists(st.tuples(*[_step] * 4, _step, _step), min_size=0, max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    _boxes_and_scores,
    st.sampled_from([IOU, GREEDY, NmsRule("diou", 1.7)]),
    st.sampled_from([0.0, 0.2, 0.45, 0.5]),
)
def test_suppression_equals_the_spec(
    rows: list[tuple[float, ...]], rule: NmsRule, threshold: float
) -> None:
    table = torch.tensor(rows).reshape(-1, 6)
    boxes, scores = table[:, :4], table[:, 4:]
    found = non_maximum_suppression(boxes, scores, rule, threshold)
    assert torch.equal(found, nms_by_the_spec(boxes, scores, rule, threshold))


@pytest.mark.parametrize("rule", [IOU, GREEDY])
@pytest.mark.parametrize("count", [40, 200, 600])  # classes together, alone, and in blocks
def test_suppression_in_a_crowd_equals_the_spec(count: int, rule: NmsRule) -> None:
    boxes, scores = crowd(count, classes=2, density=0.6, seed=count)
    expected = nms_by_the_spec(boxes, scores, rule, 0.45)
    assert 0 < expected.count_nonzero() < scores.count_nonzero()
    assert torch.equal(non_maximum_suppression(boxes, scores, rule, 0.45), expected)


@pytest.mark.parametrize("rule", [IOU, GREEDY])
def test_thirty_thousand_candidates_need_little_memory(rule: NmsRule) -> None:
    boxes, scores = crowd(30_000, classes=1, density=1, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = non_maximum_suppression(boxes, scores, rule, 0.45)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 100 < kept.count_nonzero() < 30_000
    assert after - before < 300 * 1024  # KiB; all pairs at once need 3.4 GiB in float32


def test_many_classes_at_once_equal_the_spec() -> None:
    # 60 classes of about 10 boxes each, so that a block holds several
    boxes, scores = crowd(200, classes=60, density=0.05, seed=3)
    expected = nms_by_the_spec(boxes, scores, GREEDY, 0.45)
    assert expected.count_nonzero() < scores.count_nonzero()
    assert torch.equal(non_maximum_suppression(boxes, scores, GREEDY, 0.45), expected)


def test_a_higher_threshold_takes_scores_that_do_not_exceed_it() -> None:
    scores = torch.tensor([[0.5, 0.25], [0.125, 0.0]])
    found = exceeding(Candidates(torch.zeros(2, 4), scores), 0.25)
    assert found.scores.tolist() == [[0.5, 0], [0, 0]]
    assert scores.tolist() == [[0.5, 0.25], [0.125, 0.0]]


def test_the_scores_given_are_left_as_they_are() -> None:
    boxes, scores = torch.tensor([[0.5, 0.5, 0.2, 0.2]] * 2), torch.tensor([[0.9], [0.8]])
    assert non_maximum_suppression(boxes, scores, IOU, 0.45).tolist() == [
        [pytest.approx(0.9)],
        [0],
    ]
    assert scores.tolist() == [[pytest.approx(0.9)], [pytest.approx(0.8)]]


def test_a_box_is_suppressed_in_one_class_and_stays_in_another() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2]] * 2)
    scores = torch.tensor([[0.5, 0.0], [0.25, 0.125]])
    found = non_maximum_suppression(boxes, scores, IOU, 0.45)
    assert found.tolist() == [[0.5, 0.0], [0.0, 0.125]]


def test_a_suppressed_box_suppresses_no_other() -> None:
    # Squares of side 8 in a row, 2 apart. IoU of neighbours 6*8 / (2*64 - 48) = 0.6; of the outer
    # two 4*8 / (2*64 - 32) = 1/3. The first takes the second, which would have taken the third.
    boxes = torch.tensor([[10.0, 10, 8, 8], [12, 10, 8, 8], [14, 10, 8, 8]])
    found = non_maximum_suppression(boxes, torch.tensor([[0.75], [0.5], [0.25]]), IOU, 0.45)
    assert found.flatten().tolist() == [0.75, 0, 0.25]


def test_of_equal_scores_the_first_candidate_stays() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2]] * 40)
    found = non_maximum_suppression(boxes, torch.full((40, 1), 0.5), IOU, 0.45)
    assert found.flatten().tolist() == [0.5] + [0.0] * 39


def test_an_overlap_equal_to_the_threshold_does_not_suppress() -> None:
    # 2 by 1 in 2 by 2: IoU 2/4, exact in float32
    boxes = torch.tensor([[1.0, 1.0, 2, 2], [1.0, 0.5, 2, 1]])
    scores = torch.tensor([[0.5], [0.25]])
    assert torch.equal(non_maximum_suppression(boxes, scores, IOU, 0.5), scores)
    assert non_maximum_suppression(boxes, scores, IOU, 0.499)[1].item() == 0


def test_distance_of_centres_spares_a_box_that_iou_suppresses() -> None:
    # Squares of side 8, 3 apart: IoU 5*8 / (2*64 - 40) = 0.4545. d^2 = 9, c^2 = 11^2 + 8^2 = 185,
    # (9/185)^0.6 = 0.163; 0.4545 - 0.163 = 0.292
    boxes = torch.tensor([[10.0, 10, 8, 8], [13, 10, 8, 8]])
    scores = torch.tensor([[0.5], [0.25]])
    assert non_maximum_suppression(boxes, scores, IOU, 0.45)[1].item() == 0
    assert non_maximum_suppression(boxes, scores, GREEDY, 0.45)[1].item() == 0.25
    assert non_maximum_suppression(boxes, scores, GREEDY, 0.29)[1].item() == 0
    # exponent 2: (9/185)^2 = 0.0024; 0.4545 - 0.0024 = 0.4522
    assert non_maximum_suppression(boxes, scores, NmsRule("diou", 2.0), 0.45)[1].item() == 0


def found_in(boxes: list[list[float]], scores: list[list[float]], **changes: object) -> Detections:
    """Detections of the darknet preset, changed, in an image 200 wide and 100 high."""
    candidates = Candidates(torch.tensor(boxes), torch.tensor(scores))
    class_filter = changes.pop("class_filter", None)
    preset = replace(DARKNET, **changes)  # type: ignore[arg-type]
    return detections(candidates, WHOLE, preset, IOU, ("cat", "dog"), class_filter)  # type: ignore[arg-type]


APART = [[0.2, 0.5, 0.1, 0.2], [0.5, 0.5, 0.1, 0.2], [0.8, 0.5, 0.1, 0.2]]


def test_boxes_come_in_pixels_with_the_most_confident_first() -> None:
    found = found_in(APART, [[0.5, 0], [0, 0.75], [0.25, 0]])
    # 0.5 * 200 -+ 0.1 * 200 / 2 = 90, 110; 0.5 * 100 -+ 0.2 * 100 / 2 = 40, 60
    expected = torch.tensor([[90.0, 40, 110, 60], [30, 40, 50, 60], [150, 40, 170, 60]])
    torch.testing.assert_close(found.boxes_xyxy, expected)
    assert found.confidences.tolist() == [0.75, 0.5, 0.25]
    assert found.class_ids.tolist() == [1, 0, 0]
    assert found.class_ids.dtype == torch.int64
    assert found.image_size == (100, 200)
    assert [found.name(int(c)) for c in found.class_ids] == ["dog", "cat", "cat"]


def test_of_equal_confidences_the_first_candidate_comes_first() -> None:
    # 60 boxes side by side, all alike in confidence
    row = [[(n + 0.5) / 64, 0.5, 1 / 128, 0.5] for n in range(60)]
    found = found_in(row, [[0.5, 0]] * 60)
    lefts = [(n + 0.25) / 64 * 200 for n in range(60)]
    assert found.boxes_xyxy[:, 0].tolist() == pytest.approx(lefts)


def test_a_box_with_two_classes_stands_twice_only_with_multi_label() -> None:
    scores = [[0.5, 0.75], [0.0, 0.0], [0.0, 0.0]]
    assert found_in(APART, scores).class_ids.tolist() == [1, 0]
    assert found_in(APART, scores, multi_label=False).class_ids.tolist() == [1]


def test_single_label_drops_the_lesser_class_before_suppression() -> None:
    # Both boxes in one place. The first is a dog at .75, and a cat at .5 that would suppress the
    # second's cat at .25.
    same = [APART[0], APART[0]]
    scores = [[0.5, 0.75], [0.25, 0]]
    assert found_in(same, scores, multi_label=True).confidences.tolist() == [0.75, 0.5]
    assert found_in(same, scores, multi_label=False).confidences.tolist() == [0.75, 0.25]


def test_the_class_filter_reports_these_classes_only() -> None:
    scores = [[0.5, 0], [0, 0.75], [0.25, 0.3]]
    found = found_in(APART, scores, class_filter=frozenset({0, 7}))
    assert found.class_ids.tolist() == [0, 0]
    assert found.confidences.tolist() == [0.5, 0.25]
    assert len(found_in(APART, scores, class_filter=frozenset())) == 0


def test_the_class_filter_adds_no_box_that_single_label_would_not_show() -> None:
    found = found_in(
        APART, [[0.5, 0.75], [0.4, 0], [0, 0]], multi_label=False, class_filter=frozenset({0})
    )
    assert found.confidences.tolist() == [pytest.approx(0.4)]


def test_the_cap_keeps_the_most_confident_after_suppression() -> None:
    boxes = [APART[0], APART[0], APART[1], APART[2]]
    found = found_in(boxes, [[0.75, 0], [0.5, 0], [0.25, 0], [0.125, 0]], max_detections=2)
    # Capped first, the second box would have taken a place and then been suppressed.
    assert found.confidences.tolist() == [0.75, 0.25]


def test_boxes_end_at_the_border_only_if_the_preset_clips() -> None:
    beyond = [[0.0, 1.0, 0.2, 0.4], [1.0, 0.0, 0.2, 0.4]]
    scores = [[0.5, 0], [0.25, 0]]
    expected = torch.tensor([[-20.0, 80, 20, 120], [180, -20, 220, 20]])
    torch.testing.assert_close(found_in(beyond, scores).boxes_xyxy, expected)
    clipped = torch.tensor([[0.0, 80, 20, 100], [180, 0, 200, 20]])
    torch.testing.assert_close(found_in(beyond, scores, clip_boxes=True).boxes_xyxy, clipped)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 3e38])
@pytest.mark.parametrize("place_of_bad", range(4))
def test_a_candidate_that_is_not_finite_is_left_out(bad: float, place_of_bad: int) -> None:
    boxes = [list(box) for box in APART]
    boxes[1][place_of_bad] = bad  # 3e38 is finite, but not in pixels
    found = found_in(boxes, [[0.5, 0], [0.75, 0], [0.25, 0]])
    assert found.confidences.tolist() == [0.5, 0.25]


def test_a_candidate_with_a_score_that_is_not_finite_is_left_out() -> None:
    found = found_in(APART, [[0.5, 0], [0.75, float("nan")], [0.25, 0]])
    assert found.confidences.tolist() == [0.5, 0.25]


def test_no_candidates_give_no_detections() -> None:
    nothing = Candidates(torch.zeros(0, 4), torch.zeros(0, 80))
    for preset in PRESETS.values():
        found = detections(nothing, WHOLE, preset, GREEDY)
        assert len(found) == 0
        assert found.boxes_xyxy.shape == (0, 4)


def test_candidates_in_half_precision_give_float32_detections() -> None:
    candidates = Candidates(torch.tensor(APART).half(), torch.tensor([[0.5]] * 3).half())
    found = detections(candidates, WHOLE, DARKNET, IOU)
    assert (found.boxes_xyxy.dtype, found.confidences.dtype) == (torch.float32, torch.float32)


def test_suppression_works_on_relative_boxes_as_darknet_test_does() -> None:
    # Image 1000 wide, 100 high; two boxes of 0.2 by 0.2, 0.05 apart. IoU 0.03 / 0.05 = 0.6.
    # Relative: d^2 = 0.0025, c^2 = 0.25^2 + 0.2^2 = 0.1025, 0.6 - 0.0244^0.6 = 0.492
    # In pixels: d^2 = 50^2, c^2 = 250^2 + 20^2, 0.6 - 0.0397^0.6 = 0.455, below a threshold of 0.47
    placement = ImagePlacement((64, 64), (100, 1000), (64, 64), (0, 0), (0.0, 0.0))
    candidates = Candidates(
        torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.55, 0.5, 0.2, 0.2]]), torch.tensor([[0.75], [0.5]])
    )
    found = detections(candidates, placement, replace(DARKNET, iou_threshold=0.47), GREEDY)
    assert found.confidences.tolist() == [0.75]
    in_pixels = replace(DARKNET, iou_threshold=0.47, nms_unit="pixels")  # as Darknet's valid
    found = detections(candidates, placement, in_pixels, GREEDY)
    assert found.confidences.tolist() == [0.75, 0.5]
    in_pixels = replace(in_pixels, iou_threshold=0.45)
    assert len(detections(candidates, placement, in_pixels, GREEDY)) == 1


def test_suppression_works_on_boxes_relative_to_the_image_and_not_to_the_network_input() -> None:
    # The same two boxes, in a letterboxed image 1000 wide, 100 high: relative to the network
    # input they are 0.02 high, which shapes them as the pixels do; relative to the image 0.2.
    placement = place((100, 1000), (1000, 1000), replace(DARKNET, resize="letterbox"), 32)
    candidates = Candidates(
        torch.tensor([[0.5, 0.5, 0.2, 0.02], [0.55, 0.5, 0.2, 0.02]]), torch.tensor([[0.75], [0.5]])
    )
    found = detections(candidates, placement, replace(DARKNET, iou_threshold=0.47), GREEDY)
    assert found.confidences.tolist() == [0.75]
    torch.testing.assert_close(found.boxes_xyxy, torch.tensor([[400.0, 40, 600, 60]]))


def test_the_heads_rule_counts_only_where_the_preset_asks_for_it() -> None:
    # IoU 0.4545, DIoU 0.292: worked out above
    boxes = [[0.10, 0.1, 0.08, 0.08], [0.13, 0.1, 0.08, 0.08]]
    candidates = Candidates(torch.tensor(boxes), torch.tensor([[0.75], [0.5]]))
    with_head = replace(DARKNET, nms="head")
    assert len(detections(candidates, WHOLE, with_head, GREEDY)) == 2
    assert len(detections(candidates, WHOLE, with_head, IOU)) == 1
    assert len(detections(candidates, WHOLE, replace(DARKNET, nms="iou"), GREEDY)) == 1


def test_boxes_of_a_letterboxed_image_come_back_to_its_pixels() -> None:
    # 500 by 640 in 512 by 640, 6 rows down: rows 106..206 of the input are rows 100..200
    placement = place((500, 640), (640, 640), COCO, 32)
    box = [320 / 640, 156 / 512, 64 / 640, 100 / 512]
    candidates = Candidates(torch.tensor([box]), torch.tensor([[0.9]]))
    found = detections(candidates, placement, ULTRALYTICS, IOU)
    torch.testing.assert_close(found.boxes_xyxy, torch.tensor([[288.0, 100, 352, 200]]))


def test_the_best_of_each_class_are_the_same_when_no_more_are_asked_for() -> None:
    # 2000 boxes of which many survive: those after enough survivors may be missing, none before.
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(2000, 4, generator=generator) * torch.tensor((1.0, 1.0, 0.05, 0.05))
    scores = torch.rand(2000, 2, generator=generator)
    every = non_maximum_suppression(boxes, scores, IOU, 0.5)
    some = non_maximum_suppression(boxes, scores, IOU, 0.5, enough=100)
    assert (some > 0).sum() < (every > 0).sum()
    for class_id in range(2):
        best = every[:, class_id].sort(descending=True).values[:100]
        assert torch.equal(some[:, class_id].sort(descending=True).values[:100], best)
        assert (some[:, class_id] <= every[:, class_id]).all()
