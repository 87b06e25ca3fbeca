"""[yolo] decoded one number at a time (darknet.md 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from yolo_gp.detections import NmsRule
from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
from yolo_gp.layers.base import Head
from yolo_gp.network import compile_network, initialise
from yolo_gp.rules import Rule

CLASSES = 3
ANCHORS = ((10.0, 14.0), (23.0, 27.0), (37.0, 58.0), (81.0, 82.0), (135.0, 169.0))
MASK = (1, 3, 4)
ENTRIES = 5 + CLASSES


@dataclass(frozen=True)
class Setting:
    scale_x_y: float = 1.0
    new_coords: bool = False

    @property
    def section(self) -> str:
        numbers = ", ".join(f"{width:g},{height:g}" for width, height in ANCHORS)
        return (
            f"[yolo]\nclasses={CLASSES}\nnum={len(ANCHORS)}\nanchors={numbers}\n"
            f"mask={','.join(map(str, MASK))}\nscale_x_y={self.scale_x_y}\n"
            f"new_coords={int(self.new_coords)}\n"
        )

    def activated(self, entry: int, value: float) -> float:
        """What [yolo] makes of one number of its map; entries are x, y, w, h, objectness, ..."""
        if entry in (2, 3):
            return value
        value = value if self.new_coords else sigmoid(value)
        return value * self.scale_x_y - 0.5 * (self.scale_x_y - 1) if entry < 2 else value


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def head_of(setting: Setting) -> Head:
    filters = len(MASK) * ENTRIES
    text = (
        "[net]\nchannels=3\nheight=32\nwidth=32\n"
        f"[convolutional]\nfilters={filters}\nactivation=linear\n{setting.section}"
    )
    ((_, head),) = compile_text(text, "yolo.cfg").heads
    return head


def map_of(setting: Setting, grid: tuple[int, int], batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(19)
    raw = torch.randn(batch, len(MASK) * ENTRIES, *grid, generator=generator)
    return raw.sigmoid() if setting.new_coords else raw


Row = tuple[list[float], list[float]]


def decoded(
    setting: Setting, raw: Tensor, input_size: tuple[int, int], threshold: float
) -> list[Row]:
    """Box (centre x, centre y, width, height) and scores of each candidate of one (C, H, W) map."""
    (rows, columns), (input_height, input_width) = raw.shape[1:], input_size
    found = []
    for row in range(rows):
        for column in range(columns):
            for slot, anchor in enumerate(MASK):
                first = slot * ENTRIES
                entries = [raw[first + e, row, column].item() for e in range(ENTRIES)]
                x, y, w, h, objectness, *classes = (
                    setting.activated(entry, value) for entry, value in enumerate(entries)
                )
                if not objectness > threshold:
                    continue
                width, height = ANCHORS[anchor]
                box = [
                    (column + x) / columns,
                    (row + y) / rows,
                    (4 * w**2 if setting.new_coords else math.exp(w)) * width / input_width,
                    (4 * h**2 if setting.new_coords else math.exp(h)) * height / input_height,
                ]
                scores = [objectness * score for score in classes]
                found.append((box, [score if score > threshold else 0.0 for score in scores]))
    return found


SETTINGS = [Setting(scale, new) for scale in (1.0, 1.05, 2.0) for new in (False, True)]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("grid", "input_size"),
    [((3, 5), (96, 160)), ((4, 2), (64, 64)), ((1, 1), (320, 192)), ((6, 6), (416, 608))],
)
def test_boxes_and_scores_are_those_of_the_formulas_in_darknets_order(
    setting: Setting, grid: tuple[int, int], input_size: tuple[int, int]
) -> None:
    raw = map_of(setting, grid, batch=2)
    candidates = head_of(setting).decode([raw], input_size, 0.3)
    assert len(candidates) == 2
    for image, found in zip(raw, candidates, strict=True):
        expected = decoded(setting, image, input_size, 0.3)
        assert found.boxes_cxcywh_norm.shape == (len(expected), 4)
        assert found.scores.shape == (len(expected), CLASSES)
        for index, (box, scores) in enumerate(expected):
            assert found.boxes_cxcywh_norm[index].tolist() == pytest.approx(box, rel=1e-5, abs=1e-6)
            assert found.scores[index].tolist() == pytest.approx(scores, rel=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_all_places_are_decoded_as_candidates_are_whatever_their_scores(setting: Setting) -> None:
    raw = map_of(setting, (3, 5), batch=2)
    found = head_of(setting).decode_all([raw], (96, 160))
    assert found.coefficients is None
    for image in range(2):
        expected = decoded(setting, raw[image], (96, 160), threshold=-1)
        assert len(expected) == 3 * 5 * len(MASK)
        boxes, scores = (torch.tensor(column) for column in zip(*expected, strict=True))
        torch.testing.assert_close(found.boxes_cxcywh_norm[image], boxes, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.scores[image], scores, rtol=1e-5, atol=1e-6)


def test_cells_come_row_by_row_and_anchors_inside_a_cell() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 2, 2)
    (found,) = head_of(Setting()).decode([raw], (100, 100), 0.4)
    # sigmoid(0) = 0.5 and exp(0) = 1: centres of the cells, and the anchors as they are.
    centres = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
    sizes = [(0.23, 0.27), (0.81, 0.82), (1.35, 1.69)]
    expected = [(*centre, *size) for centre in centres for size in sizes]
    torch.testing.assert_close(found.boxes_cxcywh_norm, torch.tensor(expected))


def test_scale_x_y_widens_the_cell_around_its_centre() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 1)
    raw[0, 0], raw[0, 1] = 100.0, -100.0  # sigmoids 1 and 0
    (found,) = head_of(Setting(scale_x_y=1.2)).decode([raw], (32, 32), 0.4)
    assert found.boxes_cxcywh_norm[0, :2].tolist() == pytest.approx([1.1, -0.1])


@pytest.mark.parametrize("new_coords", [False, True])
def test_objectness_that_only_equals_the_threshold_is_dropped(new_coords: bool) -> None:
    setting = Setting(new_coords=new_coords)
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 2)
    if new_coords:
        raw[0, 4::ENTRIES] = 0.5  # for new_coords=0 the sigmoid of 0 is exactly 0.5
    raw[0, 4, 0, 1] = 0.75
    (found,) = head_of(setting).decode([raw], (32, 32), 0.5)
    assert len(found.scores) == 1
    (below,) = head_of(setting).decode([raw], (32, 32), 0.4999)
    assert len(below.scores) == 6


def test_a_class_score_that_only_equals_the_threshold_is_zero() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 1)
    raw[0, 4:ENTRIES, 0, 0] = torch.tensor([0.5, 0.5, 0.75, 0.25])
    (found,) = head_of(Setting(new_coords=True)).decode([raw], (32, 32), 0.25)
    assert found.scores.tolist() == [[0.0, 0.375, 0.0]]


def test_a_candidate_whose_classes_all_fail_is_kept_with_zeros() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 1)
    raw[0, 4] = 0.9
    (found,) = head_of(Setting(new_coords=True)).decode([raw], (32, 32), 0.25)
    assert found.scores.tolist() == [[0.0, 0.0, 0.0]]


def test_nothing_above_the_threshold_gives_no_candidates() -> None:
    raw = torch.full((2, len(MASK) * ENTRIES, 2, 2), -9.0)
    for found in head_of(Setting()).decode([raw], (32, 32), 0.5):
        assert found.boxes_cxcywh_norm.shape == (0, 4)
        assert found.scores.shape == (0, CLASSES)


def test_an_objectness_that_is_no_number_is_dropped() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 1)
    raw[0, 4] = torch.nan
    (found,) = head_of(Setting()).decode([raw], (32, 32), 0.1)
    assert len(found.scores) == len(MASK) - 1


def test_a_class_that_is_no_number_scores_zero() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 1)
    raw[0, 6] = torch.nan
    (found,) = head_of(Setting()).decode([raw], (32, 32), 0.1)
    assert found.scores[0].tolist() == [0.25, 0.0, 0.25]


def test_half_precision_maps_are_decoded_in_single_precision() -> None:
    raw = map_of(Setting(), (3, 5)).half()
    (found,) = head_of(Setting()).decode([raw], (96, 160), 0.3)
    (expected,) = head_of(Setting()).decode([raw.float()], (96, 160), 0.3)
    assert found.scores.dtype == torch.float32
    assert torch.equal(found.boxes_cxcywh_norm, expected.boxes_cxcywh_norm)


def test_without_a_mask_all_anchors_count() -> None:
    text = (
        "[net]\nchannels=3\nheight=32\nwidth=32\n[conv]\nfilters=12\nactivation=linear\n"
        "[yolo]\nclasses=1\nnum=2\nanchors=8,16, 24,32\n"
    )
    ((_, head),) = compile_text(text, "yolo.cfg").heads
    (found,) = head.decode([torch.zeros(1, 12, 1, 1)], (32, 32), 0.1)
    expected = [[0.5, 0.5, 0.25, 0.5], [0.5, 0.5, 0.75, 1.0]]
    assert found.boxes_cxcywh_norm.tolist() == expected


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_layer_that_reads_a_head_gets_the_activated_map(setting: Setting) -> None:
    filters = len(MASK) * ENTRIES
    text = (
        "[net]\nchannels=3\nheight=4\nwidth=6\n"
        f"[conv]\nfilters={filters}\nactivation=linear\n{setting.section}"
        f"[upsample]\nstride=1\n{setting.section}"
    )
    network = compile_network(compile_text(text, "yolo.cfg"))
    initialise(network, seed=20)
    image = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(21))
    with torch.no_grad():
        raw, activated = network(image)
    for n, c, y, x in torch.cartesian_prod(*map(torch.arange, raw.shape)).tolist():
        expected = setting.activated(c % ENTRIES, raw[n, c, y, x].item())
        assert activated[n, c, y, x].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", NmsRule("iou")),
        ("nms_kind=default\nbeta_nms=0.9\n", NmsRule("iou")),
        ("nms_kind=greedynms\nbeta_nms=0.5\n", NmsRule("diou", 0.6)),
        ("nms_kind=diounms\n", NmsRule("diou", 0.6)),
        ("nms_kind=diounms\nbeta_nms=0.5\n", NmsRule("diou", 0.5)),
    ],
)
def test_nms_kind_is_read_as_darknet_reads_it(keys: str, expected: NmsRule) -> None:
    text = (
        "[net]\nchannels=3\nheight=8\nwidth=8\n[conv]\nfilters=6\nactivation=linear\n"
        f"[yolo]\nclasses=1\nnum=1\nanchors=8,8\n{keys}"
    )
    ((_, head),) = compile_text(text, "yolo.cfg").heads
    assert head.nms_rule.kind == expected.kind
    if expected.kind == "diou":
        assert head.nms_rule.exponent == pytest.approx(expected.exponent)


def test_a_map_of_other_channels_is_refused() -> None:
    text = "[net]\nchannels=3\nheight=8\nwidth=8\n[conv]\nfilters=25\nactivation=linear\n"
    with pytest.raises(CfgError) as caught:
        compile_text(text + Setting().section, "yolo.cfg")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.rule is Rule.HEAD_FILTERS
    assert diagnostic.message == (
        "[yolo] needs (classes + 5) * masks = (3 + 5) * 3 = 24 channels, but layer 0 gives 25"
    )
