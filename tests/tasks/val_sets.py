"""A network whose detections are known, and data sets to go with it.

The network sees only how bright an image is. It finds one box in each, the middle half of the
width and quarter of the height, of class 0, with confidence sigmoid(8 (brightness - 1/2)) where
white is 1: .5 for a middle grey, .88 for three quarters, .98 for white.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import fx

from yolo_gp.data.dataset import GroundTruth, Sample
from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name
from yolo_gp.presets import VAL_PRESETS, Preset
from yolo_gp.tasks.detector import Detector

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters=7
size=32
stride=32
activation=linear
[yolo]
classes=2
num=1
anchors=16,8
"""
MASK_CFG = """[net]
width=32
height=32
channels=3
[convolutional]
name=prototypes
filters=1
size=8
stride=8
activation=linear
[convolutional]
filters=8
size=4
stride=4
activation=linear
[yolo]
classes=2
num=1
anchors=16,8
masks=1
prototypes=@prototypes
"""
OBJECTNESS, CLASS_0, CLASS_1, COEFFICIENT = 4, 5, 6, 7  # channels of the head's map
SURE = 20.0  # a logit whose sigmoid is 1 in float32


def brightness_network() -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(CFG, "brightness.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    _see_brightness(network.get_submodule(module_name(graph.nodes[0])))
    return graph, network


@torch.no_grad()
def _see_brightness(head: torch.nn.Module) -> None:
    assert isinstance(head, Convolution)
    weight, bias = head.convolution.weight, head.convolution.bias
    assert bias is not None
    weight.zero_()
    bias.zero_()
    weight[OBJECTNESS] = 8 / weight[OBJECTNESS].numel()
    bias[OBJECTNESS] = -4
    bias[CLASS_0], bias[CLASS_1] = SURE, -SURE


def brightness_detector(preset: Preset = VAL_PRESETS["darknet"]) -> Detector:
    return Detector(*brightness_network(), preset, names=("blob", "ghost"))


@torch.no_grad()
def mask_detector(coefficient: float) -> Detector:
    """Finds the same box with confidence 1/2 in each image; its mask fills it if `coefficient` > 0.

    The one prototype is 1 everywhere, so a pixel belongs to the mask where sigmoid(coefficient)
    exceeds 1/2.
    """
    graph = compile_text(MASK_CFG, "masks.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    prototypes, head = (network.get_submodule(module_name(node)) for node in graph.nodes[:2])
    for part in (prototypes, head):
        assert isinstance(part, Convolution) and part.convolution.bias is not None
        part.convolution.weight.zero_()
    prototypes.convolution.bias[0] = 1.0
    bias = head.convolution.bias
    bias[CLASS_0], bias[CLASS_1], bias[COEFFICIENT] = SURE, -SURE, coefficient
    return Detector(graph, network, VAL_PRESETS["darknet"], names=("blob", "ghost"))


def middle(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box it finds in an image of (height, width)."""
    height, width = size
    return (width / 4, height * 3 / 8, width * 3 / 4, height * 5 / 8)


@dataclass
class ListedData:
    """A data set in memory, whose images are files of one grey each."""

    folder: Path
    name: str = "blobs"
    class_names: tuple[str, ...] = ("blob", "ghost")
    category_ids: tuple[int, ...] = (3, 7)
    samples: list[Sample] = field(default_factory=list)
    boxes: list[list[tuple[float, float, float, float]]] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)
    masks: list[tuple[Rle, ...]] | None = None

    def add(
        self,
        grey: float,
        *boxes: tuple[float, float, float, float],
        size: tuple[int, int] = (64, 128),
    ) -> Path:
        """Add an image of that brightness, 0 to 1, with objects of class 0."""
        path = self.folder / f"{len(self.samples)}.png"
        pixels = np.full((*size, 3), round(grey * 255), np.uint8)
        Image.fromarray(pixels).save(path, compress_level=1)
        self.samples.append(Sample(len(self.samples) + 1, path, size))
        self.boxes.append(list(boxes))
        return path

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        if index in self.unreadable:
            raise DataError(f"label {index} is torn")
        boxes = np.array(self.boxes[index], np.float64).reshape(-1, 4)
        none = np.zeros(len(boxes), np.bool_)
        return GroundTruth(
            boxes_xyxy=boxes,
            class_ids=np.zeros(len(boxes), np.int64),
            ignored=none,
            crowd=none,
            areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
            masks=self.masks and self.masks[index],
        )
