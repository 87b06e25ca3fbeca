"""Real models against OpenCV's Darknet importer: what the convolution before each head gives.

OpenCV takes 1e-6 for batch norm's epsilon, Darknet and we 1e-5, so OpenCV reads a copy of the
weights with 9e-6 added to every running variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx

from yolo_gp.graph import Graph, read_graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.network import compile_network, fold_batch_norm, pack_for_cpu
from yolo_gp.weights.darknet import load_weights

Array = NDArray[np.float32]
MODELS = (
    "yolo-fastest-1.1",
    "yolo-fastest-1.1-xl",
    "mobilenetv2-yolov3-nano-coco",
    "mobilenetv2-yolo-fastest-voc",
    "yoloface-50k",
)
PHOTO = "data/coco-mini/images/val"
TOLERANCE = 1e-4
EPSILON_DIFFERENCE = np.float32(1e-5 - 1e-6)


@dataclass(frozen=True)
class Model:
    graph: Graph
    networks: tuple[fx.GraphModule, ...]  # plain, folded, folded and packed
    judge: cv2.dnn.Net


def for_opencv(graph: Graph, content: bytes) -> bytes:
    """The weights with 9e-6 more in every variance: bias, scale, mean, *variance*, filters."""
    floats = np.frombuffer(content, dtype="<f4", offset=20).copy()
    position = 0
    for node in graph.nodes:
        if not isinstance(node.layer, Convolutional):
            continue
        filters = node.layer.out_channels
        if node.layer.batch_norm:
            floats[position + 3 * filters : position + 4 * filters] += EPSILON_DIFFERENCE
            position += 3 * filters
        kernel = node.layer.kernel_size**2
        inputs = node.input_shapes[0].channels // node.layer.groups
        position += filters + filters * inputs * kernel
    assert position == len(floats)
    return content[:20] + floats.tobytes()


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, shared: Path) -> Model:
    cfg = shared / f"data/models/{request.param}.cfg"
    weights = cfg.with_suffix(".weights")
    graph = read_graph(cfg)
    networks = tuple(compile_network(graph) for _ in range(3))
    for network in networks:
        load_weights(weights, graph, network)
    for network in networks[1:]:
        fold_batch_norm(network, graph)
    with torch.no_grad():
        pack_for_cpu(networks[2], graph)
    judge = cv2.dnn.readNetFromDarknet(
        np.frombuffer(cfg.read_bytes(), np.uint8),
        np.frombuffer(for_opencv(graph, weights.read_bytes()), np.uint8),
    )
    return Model(graph, networks, judge)


def check(model: Model, image: Array) -> None:
    names = [f"conv_{node.inputs[0].source}" for node, _ in model.graph.heads]
    model.judge.setInput(image)
    expected = [np.array(blob) for blob in model.judge.forward(names)]
    assert len(expected) == len(model.graph.heads) > 0
    for network in model.networks:
        with torch.no_grad():
            found = network(torch.from_numpy(image))
        for blob, raw in zip(expected, found, strict=True):
            assert blob.std() > 0.1  # a map of constants would judge nothing
            np.testing.assert_allclose(raw.numpy(), blob, rtol=0, atol=TOLERANCE)


def test_maps_before_the_heads_equal_opencvs_on_noise(model: Model) -> None:
    shape = (1, model.graph.input_shape.channels, *model.graph.input_shape.size)
    check(model, np.random.default_rng(24).random(shape, dtype=np.float32))


def test_maps_before_the_heads_equal_opencvs_on_a_photo(model: Model, shared: Path) -> None:
    path = min((shared / PHOTO).iterdir())
    pixels = cv2.imread(str(path))
    assert pixels is not None
    height, width = model.graph.input_shape.size
    check(model, cv2.dnn.blobFromImage(pixels, 1 / 255, (width, height), swapRB=True))
