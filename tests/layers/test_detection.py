"""[detection] (darknet.md 3.7): YOLOv1's flat layout, decoded by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.data.letterbox import ImagePlacement
from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.detection import Detection
from yolo_gp.network import compile_network
from yolo_gp.postprocess import detections
from yolo_gp.presets import PRESETS

NET = "[net]\nwidth=8\nheight=8\nchannels=1\n"
KEYS = "side=2\nnum=2\nclasses=3\ncoords=4\n"


def compiled(keys: str = KEYS, outputs: int = 52) -> Graph:
    return compile_text(
        f"{NET}[connected]\noutput={outputs}\nactivation=linear\n[detection]\n{keys}", "x.cfg"
    )


def head_of(graph: Graph) -> Detection:
    head = graph.heads[0][1]
    assert isinstance(head, Detection)
    return head


def flat() -> Tensor:
    """The 2 * 2 * ((1 + 4) * 2 + 3) = 52 numbers of a map; all 0 but for the boxes looked at."""
    classes = torch.zeros(4, 3)
    confidences = torch.zeros(4, 2)
    boxes = torch.zeros(4, 2, 4)
    classes[2] = torch.tensor([0.5, 0.25, -1.0])  # cell 2: row 1, column 0
    confidences[2] = torch.tensor([0.8, 0.4])
    boxes[2, 0] = torch.tensor([0.5, 0.25, 0.6, 0.3])
    boxes[2, 1] = torch.tensor([0.0, 1.0, 0.1, 0.2])
    classes[3] = torch.tensor([0.0, 0.0, -2.0])  # row 1, column 1
    confidences[3] = torch.tensor([-0.3, 1.5])
    parts = (classes.flatten(), confidences.flatten(), boxes.flatten())
    return torch.cat(parts).reshape(1, 52, 1, 1)


def test_the_flat_numbers_are_classes_then_confidences_then_boxes() -> None:
    found = head_of(compiled()).decode_all([flat()], (8, 8))
    assert found.boxes_cxcywh_norm.shape == (1, 8, 4)
    # Places 4 and 5 are the boxes of cell 2. x = (v0 + 0) / 2, y = (v1 + 1) / 2.
    boxes = [[0.25, 0.625, 0.6, 0.3], [0.0, 1.0, 0.1, 0.2]]
    np.testing.assert_allclose(found.boxes_cxcywh_norm[0, 4:6], boxes, rtol=1e-6)
    # .8 and .4 times (.5, .25, -1); -.3 and 1.5 times (0, 0, -2): no sigmoid anywhere
    scores = [[0.4, 0.2, -0.8], [0.2, 0.1, -0.4], [0, 0, 0.6], [0, 0, -3.0]]
    np.testing.assert_allclose(found.scores[0, 4:], scores, rtol=1e-6)


def test_sqrt_squares_widths_and_heights_only() -> None:
    found = head_of(compiled(KEYS + "sqrt=1\n")).decode_all([flat()], (8, 8))
    np.testing.assert_allclose(found.boxes_cxcywh_norm[0, 4], [0.25, 0.625, 0.36, 0.09], rtol=1e-6)


def test_softmax_is_over_the_classes_of_each_cell() -> None:
    graph = compiled(KEYS + "softmax=1\n")
    found = head_of(graph).decode_all([flat()], (8, 8))
    powers = [math.exp(0.5), math.exp(0.25), math.exp(-1.0)]
    expected = [0.8 * power / sum(powers) for power in powers]
    np.testing.assert_allclose(found.scores[0, 4], expected, rtol=1e-5)
    # A layer that reads the head gets the same classes; the other numbers stay.
    output = compile_network(graph).get_submodule("detection_1")(flat()).flatten()
    np.testing.assert_allclose(output[6:9] * 0.8, expected, rtol=1e-5)
    assert torch.equal(output[12:], flat().flatten()[12:])


def test_only_scores_above_the_threshold_make_candidates() -> None:
    (found,) = head_of(compiled()).decode([flat()], (8, 8), 0.2)
    # Two negative numbers make a score above the threshold, as in Darknet.
    np.testing.assert_allclose(found.scores, [[0.4, 0, 0], [0, 0, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(found.boxes_cxcywh_norm[0], [0.25, 0.625, 0.6, 0.3], rtol=1e-6)


def test_boxes_are_those_of_the_image_under_plain_resize() -> None:
    (proposed,) = head_of(compiled()).decode([flat()], (8, 8), 0.3)
    placement = ImagePlacement((8, 8), (100, 200), (8, 8), (0, 0), (0.0, 0.0))
    found = detections(proposed, placement, PRESETS["darknet"], head_of(compiled()).nms_rule)
    assert found.class_ids.tolist() == [2, 0]
    # x .25 +- .3 of 200, y .625 +- .15 of 100
    np.testing.assert_allclose(found.boxes_xyxy[1], [-10, 47.5, 110, 77.5], rtol=1e-5)


def test_a_map_with_rows_and_columns_is_flattened_channel_by_channel() -> None:
    text = f"{NET}[convolutional]\nfilters=13\nsize=4\nstride=4\n[detection]\n{KEYS}"
    head = head_of(compile_text(text, "x.cfg"))
    whole = head.decode_all([flat()], (8, 8))
    found = head.decode_all([flat().reshape(1, 13, 2, 2)], (8, 8))
    assert torch.equal(found.scores, whole.scores)
    assert torch.equal(found.boxes_cxcywh_norm, whole.boxes_cxcywh_norm)


def test_numbers_that_do_not_fit_are_counted_out() -> None:
    with pytest.raises(CfgError) as caught:
        compiled(outputs=50)
    assert str(caught.value).endswith(
        "x.cfg:8:1: error: [detection] needs side * side * ((1 + coords) * num + classes) = 2 * 2 "
        "* (5 * 2 + 3) = 52 numbers, but layer 0 gives 50 [YG301]\n"
        "    8 | [detection]\n"
        "      | ^^^^^^^^^^^\n"
        "expected: output=52 in a [connected] before it\n"
        "help: set output=52 in the section at line 5, or mend side, num or classes=3 here"
    )


def test_coords_have_to_be_written_since_darknets_default_is_no_box() -> None:
    with pytest.raises(CfgError) as caught:
        compiled("side=2\nnum=2\nclasses=3\n")
    assert (
        "[detection] coords=1, the default: a box is made of 4 numbers, and Darknet reads so many "
        "[YG109]"
    ) in str(caught.value)
    assert "expected: coords=4" in str(caught.value)


def test_the_keys_of_yolov1_are_known() -> None:
    keys = (
        "rescore=1\njitter=.2\nobject_scale=1\nnoobject_scale=.5\nclass_scale=1\ncoord_scale=5\n"
        "max=90\nforced=1\nresize=1\nrandom=1\nreorg=0\n"
    )
    graph = compiled(KEYS + keys)
    assert graph.warnings == ()
    assert graph.fingerprint == compiled().fingerprint
    assert head_of(graph).label() == "3 classes, 2x2 cells, 2 boxes"
