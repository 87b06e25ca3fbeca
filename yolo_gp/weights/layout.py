"""What a Darknet `.weights` file holds, float by float. Loads no torch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from yolo_gp.errors import UsageError, did_you_mean
from yolo_gp.graph import Graph
from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.nodes import Node, module_name

FLOAT_BYTES = 4

WeightsDialect = Literal["alexeyab", "pjreddie"]
"""Whose Darknet a `.weights` file is for: they order the layers inside [gru] and [lstm], and the
tensors of [batchnorm], in different ways."""

WEIGHTS_DIALECTS: tuple[WeightsDialect, ...] = get_args(WeightsDialect)


def find_weights_dialect(name: str) -> WeightsDialect:
    """The dialect of that name.

    Raises:
        UsageError: there is none.
    """
    for dialect in WEIGHTS_DIALECTS:
        if name == dialect:
            return dialect
    suggestion = did_you_mean(name, WEIGHTS_DIALECTS)
    raise UsageError(
        f"{name} is no dialect of .weights files\nexpected: {' or '.join(WEIGHTS_DIALECTS)}"
        + (f"\nhelp: {suggestion}" if suggestion else "")
    )


@dataclass(frozen=True, slots=True)
class NetworkTensor:
    """A parameter, or a statistic of a batch norm, that a network has; `block` says its shape."""

    node: Node
    block: WeightBlock

    @property
    def name(self) -> str:
        """Its name in the network's state dict."""
        return f"{module_name(self.node)}.{self.block.tensor}"

    def __str__(self) -> str:
        return f"layer {self.node.written} [{self.node.layer.kind}], {self.block.tensor}"


def shape_text(shape: Iterable[int]) -> str:
    """ "16x3x3x3", for a message."""
    return "x".join(map(str, shape)) or "a single number"


def network_tensors(graph: Graph, cutoff: int | None = None) -> tuple[NetworkTensor, ...]:
    """Every tensor that the network holds once, layer by layer; those shared stand at their owner.

    Unlike `file_layout` it knows nothing of `dontload`: a network has the tensor all the same.

    Args:
        cutoff: stop before the section of that number.
    """
    return tuple(
        NetworkTensor(node, block)
        for node in nodes_before(graph, cutoff)
        for block in _all_scales(node.layer).weight_order(node.input_shapes)
    )


def nodes_before(graph: Graph, cutoff: int | None) -> tuple[Node, ...]:
    """The layers of the sections before the one of that number; all without one."""
    return tuple(node for node in graph.nodes if cutoff is None or node.written < cutoff)


def _all_scales(layer: Layer) -> Layer:
    """The layer as if it did not say `dontloadscales`."""
    if not layer.common.dont_load_scales:
        return layer
    assert dataclasses.is_dataclass(layer) and not isinstance(layer, type)
    return dataclasses.replace(
        layer, common=dataclasses.replace(layer.common, dont_load_scales=False)
    )


def check_cutoff(graph: Graph, cutoff: int | None) -> None:
    """Refuse a cutoff that leaves nothing, or more sections than there are.

    Raises:
        UsageError: it is out of range.
    """
    count = len(graph.spec.layers)
    if cutoff is not None and not 1 <= cutoff <= count:
        raise UsageError(
            f"cutoff {cutoff} is out of range for a cfg of {count} sections\n"
            f"expected: 1 to {count}; N keeps the sections before the one that has number N"
        )


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """One tensor's place in the file; `offset` in floats after the header."""

    node: Node
    block: WeightBlock
    offset: int

    @property
    def end(self) -> int:
        return self.offset + self.block.count

    @property
    def tensor(self) -> NetworkTensor:
        """The tensor it fills."""
        return NetworkTensor(self.node, self.block)

    def __str__(self) -> str:
        return str(self.tensor)


def file_layout(
    graph: Graph, cutoff: int | None = None, dialect: WeightsDialect = "alexeyab"
) -> tuple[PlacedBlock, ...]:
    """Every tensor of a `.weights` file for this network, in file order.

    Args:
        cutoff: the file is a prefix that ends before the section of that number.
        dialect: whose Darknet the file is for.
    """
    placed: list[PlacedBlock] = []
    offset = 0
    for node in nodes_before(graph, cutoff):
        if node.layer.common.dont_load:
            continue
        for block in _blocks(node, dialect):
            placed.append(PlacedBlock(node, block, offset))
            offset += block.count
    return tuple(placed)


def _blocks(node: Node, dialect: WeightsDialect) -> tuple[WeightBlock, ...]:
    if dialect == "pjreddie":
        return node.layer.pjreddies_weight_order(node.input_shapes)
    return node.layer.weight_order(node.input_shapes)


def kinds_that_differ(graph: Graph) -> tuple[str, ...]:
    """The kinds of section whose floats stand in another order in pjreddie's files."""
    differing = (
        node.layer.kind
        for node in graph.nodes
        if not node.layer.common.dont_load
        and _blocks(node, "alexeyab") != _blocks(node, "pjreddie")
    )
    return tuple(dict.fromkeys(differing))


def tensors_left_out(
    graph: Graph, cutoff: int | None = None, dialect: WeightsDialect = "alexeyab"
) -> tuple[NetworkTensor, ...]:
    """The network's tensors that a `.weights` file of it does not hold."""
    held = {placed.tensor.name for placed in file_layout(graph, cutoff, dialect)}
    return tuple(tensor for tensor in network_tensors(graph, cutoff) if tensor.name not in held)


def float_count(graph: Graph) -> int:
    """Floats after the header (P_file in zoo.md A.1)."""
    layout = file_layout(graph)
    return layout[-1].end if layout else 0


def prefix_cutoff(layout: tuple[PlacedBlock, ...], floats: int) -> int | None:
    """The N of a prefix file of so many floats: it ends exactly after the sections before N.

    None if it ends within a section, before the first, or is the whole.
    """
    for last, following in itertools.pairwise(layout):
        if last.end == floats and last.node.written != following.node.written:
            return last.node.written + 1
    return None
