"""[yolo] with mask coefficients, decoded one number at a time (zoo.md B.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.base import Head
from yolo_gp.network import compile_network, initialise

CLASSES = 3
MASKS = 4
ANCHORS = ((10.0, 14.0), (23.0, 27.0), (37.0, 58.0))
MASK = (0, 2)
ENTRIES = 5 + CLASSES + MASKS


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
            f"new_coords={int(self.new_coords)}\nmasks={MASKS}\nprototypes=0\n"
        )


SETTINGS = [Setting(scale, new) for scale in (1.0, 2.0) for new in (False, True)]
each_setting = pytest.mark.parametrize("setting", SETTINGS)


def graph_of(setting: Setting) -> Graph:
    return compile_text(
        f"[net]\nchannels=3\nheight=32\nwidth=48\n[conv]\nfilters={MASKS}\nactivation=leaky\n"
        f"[conv]\nfilters={len(MASK) * ENTRIES}\nsize=8\nstride=8\nactivation=linear\n"
        f"{setting.section}",
        "masks.cfg",
    )


def head_of(setting: Setting) -> Head:
    ((_, head),) = graph_of(setting).heads
    return head


def random_map(channels: int, grid: tuple[int, int], batch: int = 1) -> Tensor:
    return torch.randn(batch, channels, *grid, generator=torch.Generator().manual_seed(5))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


Row = tuple[list[float], list[float], list[float]]


def decoded(
    setting: Setting, raw: Tensor, input_size: tuple[int, int], threshold: float
) -> list[Row]:
    """Box, scores and coefficients of each candidate of one (C, H, W) map, in order."""
    (rows, columns), (input_height, input_width) = raw.shape[1:], input_size
    found = []
    for row in range(rows):
        for column in range(columns):
            for slot, anchor in enumerate(MASK):
                entries = [raw[slot * ENTRIES + e, row, column].item() for e in range(ENTRIES)]
                x, y, w, h, objectness = entries[:5]
                classes, coefficients = entries[5 : 5 + CLASSES], entries[5 + CLASSES :]
                if not sigmoid(objectness) > threshold:
                    continue
                margin = (setting.scale_x_y - 1) / 2

                def times_anchor(value: float) -> float:
                    return (2 * sigmoid(value)) ** 2 if setting.new_coords else math.exp(value)

                box = [
                    (column + sigmoid(x) * setting.scale_x_y - margin) / columns,
                    (row + sigmoid(y) * setting.scale_x_y - margin) / rows,
                    times_anchor(w) * ANCHORS[anchor][0] / input_width,
                    times_anchor(h) * ANCHORS[anchor][1] / input_height,
                ]
                scores = [sigmoid(objectness) * sigmoid(value) for value in classes]
                scores = [score if score > threshold else 0.0 for score in scores]
                found.append((box, scores, coefficients))
    return found


@each_setting
@pytest.mark.parametrize(
    ("grid", "input_size"), [((3, 5), (96, 160)), ((4, 2), (64, 64)), ((1, 1), (320, 192))]
)
def test_boxes_scores_and_coefficients_are_those_of_the_formulas(
    setting: Setting, grid: tuple[int, int], input_size: tuple[int, int]
) -> None:
    raw = random_map(len(MASK) * ENTRIES, grid, batch=2)
    prototypes = random_map(MASKS, (9, 7), batch=2)
    candidates = head_of(setting).decode([raw, prototypes], input_size, 0.3)
    assert len(candidates) == 2
    for image, found in enumerate(candidates):
        expected = decoded(setting, raw[image], input_size, 0.3)
        assert expected
        boxes, scores, coefficients = (
            torch.tensor(column) for column in zip(*expected, strict=True)
        )
        torch.testing.assert_close(found.boxes_cxcywh_norm, boxes, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.scores, scores, rtol=1e-5, atol=1e-6)
        (recipe,) = found.mask_recipes
        assert recipe.first == 0
        assert torch.equal(recipe.coefficients, coefficients)
        assert torch.equal(recipe.prototypes, prototypes[image])


@each_setting
def test_all_places_are_decoded_with_their_coefficients(setting: Setting) -> None:
    raw, prototypes = random_map(len(MASK) * ENTRIES, (3, 5), 2), random_map(MASKS, (9, 7), 2)
    found = head_of(setting).decode_all([raw, prototypes], (96, 160))
    for image in range(2):
        expected = decoded(setting, raw[image], (96, 160), threshold=-1)
        boxes, scores, coefficients = (
            torch.tensor(column) for column in zip(*expected, strict=True)
        )
        torch.testing.assert_close(found.boxes_cxcywh_norm[image], boxes, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.scores[image], scores, rtol=1e-5, atol=1e-6)
        assert found.coefficients is not None
        assert torch.equal(found.coefficients[image], coefficients)


def test_objectness_that_only_equals_the_threshold_is_dropped_with_its_coefficients() -> None:
    raw = torch.zeros(1, len(MASK) * ENTRIES, 1, 2)
    raw[0, 4, 0, 1] = 1.0  # the others have sigmoid(0) = 0.5 exactly
    raw[0, 5 + CLASSES, 0, 1] = 7.0
    (found,) = head_of(Setting()).decode([raw, torch.zeros(1, MASKS, 4, 8)], (32, 48), 0.5)
    assert found.mask_recipes[0].coefficients.tolist() == [[7.0, 0.0, 0.0, 0.0]]


def test_without_candidates_there_is_still_a_recipe() -> None:
    raw = torch.full((1, len(MASK) * ENTRIES, 2, 2), -9.0)
    (found,) = head_of(Setting()).decode([raw, torch.zeros(1, MASKS, 4, 8)], (32, 48), 0.5)
    assert found.boxes_cxcywh_norm.shape == (0, 4)
    (recipe,) = found.mask_recipes
    assert recipe.coefficients.shape == (0, MASKS)


def test_a_head_without_masks_proposes_none() -> None:
    text = (
        "[net]\nchannels=3\nheight=8\nwidth=8\n[conv]\nfilters=6\nactivation=linear\n"
        "[yolo]\nclasses=1\nnum=1\nanchors=8,8\nmasks=0\n"
    )
    ((node, head),) = compile_text(text, "none.cfg").heads
    assert len(node.inputs) == 1
    (found,) = head.decode([torch.zeros(1, 6, 8, 8)], (8, 8), 0.1)
    assert found.mask_recipes == ()


def test_the_network_returns_the_heads_map_and_the_prototypes() -> None:
    graph = graph_of(Setting())
    network = compile_network(graph)
    initialise(network, seed=1)
    raw, prototypes = network(torch.rand(2, 3, 32, 48))
    assert raw.shape == (2, len(MASK) * ENTRIES, 4, 6)
    assert prototypes.shape == (2, MASKS, 32, 48)


def test_masks_add_neither_parameters_nor_multiply_adds() -> None:
    cost = graph_of(Setting()).heads[0][0].cost
    assert (cost.params, cost.macs, cost.darknet_operations) == (0, 0, 0)


def test_the_label_says_how_many_masks_there_are() -> None:
    assert head_of(Setting()).label() == "3 classes, 2 anchors, 4 masks"


@each_setting
def test_a_layer_that_reads_a_head_gets_the_activated_map_with_raw_coefficients(
    setting: Setting,
) -> None:
    filters = len(MASK) * ENTRIES
    text = (
        f"[net]\nchannels=3\nheight=4\nwidth=6\n[conv]\nfilters={MASKS}\nactivation=leaky\n"
        f"[conv]\nfilters={filters}\nactivation=linear\n{setting.section}"
        f"[upsample]\nstride=1\n{setting.section}"
    )
    network = compile_network(compile_text(text, "read.cfg"))
    initialise(network, seed=20)
    with torch.no_grad():
        raw, _, activated, _ = network(random_map(3, (4, 6), batch=2))
    for n, c, y, x in torch.cartesian_prod(*map(torch.arange, raw.shape)).tolist():
        value, entry = raw[n, c, y, x].item(), c % ENTRIES
        if entry in (0, 1):
            value = sigmoid(value) * setting.scale_x_y - (setting.scale_x_y - 1) / 2
        elif 4 <= entry < 5 + CLASSES or (entry in (2, 3) and setting.new_coords):
            value = sigmoid(value)
        assert activated[n, c, y, x].item() == pytest.approx(value, rel=1e-5, abs=1e-6)


NET = "[net]\nchannels=3\nheight=8\nwidth=8\n"
PROTOTYPES = "[conv]\nfilters=8\nactivation=leaky\n"
HEAD = "[yolo]\nclasses=2\nnum=2\nanchors=4,4, 8,8\nmask=0,1\n"


def errors_of(text: str) -> list[str]:
    with pytest.raises(CfgError) as caught:
        compile_text(text, "m.cfg")
    return [diagnostic.render() for diagnostic in caught.value.diagnostics]


def test_channels_that_leave_no_room_for_the_coefficients_are_refused() -> None:
    conv = "[conv]\nfilters=14\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}masks=8\nprototypes=0\n")
    assert error == (
        "m.cfg:11:1: error: [yolo] needs (classes + 5 + masks) * anchors = (2 + 5 + 8) * 2 = 30 "
        "channels, but layer 1 gives 14 [YG301]\n"
        "   11 | [yolo]\n"
        "      | ^^^^^^\n"
        "expected: filters=30 in the section at line 8\n"
        "help: set filters=30 there, or mend classes=2, masks=8 or mask here"
    )


def test_prototypes_that_are_not_as_many_as_the_coefficients_are_refused() -> None:
    conv = "[conv]\nfilters=28\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}masks=7\nprototypes=0\n")
    assert error == (
        "m.cfg:17:12: error: [yolo] needs masks = 7 prototypes, but layer 0 gives 8 channels "
        "[YG203]\n"
        "   17 | prototypes=0\n"
        "      |            ^\n"
        "expected: filters=7 in the section at line 5\n"
        "help: set filters=7 there, or mend masks=7 here"
    )


def test_masks_without_prototypes_are_refused() -> None:
    conv = "[conv]\nfilters=30\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}masks=8\n")
    assert error == (
        "m.cfg:11:1: error: [yolo] has no prototypes [YG107]\n"
        "   11 | [yolo]\n"
        "      | ^^^^^^\n"
        "expected: prototypes=the layer whose output holds the prototypes of the masks"
    )


@pytest.mark.parametrize("keys", ["", "masks=0\n"])
def test_prototypes_without_masks_have_no_effect_and_are_refused(keys: str) -> None:
    conv = "[conv]\nfilters=14\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}prototypes=0\n{keys}")
    assert error == (
        "m.cfg:16:12: error: [yolo] prototypes has no effect with masks=0 [YG108]\n"
        "   16 | prototypes=0\n"
        "      |            ^\n"
        "expected: masks=N, how many mask coefficients belong to a box, or no prototypes"
    )


def test_a_list_of_anchors_under_the_key_masks_is_told_from_mask() -> None:
    conv = "[conv]\nfilters=14\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}masks=0,1\nprototypes=0\n")
    assert error == (
        "m.cfg:16:7: error: [yolo] masks lists 2 numbers [YG104]\n"
        "   16 | masks=0,1\n"
        "      |       ^^^\n"
        "expected: one number: how many mask coefficients belong to a box\n"
        "help: mask=, without s, names the anchors of a [yolo]"
    )


def test_masks_below_zero_are_one_error() -> None:
    conv = "[conv]\nfilters=14\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}masks=-1\nprototypes=0\n")
    assert error == (
        "m.cfg:16:7: error: [yolo] masks=-1 is out of range [YG105]\n"
        "   16 | masks=-1\n"
        "      |       ^^\n"
        "expected: 0 to 65536"
    )


def test_prototypes_of_a_later_layer_are_refused() -> None:
    conv = "[conv]\nfilters=30\nactivation=linear\n"
    (error,) = errors_of(f"{NET}{PROTOTYPES}{conv}{HEAD}masks=8\nprototypes=7\n")
    assert error.splitlines()[0] == (
        "m.cfg:17:12: error: [yolo], which is layer 2, refers to 7, a later layer [YG201]"
    )
