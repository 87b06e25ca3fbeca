"""Losses of whole networks: gains, sums over heads, what is shown, what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.anchor_free import anchor_free_losses
from yolo_gp.losses.darknet_yolo import DarknetYoloLoss, DarknetYoloSettings
from yolo_gp.losses.modern_settings import ModernLossSettings
from yolo_gp.losses.modern_yolo import yolo_losses
from yolo_gp.losses.network_loss import darknet_loss, modern_loss
from yolo_gp.losses.targets import Targets
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.darknet import load_weights

from .darknet_by_hand import Truth
from .heads import (
    ACTIVATED,
    MASKED,
    PLAIN,
    SIZE,
    conv,
    free_graph,
    free_heads,
    targets_of,
    yolo_graph,
)

INPUT = (SIZE, SIZE)
TRUTHS = (
    Truth(0, 1, (0.3, 0.4, 0.3, 0.4)),
    Truth(1, 0, (0.7, 0.6, 0.5, 0.4)),
    Truth(1, 1, (0.7, 0.6, 0.5, 0.4)),
)
TRAINING_KEYS = """iou_loss=ciou
iou_thresh_kind=giou
iou_normalizer=0.07
obj_normalizer=0.4
cls_normalizer=0.5
ignore_thresh=.01
truth_thresh=.1
iou_thresh=0.63
max_delta=2
label_smooth_eps=0.1
objectness_smooth=1
counters_per_class=10,30
show_details=0
"""


def outputs(graph: Graph, images: int, seed: int = 0) -> list[Tensor]:
    """What a network with random weights says of random images."""
    network = compile_network(graph)
    initialise(network, seed)
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 3, *graph.input_shape.size)
    found = network(torch.rand(shape, generator=generator))
    return [one.detach().requires_grad_() for one in found]


def with_heads(*strides: int, classes: int = 2) -> Graph:
    """Activated [yolo] heads at such strides."""
    text = f"[net]\nwidth={SIZE}\nheight={SIZE}\nchannels=3\n" + conv(3, 1, name="image")
    for stride in strides:
        text += "[route]\nlayers=@image\n" + conv(3 * (5 + classes), stride, "logistic")
        text += f"[yolo]\nclasses={classes}\nanchors=10,14, 23,27, 40,20\nnum=3\n{ACTIVATED}\n"
    return compile_text(text, "heads.cfg")


def yolo_of(graph: Graph, number: int = 0) -> Yolo:
    head = graph.heads[number][1]
    assert isinstance(head, Yolo)
    return head


def test_the_darknet_loss_obeys_the_keys_of_each_section() -> None:
    graph = yolo_graph(f"{ACTIVATED}\n{TRAINING_KEYS}")
    (raw,) = outputs(graph, 2)
    value = darknet_loss(graph)([raw], targets_of(*TRUTHS), INPUT)
    value.total.backward()
    own = DarknetYoloSettings(
        classes=2,
        anchors_wh=((10, 14), (23, 27), (40, 20)),
        mask=(0, 1, 2),
        scale_x_y=2.0,
        new_coords=True,
        box_loss="ciou",
        iou_thresh_kind="giou",
        iou_normalizer=0.07,
        obj_normalizer=0.4,
        cls_normalizer=0.5,
        ignore_thresh=0.01,
        truth_thresh=0.1,
        iou_thresh=0.63,
        max_delta=2,
        label_smooth_eps=0.1,
        objectness_smooth=True,
        counters_per_class=(10, 30),
        show_details=False,
    )
    found = DarknetYoloLoss(own, INPUT).deltas(raw, targets_of(*TRUTHS))
    assert raw.grad is not None
    torch.testing.assert_close(raw.grad, -found.deltas)
    assert value.parts == pytest.approx(
        {
            "box": found.box_squares / 2,
            "objectness": found.objectness_squares / 2,
            "class": found.class_squares / 2,
            "darknet": found.cost / 2,
        }
    )


def test_focal_loss_reaches_the_darknet_loss() -> None:
    plain, focal = yolo_graph(PLAIN), yolo_graph("focal_loss=1")
    (raw,) = outputs(plain, 2)
    shown = [darknet_loss(g)([raw], targets_of(*TRUTHS), INPUT).parts for g in (plain, focal)]
    assert shown[1]["class"] < 0.9 * shown[0]["class"]
    assert shown[1]["box"] == shown[0]["box"]


def test_truth_thresh_reaches_the_darknet_loss() -> None:
    plain, eager = yolo_graph(PLAIN), yolo_graph("truth_thresh=0.01")
    (raw,) = outputs(plain, 2)
    shown = [darknet_loss(g)([raw], targets_of(*TRUTHS), INPUT).parts for g in (plain, eager)]
    assert shown[1]["box"] > shown[0]["box"]  # of every cell whose box touches an object


def test_delta_normalizer_scales_what_is_learned_but_not_what_is_shown() -> None:
    plain, halved = yolo_graph(PLAIN), yolo_graph("delta_normalizer=0.5")
    (raw,) = outputs(plain, 2)
    values = [darknet_loss(graph)([raw], targets_of(*TRUTHS), INPUT) for graph in (plain, halved)]
    whole, half = (torch.autograd.grad(value.total, raw)[0] for value in values)
    torch.testing.assert_close(half, whole / 2)
    assert values[0].parts == values[1].parts


def test_the_darknet_cost_is_the_mean_over_heads() -> None:
    graph = with_heads(16, 32)
    maps = outputs(graph, 2)
    value = darknet_loss(graph)(maps, targets_of(*TRUTHS), INPUT)
    alone = [
        darknet_loss(with_heads(stride))([raw], targets_of(*TRUTHS), INPUT).parts["darknet"]
        for stride, raw in zip((16, 32), maps, strict=True)
    ]
    assert value.parts["darknet"] == pytest.approx(sum(alone) / 2)


def test_the_printed_loss_is_that_of_darknet(shared: Path) -> None:
    # README.md beside the oracle holds what Darknet printed at its first step of two images.
    folder = shared / "data/oracle/darknet-train"
    graph = read_graph(folder / "ciou_steps1_sub1.cfg")
    network = compile_network(graph)
    load_weights(shared / "data/models/yolo-fastest-1.1.weights", graph, network)
    pixels = np.array(Image.open(folder / "scene.png").convert("RGB"))
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    rows = [[float(n) for n in line.split()] for line in (folder / "scene.txt").open()]
    objects = [
        Truth(i, int(row[0]), (row[1], row[2], row[3], row[4])) for i in (0, 1) for row in rows
    ]
    maps = network.train()(image.expand(2, -1, -1, -1))
    shown = darknet_loss(graph)(maps, targets_of(*objects), (320, 320)).parts
    text = (folder / "README.md").read_text(encoding="utf-8")
    printed = text.split("## ciou_steps1_sub1\n")[1].split("## ")[0]
    losses = [float(n) for n in re.findall(r"^ \d+: ([\d.]+),", printed, re.MULTILINE)]
    boxes = [float(n) for n in re.findall(r"iou_loss = ([\d.]+)", printed)]
    classes = [float(n) for n in re.findall(r"class_loss = ([\d.]+)", printed)]
    assert shown["darknet"] == pytest.approx(losses[0], rel=1e-3)
    assert shown["box"] == pytest.approx(sum(boxes), rel=1e-3)
    assert shown["objectness"] + shown["class"] == pytest.approx(sum(classes), rel=1e-3)


def test_modern_gains_follow_heads_classes_and_input_area() -> None:
    # Two heads: 3 / 2. Two classes of 80. 64 x 64 of 640 x 640: 1 / 100. Objectness of the finer
    # map counts 4, of the coarser 1, in whatever order they stand in the file.
    graph = with_heads(32, 16)
    maps = outputs(graph, 2)
    settings = ModernLossSettings(box=0.1, objectness=0.7, classes=0.3)
    value = modern_loss(graph, settings)(maps, targets_of(*TRUTHS), INPUT)
    coarse, fine = (
        yolo_losses(yolo_of(graph, number), (raw,), targets_of(*TRUTHS), INPUT)
        for number, raw in enumerate(maps)
    )
    wanted = {
        "box": float((coarse.box + fine.box).detach()) * 0.1 * 1.5,
        "objectness": float((coarse.objectness + 4 * fine.objectness).detach()) * 0.7 * 1.5 / 100,
        "class": float((coarse.classes + fine.classes).detach()) * 0.3 * 1.5 * 2 / 80,
    }
    assert value.parts == pytest.approx(wanted)
    assert float(value.total.detach()) == pytest.approx(2 * sum(wanted.values()))


def test_objectness_of_three_heads_counts_4_1_and_04_and_of_a_fourth_a_tenth() -> None:
    graph = with_heads(8, 16, 32, 64)
    maps = outputs(graph, 1)
    shown = modern_loss(graph, ModernLossSettings())(maps, targets_of(), INPUT).parts
    parts = [
        float(yolo_losses(yolo_of(graph, number), (raw,), targets_of(), INPUT).objectness.detach())
        for number, raw in enumerate(maps)
    ]
    weighted = 4 * parts[0] + parts[1] + 0.4 * parts[2] + 0.1 * parts[3]
    assert shown["objectness"] == pytest.approx(weighted * 3 / 4 / 100)


def test_the_gradient_is_a_sum_over_images() -> None:
    # The same image twice has twice the loss, and each copy the gradient of one alone.
    graph = with_heads(16)
    (raw,) = outputs(graph, 1)
    double = raw.detach().repeat(2, 1, 1, 1).requires_grad_()
    loss = modern_loss(graph, ModernLossSettings())
    once = loss([raw], targets_of(TRUTHS[0]), INPUT)
    twice = loss([double], targets_of(TRUTHS[0], replace(TRUTHS[0], image=1)), INPUT)
    once.total.backward()
    twice.total.backward()
    assert raw.grad is not None and double.grad is not None
    torch.testing.assert_close(double.grad, raw.grad.repeat(2, 1, 1, 1))
    assert twice.parts == pytest.approx(once.parts)


def test_mask_heads_learn_masks_with_the_gain_of_boxes() -> None:
    graph = yolo_graph(MASKED)
    maps = outputs(graph, 2)
    masks = torch.zeros(3, 16, 16, dtype=torch.bool)
    masks[:, 4:10, 3:9] = True
    targets = targets_of(*TRUTHS, masks=masks)
    value = modern_loss(graph, ModernLossSettings(box=0.1))(maps, targets, INPUT)
    found = yolo_losses(yolo_of(graph), (maps[0], maps[1]), targets, INPUT)
    assert found.mask is not None
    assert value.parts["mask"] == pytest.approx(float(found.mask.detach()) * 0.1 * 3)
    value.total.backward()
    assert maps[1].grad is not None and float(maps[1].grad.abs().max()) > 0


def test_anchor_free_heads_have_their_own_gains() -> None:
    graph = free_graph(8, 16)
    maps = outputs(graph, 2)
    value = modern_loss(graph, ModernLossSettings())(maps, targets_of(*TRUTHS), INPUT)
    found = anchor_free_losses(free_heads(graph), (maps[:2], maps[2:]), targets_of(*TRUTHS), INPUT)
    wanted = {
        "box": 7.5 * float(found.box.detach()),
        "class": 0.5 * float(found.classes.detach()),
        "distribution": 1.5 * float(found.distribution.detach()),
    }
    assert value.parts == pytest.approx(wanted)
    assert float(value.total.detach()) == pytest.approx(2 * sum(wanted.values()))


def test_anchor_free_masks_are_learned_as_a_mean_over_the_positives_of_all_heads() -> None:
    # Prototypes of 0: each cell of a mask inside its box costs ln 2. On 16 x 16 cells the object
    # spans columns 2.4 to 7.2, with 5 centres, and rows 3.2 to 9.6, with 7; its area is 4.8 * 6.4.
    graph = free_graph(8, 16, masks=True)
    maps = outputs(graph, 1)
    for prototypes in (maps[3], maps[7]):
        prototypes.detach().zero_()
    targets = targets_of(TRUTHS[0], masks=torch.zeros(1, 16, 16, dtype=torch.bool))
    shown = modern_loss(graph, ModernLossSettings())(maps, targets, INPUT).parts
    assert shown["mask"] == pytest.approx(7.5 * math.log(2) * 5 * 7 / (4.8 * 6.4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_maps_of_half_precision_are_taken(dtype: torch.dtype) -> None:
    graph = with_heads(16)
    (raw,) = outputs(graph, 2)
    half = raw.detach().to(dtype).requires_grad_()
    losses = (darknet_loss(graph), modern_loss(graph, ModernLossSettings()))
    for loss in losses:
        value = loss([half], targets_of(*TRUTHS), INPUT)
        exact = loss([half.detach().float()], targets_of(*TRUTHS), INPUT)
        assert value.parts == pytest.approx(exact.parts, rel=1e-5)
        (gradient,) = torch.autograd.grad(value.total, half)
        assert gradient.dtype == dtype and bool(gradient.isfinite().all())


def test_the_darknet_loss_refuses_heads_that_darknet_has_not() -> None:
    with pytest.raises(UsageError) as error:
        darknet_loss(free_graph(8))
    assert str(error.value) == (
        "the darknet recipe cannot train layer 5, [anchor_free]\n"
        "expected: [yolo] heads without masks, the ones that Darknet has\n"
        "help: use --recipe modern"
    )
    with pytest.raises(UsageError, match=r"cannot train layer 4, \[yolo\] with masks\n"):
        darknet_loss(yolo_graph(MASKED))


def test_a_network_without_heads_is_refused() -> None:
    graph = compile_text("[net]\nwidth=8\nheight=8\nchannels=3\n" + conv(3, 1), "none.cfg")
    for build in (darknet_loss, lambda g: modern_loss(g, ModernLossSettings())):
        with pytest.raises(
            UsageError, match="the network has no detection head to train\nexpected"
        ):
            build(graph)


def test_anchor_free_heads_of_different_classes_are_refused() -> None:
    text = free_graph(8, 16).cfg_text.replace("name=class16\nfilters=2", "name=class16\nfilters=3")
    start, _, end = text.rpartition("classes=2")
    with pytest.raises(UsageError) as error:
        modern_loss(compile_text(f"{start}classes=3{end}", "two.cfg"), ModernLossSettings())
    assert str(error.value) == (
        "layer 5 has 2 classes and layer 10 has 3\n"
        "expected: [anchor_free] heads of one network with the same classes, as they share the "
        "objects out among themselves"
    )


@pytest.mark.parametrize("gain", [-0.1, math.inf, math.nan])
def test_gains_must_be_finite(gain: float) -> None:
    with pytest.raises(UsageError) as error:
        ModernLossSettings(objectness=gain)
    assert str(error.value) == (
        f"the objectness loss cannot count {gain} times\nexpected: a finite number, 0 or more"
    )


def test_targets_move_with_their_masks() -> None:
    targets = targets_of(*TRUTHS, masks=torch.ones(3, 4, 4, dtype=torch.bool))
    moved = targets.to("meta")
    assert isinstance(moved, Targets) and moved.masks is not None
    assert {t.device.type for t in (moved.image, moved.class_ids, moved.masks)} == {"meta"}
