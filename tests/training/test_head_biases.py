"""What heads say before they have learnt anything."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.training.head_biases import initialise_head_biases

NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
POOL = "[maxpool]\nsize=16\nstride=16\n"  # a cell is 16 pixels wide


def prepared(text: str) -> tuple[fx.GraphModule, tuple[Tensor, ...]]:
    """The network and what it returns for a black image: its biases."""
    graph = compile_text(NET + text, "x.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    initialise_head_biases(graph, network)
    with torch.no_grad():
        return network, network(torch.zeros(1, 3, 64, 64))


def test_a_yolo_head_expects_eight_objects_in_an_image_of_640_pixels() -> None:
    _, (found,) = prepared(
        f"{POOL}[convolutional]\nfilters=16\nactivation=linear\n"
        "[yolo]\nclasses=3\nanchors=10,13, 16,30\nnum=2\n"
    )
    entries = found[0, :, 0, 0].reshape(2, 8)
    assert torch.equal(entries[:, :4], torch.zeros(2, 4))
    # 640 / 16 = 40 cells a side: 8 of 1600 places.
    assert entries[:, 4].tolist() == pytest.approx([math.log(8 / 1600)] * 2)
    assert entries[:, 4].sigmoid().tolist() == pytest.approx([8 / 1608] * 2, rel=1e-5)
    # .6 / (3 - .99)
    expected = [math.log(0.6 / 2.01)] * 6
    assert entries[:, 5:].flatten().tolist() == pytest.approx(expected)


def test_mask_coefficients_are_left_alone() -> None:
    _, (found, _) = prepared(
        f"{POOL}[convolutional]\nname=prototypes\nfilters=4\nactivation=linear\n"
        "[convolutional]\nfilters=10\nactivation=linear\n"
        "[yolo]\nclasses=1\nanchors=10,13\nmasks=4\nprototypes=@prototypes\n"
    )
    assert torch.equal(found[0, 6:, 0, 0], torch.zeros(4))
    assert found[0, 4, 0, 0] == pytest.approx(math.log(8 / 1600))


def test_a_bias_of_batch_norm_serves_as_well() -> None:
    _, (found,) = prepared(
        f"{POOL}[convolutional]\nbatch_normalize=1\nfilters=6\nactivation=linear\n"
        "[dropout]\nprobability=.5\n[yolo]\nclasses=1\nanchors=10,13\n"
    )
    assert found[0, 4, 0, 0] == pytest.approx(math.log(8 / 1600))


def test_a_head_without_anchors_expects_five_objects_of_some_class() -> None:
    _, (boxes, classes) = prepared(
        f"{POOL}[convolutional]\nname=boxes\nfilters=64\nactivation=linear\n"
        "[route]\nlayers=0\n"
        "[convolutional]\nname=classes\nfilters=2\nactivation=linear\n"
        "[anchor_free]\nfrom=@boxes,@classes\nclasses=2\n"
    )
    assert torch.equal(boxes[0, :, 0, 0], torch.ones(64))
    assert classes[0, :, 0, 0].tolist() == pytest.approx([math.log(5 / 2 / 1600)] * 2)


def test_a_map_that_no_convolution_makes_is_left_alone() -> None:
    _, (found,) = prepared(
        f"{POOL}[convolutional]\nfilters=7\nactivation=linear\n[maxpool]\nsize=1\nstride=1\n"
        "[yolo]\nclasses=2\nanchors=10,13\n"
    )
    assert torch.equal(found, torch.zeros_like(found))
