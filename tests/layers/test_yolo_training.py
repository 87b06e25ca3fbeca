"""The training keys of [yolo] and of all sections as typed settings (darknet.md 3.1, 6.8)."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from yolo_gp.errors import Diagnostics
from yolo_gp.graph import compile_text
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.training_keys import YOLO_TRAINING_KEYS, SectionTraining, YoloTraining
from yolo_gp.layers.yolo import Yolo
from yolo_gp.options import Options
from yolo_gp.syntax import parse_cfg

TEXT = """[net]
width=32
height=32
channels=3
[convolutional]
filters=14
activation=linear
[yolo]
classes=2
anchors=10,13, 16,30
num=2
"""


def keys(lines: str = "") -> YoloTraining:
    graph = compile_text(TEXT + lines, "x.cfg")
    assert graph.warnings == ()
    ((_, head),) = graph.heads
    assert isinstance(head, Yolo)
    return head.training


def test_absent_keys_have_darknets_defaults() -> None:
    found = keys()
    assert (found.box_loss, found.iou_thresh_kind) == ("mse", "iou")
    assert (found.iou_normalizer, found.obj_normalizer) == (0.75, 1.0)
    assert (found.cls_normalizer, found.delta_normalizer) == (1.0, 1.0)
    assert (found.ignore_thresh, found.truth_thresh, found.iou_thresh) == (0.5, 1.0, 1.0)
    assert (found.max_delta, found.label_smooth_eps) == (math.inf, 0.0)
    assert not found.objectness_smooth and not found.focal_loss and found.show_details
    assert (found.counters_per_class, found.max_boxes) == ((), 200)
    assert (found.jitter, found.resize, found.random) == (0.2, 1.0, 0.0)


GIVEN = {
    "box_loss": ("iou_loss=ciou", "ciou"),
    "iou_normalizer": ("iou_normalizer=.5", 0.5),
    "obj_normalizer": ("obj_normalizer=.5", 0.5),
    "cls_normalizer": ("cls_normalizer=.5", 0.5),
    "delta_normalizer": ("delta_normalizer=.5", 0.5),
    "ignore_thresh": ("ignore_thresh=.75", 0.75),
    "truth_thresh": ("truth_thresh=.75", 0.75),
    "iou_thresh": ("iou_thresh=.25", 0.25),
    "iou_thresh_kind": ("iou_thresh_kind=giou", "giou"),
    "max_delta": ("max_delta=5", 5.0),
    "label_smooth_eps": ("label_smooth_eps=.125", 0.125),
    "objectness_smooth": ("objectness_smooth=1", True),
    "focal_loss": ("focal_loss=1", True),
    "counters_per_class": ("counters_per_class=100, 7", (100, 7)),
    "show_details": ("show_details=0", False),
    "jitter": ("jitter=.5", 0.5),
    "resize": ("resize=1.5", 1.5),
    "random": ("random=1.25", 1.25),
    "max_boxes": ("max=300", 300),
}


@pytest.mark.parametrize("name", [field.name for field in fields(YoloTraining)])
def test_each_key_sets_its_own_field(name: str) -> None:
    line, value = GIVEN[name]
    assert getattr(keys(line + "\n"), name) == value
    assert line.split("=")[0] in YOLO_TRAINING_KEYS


@pytest.mark.parametrize("name", ["iou_loss", "iou_thresh_kind"])
def test_an_unknown_overlap_is_read_as_iou_as_in_darknet(name: str) -> None:
    graph = compile_text(f"{TEXT}{name}=siou\n", "x.cfg")
    ((_, head),) = graph.heads
    assert isinstance(head, Yolo)
    assert head.training in (YoloTraining(box_loss="iou"), YoloTraining())
    assert len(graph.warnings) == 1


def common(lines: str) -> tuple[CommonKeys, Diagnostics]:
    diagnostics = Diagnostics()
    section = parse_cfg(f"[net]\n[convolutional]\n{lines}", "x.cfg", diagnostics).sections[1]
    return CommonKeys.parse(Options(section, diagnostics), ours=False), diagnostics


def test_a_section_learns_as_the_network_does_by_default() -> None:
    found, _ = common("")
    assert found.training == SectionTraining()
    assert found.training.learning_rate == 1.0 and not found.training.stop_backward


def test_the_keys_of_every_section_are_read() -> None:
    found, diagnostics = common(
        "name=stem\ndontload=1\nlearning_rate=.5\nstopbackward=800\nonlyforward=1\n"
        "dont_update=100\nburnin_update=2\ntrain_only_bn=1\nclip=4\n"
    )
    assert not len(diagnostics)
    assert (found.name, found.dont_load) == ("stem", True)
    assert found.training == SectionTraining(
        learning_rate=0.5,
        stop_backward=800,
        only_forward=True,
        dont_update=100,
        burn_in_update=2,
        train_only_bn=True,
        clip=4.0,
    )


def test_sections_of_our_own_have_a_name_only() -> None:
    diagnostics = Diagnostics()
    section = parse_cfg("[net]\n[elan]\nname=a\nclip=4\n", "x.cfg", diagnostics).sections[1]
    assert CommonKeys.parse(Options(section, diagnostics), ours=True) == CommonKeys(name="a")
