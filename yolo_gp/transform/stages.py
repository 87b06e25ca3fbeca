"""Residual blocks and stages of a network, found on its graph."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from yolo_gp.graph import Graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.macros.base import Macro
from yolo_gp.nodes import Node


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions in a row, and a shortcut that adds what the first one reads.

    Fields:
        convolutions, shortcut: the block's nodes, each a section of its own, one after another.
        source: the node that the first convolution and the shortcut read.
        halves: its output is smaller than what it reads, as at the start of a ResNet stage.
    """

    convolutions: tuple[Node, ...]
    shortcut: Node
    source: Node
    halves: bool

    @property
    def sections(self) -> range:
        """The numbers of its sections."""
        return range(self.convolutions[0].written, self.shortcut.written + 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A maximal run of residual blocks at one resolution, each reading the one before.

    Fields:
        number: log2 of its stride, rounded: 1 for maps of half the input's height, and so on.
        entrance: the residual block that halves the map, which the first block reads.
        blocks: the others; empty if the entrance is all there is.
    """

    number: int
    entrance: Block | None
    blocks: tuple[Block, ...]

    @property
    def all_blocks(self) -> tuple[Block, ...]:
        """The entrance, if there is one, and the others."""
        return ((self.entrance,) if self.entrance else ()) + self.blocks

    @property
    def shortcuts(self) -> tuple[Node, ...]:
        """Every shortcut, the entrance's too."""
        return tuple(block.shortcut for block in self.all_blocks)

    @property
    def depth(self) -> int:
        """How many blocks there are, the entrance counted."""
        return len(self.all_blocks)

    @property
    def sections(self) -> range:
        """The numbers of the sections of `blocks`."""
        return range(self.blocks[0].sections.start, self.blocks[-1].sections.stop)

    @property
    def follows_downsampling(self) -> bool:
        """What its blocks read comes from a convolution, a pool or a block that halves the map."""
        source = self.blocks[0].source
        halves = source.output_shape.height < source.input_shapes[0].height
        return self.entrance is not None or halves

    @property
    def out_channels(self) -> int:
        return self.shortcuts[-1].output_shape.channels

    def __str__(self) -> str:
        first = self.all_blocks[0].sections.start
        return f"stage {self.number} (layers {first} to {self.shortcuts[-1].written})"


@dataclass(frozen=True, slots=True)
class MacroStage:
    """A [csp] or [elan] of the cfg; fields as in `Stage`, `output` is the last node of it."""

    number: int
    macro: Macro
    output: Node

    @property
    def depth(self) -> int:
        """How many blocks it repeats."""
        return self.macro.depth

    def __str__(self) -> str:
        return f"stage {self.number} ([{self.macro.kind}], layer {self.output.written})"


Place = Stage | MacroStage


def stage_number(graph: Graph, node: Node) -> int:
    """log2 of the stride of a node's output along the height, rounded."""
    return round(math.log2(graph.input_shape.height / node.output_shape.height))


def find_stages(graph: Graph) -> tuple[Stage, ...]:
    """Every stage that the cfg writes block by block, in file order."""
    runs: list[list[Block]] = []
    for block in _find_blocks(graph):
        joins = runs and runs[-1][-1].shortcut is block.source and not block.halves
        if joins:
            runs[-1].append(block)
        else:
            runs.append([block])
    return tuple(_stage(graph, run) for run in runs)


def find_macro_stages(graph: Graph) -> tuple[MacroStage, ...]:
    """Every [csp] and [elan], in file order."""
    outputs = {node.written: node for node in graph.nodes}
    return tuple(
        MacroStage(stage_number(graph, outputs[layer.written]), layer.macro, outputs[layer.written])
        for layer in graph.spec.layers
        if layer.macro is not None
    )


def _stage(graph: Graph, run: list[Block]) -> Stage:
    entrance = run[0] if run[0].halves else None
    blocks = run[1:] if entrance else run
    return Stage(stage_number(graph, run[-1].shortcut), entrance, tuple(blocks))


def _find_blocks(graph: Graph) -> Iterator[Block]:
    for node in graph.nodes:
        block = _block(graph, node) if _is_residual(graph, node) else None
        if block is not None:
            yield block


def _is_residual(graph: Graph, node: Node) -> bool:
    """A section that adds one earlier map, as it is, to the previous one."""
    layer = node.layer
    if graph.spec.layers[node.written].macro is not None or len(node.inputs) != 2:
        return False
    plain = isinstance(layer, Shortcut) and layer.is_plain_sum
    return plain or isinstance(layer, PartialShortcut)


def _block(graph: Graph, shortcut: Node) -> Block | None:
    source = shortcut.inputs[1].source
    inner = graph.nodes[source + 1 : shortcut.index]
    if source < 0 or not inner or not all(_is_link(graph, node) for node in inner):
        return None
    start = graph.nodes[source]
    halves = shortcut.output_shape.size != start.output_shape.size
    return Block(inner, shortcut, start, halves)


def _is_link(graph: Graph, node: Node) -> bool:
    """A convolution between the previous layer and the next, which alone reads it."""
    return (
        isinstance(node.layer, Convolutional)
        and node.weights_of is None
        and graph.spec.layers[node.written].macro is None
        and [edge.source for edge in node.inputs] == [node.index - 1]
        and graph.users[node.index] == (node.index + 1,)
    )
