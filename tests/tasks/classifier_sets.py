"""A classifier whose answers are known.

It sees only how bright an image is. Its seven classes are seven greys, 0, 1/6 ... 1, where white is
1, and it ranks them by how near they are to the image's brightness b: the score of grey m is
2 m b - m^2 = b^2 - (b - m)^2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import fx

from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name
from yolo_gp.tasks.classifier import Classifier

CFG = """[net]
width=8
height=8
channels=3
[convolutional]
filters=7
size=8
stride=8
activation=linear
[softmax]
[cost]
"""
NAMES = ("black", "coal", "lead", "steel", "ash", "chalk", "white")
GREYS = tuple(number / 6 for number in range(7))


@torch.no_grad()
def grey_network() -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(CFG, "greys.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    layer = network.get_submodule(module_name(graph.nodes[0]))
    assert isinstance(layer, Convolution) and layer.convolution.bias is not None
    weight = layer.convolution.weight
    for class_id, grey in enumerate(GREYS):
        weight[class_id] = 2 * grey / weight[class_id].numel()
        layer.convolution.bias[class_id] = -(grey**2)
    return graph, network


def grey_classifier() -> Classifier:
    return Classifier(*grey_network(), names=NAMES)


def write_grey(path: Path, grey: float, size: tuple[int, int] = (12, 16)) -> Path:
    """An image (height, width) of one grey, 0 to 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), round(255 * grey), np.uint8)).save(path)
    return path
