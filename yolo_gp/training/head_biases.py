"""What a head expects before it has seen anything: few objects."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx, nn

from yolo_gp.graph import Graph
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.layers.yolo import Yolo
from yolo_gp.nodes import INPUT, Node, module_name

_OBJECTS = 8  # of an image of 640 x 640, as the formula has it whatever the input's size
_CLASS_OBJECTS = 5
_SIZE = 640
_SOME_CLASS = 0.6
_BOX = 1.0  # the logit of all distances, so that gradients are about equal at the start


@torch.no_grad()
def initialise_head_biases(graph: Graph, network: fx.GraphModule) -> None:
    """Set the biases of the convolutions before heads, so that scores start where they will end.

    Objectness log(8 / (640 / stride)^2), classes log(.6 / (classes - .99)); without anchors classes
    log(5 / classes / (640 / stride)^2) and distances 1. A map that another layer makes is left
    alone.

    Source: recipes.md; for [anchor_free] ultralytics' YOLOv8, Detect.bias_init.
    """
    for node, head in graph.heads:
        stride = graph.input_shape.height / node.input_shapes[0].height
        cells = (_SIZE / stride) ** 2
        biases = [_bias(graph, network, node, position) for position in range(len(node.inputs))]
        if isinstance(head, Yolo) and biases[0] is not None:
            entries = biases[0].view(len(head.anchors.mask), -1)
            entries[:, 4] = math.log(_OBJECTS / cells)
            entries[:, 5 : 5 + head.classes] = math.log(_SOME_CLASS / (head.classes - 0.99))
        elif isinstance(head, AnchorFree):
            for bias, value in zip(
                biases, (_BOX, math.log(_CLASS_OBJECTS / head.classes / cells)), strict=False
            ):
                if bias is not None:
                    bias.fill_(value)


def _bias(graph: Graph, network: fx.GraphModule, node: Node, position: int) -> Tensor | None:
    """What is added to the map that a head reads; None if no convolution makes it."""
    source = node.inputs[position].source
    while source != INPUT and graph.nodes[source].layer.starts_as_identity():
        source = graph.nodes[source].inputs[0].source
    if source == INPUT:
        return None
    module: nn.Module = network.get_submodule(module_name(graph.nodes[source]))
    if not isinstance(module, Convolution):
        return None
    owner = module.convolution if module.batch_norm is None else module.batch_norm
    return owner.bias
