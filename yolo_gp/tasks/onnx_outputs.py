"""What an exported network returns: decoded boxes, or the raw maps of its heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yolo_gp.boxes import cxcywh_to_xyxy
from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.base import Head
from yolo_gp.nodes import Node

BOXES = "boxes"
SCORES = "scores"
COEFFICIENTS = "mask_coefficients"
PROTOTYPES = "prototypes"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a network as ONNX users get them; N images, K places, C classes.

    Decoded: `boxes` (N, K, 4), left, top, right, bottom in pixels of the network's input;
    `scores` (N, K, C); for heads with M mask coefficients `mask_coefficients` (N, K, M) and
    `prototypes` (N, M, h, w). Raw: `head_<layer>`, the map that the head reads; with a number
    behind it if it reads several. A network without heads returns its last layer as `output`.

    Fields:
        decoded: boxes and scores rather than maps.
    """

    graph: Graph
    decoded: bool

    @classmethod
    def of(cls, graph: Graph, *, raw: bool) -> Outputs:
        """Choose between maps and boxes.

        Raises:
            UsageError: the heads cannot be joined into one list of boxes.
        """
        outputs = cls(graph, decoded=bool(graph.heads) and not raw)
        if outputs.decoded:
            _check_heads_join(graph)
        return outputs

    @property
    def map_names(self) -> tuple[str, ...]:
        """A name for each tensor that the torch network returns."""
        if not self.graph.heads:
            return ("output",)
        names: list[str] = []
        for node, _ in self.graph.heads:
            name = f"head_{node.written}"
            several = len(node.inputs) > 1
            names += [f"{name}_{i}" if several else name for i in range(len(node.inputs))]
        return tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs in order."""
        if not self.decoded:
            return self.map_names
        masked = _mask_coefficients(self.graph)[-1] > 0
        return (BOXES, SCORES, COEFFICIENTS, PROTOTYPES) if masked else (BOXES, SCORES)

    def assemble(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs from the tensors that the torch network returns."""
        if not self.decoded:
            return tuple(maps)
        heads = decode_heads(self.graph, maps)
        boxes = torch.cat([head.boxes_cxcywh_norm for head in heads], dim=1)
        scores = torch.cat([head.scores for head in heads], dim=1)
        found = (in_pixels(boxes, self.graph.input_shape.size), scores)
        coefficients = [head.coefficients for head in heads if head.coefficients is not None]
        return (*found, torch.cat(coefficients, dim=1), maps[-1]) if coefficients else found


def decode_heads(graph: Graph, maps: Sequence[Tensor]) -> list[DenseCandidates]:
    """What each head makes of the tensors that the torch network returns."""
    found = []
    for node, head in graph.heads:
        own, maps = maps[: len(node.inputs)], maps[len(node.inputs) :]
        found.append(head.decode_all(own, graph.input_shape.size))
    return found


def in_pixels(boxes_cxcywh_norm: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) as left, top, right, bottom in pixels of the network's input."""
    height, width = input_size
    sides = boxes_cxcywh_norm.new_tensor((width, height, width, height))
    return cxcywh_to_xyxy(boxes_cxcywh_norm) * sides


def places_of_heads(graph: Graph) -> dict[int, tuple[int, int]]:
    """For each head by index, the first of its places in `boxes`, and how many they are."""
    places = {}
    first = 0
    for node, head in graph.heads:
        count = int(_shapes_of(node, head).scores.shape[1])
        places[node.index] = (first, count)
        first += count
    return places


def _mask_coefficients(graph: Graph) -> list[int]:
    """How many mask coefficients the boxes of each head have."""
    found = [_shapes_of(node, head).coefficients for node, head in graph.heads]
    return [0 if coefficients is None else int(coefficients.shape[2]) for coefficients in found]


def _shapes_of(node: Node, head: Head) -> DenseCandidates:
    """What a head makes of one image, as shapes without numbers."""
    shapes = [(1, shape.channels, shape.height, shape.width) for shape in node.input_shapes]
    return head.decode_all([torch.empty(shape, device="meta") for shape in shapes], (1, 1))


def _check_heads_join(graph: Graph) -> None:
    file = graph.spec.net.span.file
    raw = "help: --raw writes the maps of the heads as they are"
    classes = sorted({head.num_classes for _, head in graph.heads})
    if len(classes) > 1:
        raise UsageError(f"the heads of {file} disagree on classes: {classes}\n{raw}")
    masks = _mask_coefficients(graph)
    if len(set(masks)) > 1:
        raise UsageError(f"the heads of {file} disagree on mask coefficients: {masks}\n{raw}")
    sources = sorted({node.inputs[-1].source for node, _ in graph.heads})
    if masks[0] and len(sources) > 1:
        written = ", ".join(str(graph.nodes[source].written) for source in sources)
        raise UsageError(
            f"the heads of {file} take their mask prototypes from several layers: {written}\n"
            f"expected: one layer of prototypes for all boxes\n{raw}"
        )
