"""[Gaussian_yolo] (darknet.md 3.5): decoded by hand, and beside [yolo]."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.base import Head
from yolo_gp.layers.gaussian_yolo import GaussianYolo
from yolo_gp.network import compile_network
from yolo_gp.rules import Rule

LN3 = math.log(3.0)
KEYS = "anchors=16,8\nclasses=2\n"


def compiled(keys: str, filters: int = 11, kind: str = "Gaussian_yolo") -> Graph:
    return compile_text(
        "[net]\nwidth=64\nheight=32\nchannels=3\n"
        f"[convolutional]\nfilters={filters}\nsize=1\nstride=32\nactivation=linear\n"
        f"[{kind}]\n{keys}",
        "x.cfg",
    )


def head_of(graph: Graph) -> Head:
    return graph.heads[0][1]


# x, its sigma, y, its sigma, w, its sigma, h, its sigma, objectness, two classes, in two cells
CELLS = torch.tensor(
    [
        (0.0,) * 11,
        (LN3, -LN3, -LN3, LN3, math.log(2.0), 0.0, 0.0, 0.0, LN3, 0.0, -LN3),
    ]
).t()[None, :, None, :]


def test_a_box_is_decoded_as_darknet_does() -> None:
    (found,) = head_of(compiled(KEYS)).decode([CELLS], (32, 64), 0.0)
    # The map is 2 cells wide and 1 high, the input 64 x 32, the anchor 16 x 8 pixels.
    # x = (0 + .5) / 2, y = .5; w = 16 / 64, h = 8 / 32
    # x = (1 + .75) / 2, y = .25; w = 2 * 16 / 64, h = 8 / 32
    boxes = [[0.25, 0.5, 0.25, 0.25], [0.875, 0.25, 0.5, 0.25]]
    # .5 objectness * .5 class * (1 - .5)
    # sigmas 1/4, 3/4, 1/2, 1/2, their mean 1/2: 3/4 * 1/2 * 1/2, 3/4 * 1/4 * 1/2
    scores = [[0.125, 0.125], [0.1875, 0.09375]]
    np.testing.assert_allclose(found.boxes_cxcywh_norm, boxes, rtol=1e-6)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6)


def test_certain_boxes_are_those_of_yolo() -> None:
    generator = torch.Generator().manual_seed(3)
    own = torch.randn(2, 3 * (9 + 2), 3, 5, generator=generator).reshape(2, 3, 11, 3, 5)
    own[:, :, [1, 3, 5, 7]] = -100.0  # sigmas of 0
    plain = own[:, :, [0, 2, 4, 6, 8, 9, 10]].reshape(2, 21, 3, 5)
    keys = "anchors=16,8, 5,20, 9,9\nnum=3\nclasses=2\nscale_x_y=1.2\n"
    gaussian = head_of(compiled(keys, 33)).decode([own.reshape(2, 33, 3, 5)], (32, 64), 0.3)
    yolo = head_of(compiled(keys, 21, "yolo")).decode([plain], (32, 64), 0.3)
    for one, other in zip(gaussian, yolo, strict=True):
        assert 0 < len(one.scores) < 45
        np.testing.assert_allclose(one.boxes_cxcywh_norm, other.boxes_cxcywh_norm, rtol=1e-5)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)


def test_objectness_alone_must_exceed_the_threshold_and_then_each_score() -> None:
    head = head_of(compiled(KEYS))
    (found,) = head.decode([CELLS], (32, 64), 0.1)
    np.testing.assert_allclose(found.scores, [[0.125, 0.125], [0.1875, 0.0]], rtol=1e-6)
    (found,) = head.decode([CELLS], (32, 64), 0.5)  # the first's objectness is .5
    assert found.scores.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("point", "centre"),
    # w, h = .5, .25 of the second cell's box
    [
        ("center", (0.875, 0.25)),
        ("left_top", (0.875 + 0.25, 0.25 + 0.125)),
        ("right_bottom", (0.875 - 0.25, 0.25 - 0.125)),
    ],
)
def test_x_and_y_may_be_a_corner(point: str, centre: tuple[float, float]) -> None:
    head = head_of(compiled(f"{KEYS}yolo_point={point}\n"))
    box = head.decode_all([CELLS], (32, 64)).boxes_cxcywh_norm[0, 1]
    np.testing.assert_allclose(box, [*centre, 0.5, 0.25], rtol=1e-6)


def test_scale_x_y_moves_the_point_only() -> None:
    head = head_of(compiled(f"{KEYS}scale_x_y=2\n"))
    box = head.decode_all([CELLS], (32, 64)).boxes_cxcywh_norm[0, 1]
    # x = (1 + 2 * .75 - .5) / 2, y = 2 * .25 - .5
    np.testing.assert_allclose(box, [1.0, 0.0, 0.5, 0.25], rtol=1e-6, atol=1e-7)


def test_a_mask_chooses_the_anchors() -> None:
    keys = "anchors=16,8, 32,16\nnum=2\nmask=1\nclasses=2\n"
    box = head_of(compiled(keys)).decode_all([CELLS], (32, 64)).boxes_cxcywh_norm[0, 0]
    np.testing.assert_allclose(box, [0.25, 0.5, 0.5, 0.5], rtol=1e-6)


def test_a_layer_that_reads_the_head_gets_its_sigmoids_but_for_sizes() -> None:
    output = compile_network(compiled(f"{KEYS}scale_x_y=2\n")).get_submodule("Gaussian_yolo_1")
    found: Tensor = output(CELLS)
    assert found.shape == CELLS.shape
    for entry in range(11):
        plain = CELLS[:, entry]
        expected = plain if entry in (4, 6) else plain.sigmoid()
        expected = expected * 2 - 0.5 if entry in (0, 2) else expected
        np.testing.assert_allclose(found[:, entry], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "rule"), [("default", ("iou", 0.6)), ("cornersnms", ("iou", 0.6)),
                       ("greedynms", ("diou", 0.6)), ("diounms", ("diou", 0.75))],
)  # fmt: skip
def test_cornersnms_is_plain_iou_and_known_here(kind: str, rule: tuple[str, float]) -> None:
    graph = compiled(f"{KEYS}nms_kind={kind}\nbeta_nms=0.75\n")
    found = head_of(graph).nms_rule
    assert (found.kind, found.exponent) == rule
    assert graph.warnings == ()
    yolo = compiled("anchors=16,8\nclasses=2\nnms_kind=cornersnms\n", 7, "yolo")
    assert [warning.rule for warning in yolo.warnings] == [Rule.NMS_NAME]


def test_filters_that_do_not_fit_are_counted_out() -> None:
    with pytest.raises(CfgError) as caught:
        compiled(KEYS, filters=7)
    assert str(caught.value) == (
        "x.cfg:10:1: error: [Gaussian_yolo] needs (classes + 9) * masks = (2 + 9) * 1 = 11 "
        "channels (no mask: all anchors count), but layer 0 gives 7 [YG301]\n"
        "   10 | [Gaussian_yolo]\n"
        "      | ^^^^^^^^^^^^^^^\n"
        "expected: filters=11 in the section at line 5\n"
        "help: set filters=11 there, or mend classes=2 or mask here"
    )


def test_an_unknown_point_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(CfgError) as caught:
        compiled(f"{KEYS}yolo_point=top_left\n")
    assert "[Gaussian_yolo] yolo_point=top_left is no yolo_point that exists" in str(caught.value)
    assert "expected: one of center, left_top, right_bottom" in str(caught.value)


def test_its_training_keys_are_known_and_do_not_compute() -> None:
    keys = (
        "jitter=.3\nignore_thresh=.5\ntruth_thresh=1\niou_thresh=.2\nuc_normalizer=1\n"
        "cls_normalizer=1\niou_normalizer=.5\niou_loss=giou\nrandom=1\nmax=90\nmap=x.map\n"
    )
    graph = compiled(KEYS + keys)
    assert graph.warnings == ()
    assert graph.fingerprint == compiled(KEYS).fingerprint
    head = head_of(graph)
    assert isinstance(head, GaussianYolo)
    assert head.label() == "2 classes, 1 anchors, with uncertainty"
