"""What a Darknet `.weights` file holds, float by float. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.graph import Graph
from yolo_gp.layers.base import WeightBlock
from yolo_gp.nodes import Node

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """One tensor's place in the file; `offset` in floats after the header."""

    node: Node
    block: WeightBlock
    offset: int

    @property
    def end(self) -> int:
        return self.offset + self.block.count

    def __str__(self) -> str:
        return f"layer {self.node.written} [{self.node.layer.kind}], {self.block.tensor}"


def file_layout(graph: Graph) -> tuple[PlacedBlock, ...]:
    """Every tensor of a `.weights` file for this network, in file order."""
    placed: list[PlacedBlock] = []
    offset = 0
    for node in graph.nodes:
        if node.layer.common.dont_load:
            continue
        for block in node.layer.weight_order(node.input_shapes):
            placed.append(PlacedBlock(node, block, offset))
            offset += block.count
    return tuple(placed)


def float_count(graph: Graph) -> int:
    """Floats after the header (P_file in zoo.md A.1)."""
    layout = file_layout(graph)
    return layout[-1].end if layout else 0
