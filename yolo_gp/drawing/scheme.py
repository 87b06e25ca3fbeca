"""What a picture of a network shows: its layers, and what it says of each.

A macro's layers can stand there one by one, or as one thing. A part of a network can be shown by
itself, with its neighbours outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from yolo_gp.drawing.titles import layer_tip, layer_title, macro_tip, macro_title
from yolo_gp.graph import Graph
from yolo_gp.layers.base import is_head
from yolo_gp.layers.channel_flow import Mixes
from yolo_gp.macros.base import Macro
from yolo_gp.nodes import INPUT, Edge, Node
from yolo_gp.shapes import FeatureShape

Role = Literal["end", "learned", "sum", "join", "resize", "plain", "macro", "head", "outside"]
"""What a thing does, as colours show it: an end of the network (input, loss), layers that learn,
sums of maps, other layers that read several, layers that change a map's size, the rest, macros,
heads, and things outside the part that is shown."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something to draw: a layer, a macro, the input image, or the loss of a network without heads.

    Fields:
        index: the layer's number; of a macro that of its last layer; -1 for the input, the number
            of layers for the loss.
        shape: of its map.
        edges: what it reads, in order.
        number: the section's number as written; empty for input and loss.
        title: what it does.
        tip: all of that in one line.
        learned: it is a weight layer, or holds one.
        layers: how many it stands for.
        group: the section that its macro is, as written; None for a thing of its own.
    """

    index: int
    shape: FeatureShape
    edges: tuple[Edge, ...]
    number: str
    title: str
    tip: str
    role: Role
    learned: bool = False
    layers: int = 1
    group: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of its map."""
        return self.shape.size

    @property
    def sources(self) -> tuple[int, ...]:
        """Indices of the things that it reads, in order."""
        return tuple(edge.source for edge in self.edges)

    @property
    def head(self) -> bool:
        return self.role == "head"


@dataclass(frozen=True, slots=True)
class Scheme:
    """All things of a picture: the input, the layers in file order, the loss.

    Fields:
        input_size: (height, width) of the network's input.
    """

    things: tuple[Thing, ...]
    input_size: tuple[int, int]


def scheme(graph: Graph, *, collapse: bool = False) -> Scheme:
    """All of a network.

    Args:
        collapse: a macro is one thing.
    """
    things = [_input(graph)]
    if collapse:
        for members in _sections(graph.nodes):
            macro = graph.spec.layers[members[0].written].macro
            things.append(_layer(members[0]) if macro is None else _macro(macro, members))
    else:
        things += [_layer(node) for node in graph.nodes]
    if not graph.heads:
        last = len(graph.nodes) - 1
        shape = graph.nodes[last].output_shape
        things.append(Thing(last + 1, shape, (Edge(last),), "", "loss", "loss", "end"))
    return Scheme(tuple(things), graph.input_shape.size)


def part(whole: Scheme, indices: Iterable[int]) -> Scheme:
    """The things of these indices, and those that they read or that read them."""
    inside = set(indices)
    read = {edge.source for thing in whole.things if thing.index in inside for edge in thing.edges}
    things = []
    for thing in whole.things:
        edges = tuple(edge for edge in thing.edges if edge.source in inside)
        if thing.index in inside:
            things.append(thing)
        elif thing.index in read or edges:
            role: Role = "end" if thing.role == "end" else "outside"
            things.append(replace(thing, edges=edges, role=role, group=None))
    return Scheme(tuple(things), whole.input_size)


def _sections(nodes: Sequence[Node]) -> list[list[Node]]:
    """The layers of each section as written."""
    found: dict[int, list[Node]] = {}
    for node in nodes:
        found.setdefault(node.written, []).append(node)
    return list(found.values())


def _input(graph: Graph) -> Thing:
    shape = graph.input_shape
    return Thing(INPUT, shape, (), "", "input", f"input: {shape}", "end")


def _layer(node: Node) -> Thing:
    kind = node.layer.span.text.strip("[]")
    return Thing(
        index=node.index,
        shape=node.output_shape,
        edges=node.inputs,
        number=str(node.written),
        title=layer_title(node),
        tip=layer_tip(node),
        role=_role(node),
        learned=_is_learned(node),
        group=f"{node.written} {kind}",
    )


def _macro(macro: Macro, members: Sequence[Node]) -> Thing:
    own = {node.index for node in members}
    edges = (edge for node in members for edge in node.inputs if edge.source not in own)
    last = members[-1]
    return Thing(
        index=last.index,
        shape=last.output_shape,
        edges=tuple(dict.fromkeys(edges)),
        number=str(last.written),
        title=macro_title(macro),
        tip=macro_tip(macro, members),
        role="macro",
        learned=any(map(_is_learned, members)),
        layers=len(members),
    )


def _role(node: Node) -> Role:
    if is_head(node.layer):
        return "head"
    if node.layer.adds_maps():
        return "sum"
    if _is_learned(node) or node.cost.params:
        return "learned"
    if len(node.inputs) > 1:
        return "join"
    sizes = {shape.size for shape in node.input_shapes}
    return "resize" if sizes and sizes != {node.output_shape.size} else "plain"


def _is_learned(node: Node) -> bool:
    flow = node.layer.channel_flow(node.input_shapes, node.output_shape)
    return any(isinstance(way, Mixes) and way.learned for way in flow)
