"""Scaling the channels of convolutions, in a cfg's text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from yolo_gp.edits import Edits
from yolo_gp.errors import Diagnostics
from yolo_gp.graph import Graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.route import Route
from yolo_gp.layers.scale_channels import ScaleChannels
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.macros.base import Macro
from yolo_gp.macros.csp import Csp
from yolo_gp.nodes import INPUT, Node
from yolo_gp.shapes import FeatureShape, PartialShape
from yolo_gp.syntax import Section, parse_cfg

MULTIPLE = 8

Factor = Callable[[Node], float]
"""By what the channels of a node's output are multiplied."""

Factors = tuple[float, ...]
"""By what several widths are multiplied."""


def scaled(channels: int, factor: float, multiple: int = MULTIPLE) -> int:
    """`factor` times `channels`, to the nearest `multiple`, half up, and at least one of it.

    Factor 1 leaves even odd numbers of channels as they are.
    """
    if factor == 1.0:
        return channels
    return max(1, math.floor(factor * channels / multiple + 0.5)) * multiple


def scale_widths(content: bytes, graph: Graph, factor: Factor) -> bytes:
    """The cfg with the filters of its convolutions, and the widths of its macros, scaled.

    Convolutions whose output reaches a head, or the end of the network, without another one
    between keep their filters: the classes demand them. A convolution with as many groups as input
    channels keeps one channel to a group; one whose output scales another map's channels gives as
    many as that map has. Widths are multiples of 8 and of the groups of whatever
    reads them.
    """
    return _Scaler(content, graph, factor).scale()


class _Scaler:
    def __init__(self, content: bytes, graph: Graph, factor: Factor) -> None:
        self._graph = graph
        self._factor = factor
        self._edits = Edits(content)
        self._sections = parse_cfg(content, "", Diagnostics()).sections[1:]
        self._fixed = _demanded(graph)
        self._shapes = {INPUT: _known(graph.input_shape)}

    def scale(self) -> bytes:
        ends = {node.written: node for node in self._graph.nodes}
        for layer in self._graph.spec.layers:
            node = ends[layer.written]
            section = self._sections[layer.written]
            if layer.macro is not None:
                channels = self._scale_macro(section, layer.macro, node)
                self._shapes[node.index] = PartialShape(channels, *node.output_shape.size)
            else:
                self._shapes[node.index] = self._scale_layer(section, node)
        return self._edits.content()

    def _scale_layer(self, section: Section, node: Node) -> PartialShape:
        """Edits the section; the output's new shape."""
        layer = node.layer
        inputs = [self._shapes[edge.source] for edge in node.inputs]
        if isinstance(layer, Convolutional):
            channels = self._scale_convolution(section, node, layer, inputs[0].channels or 0)
            return PartialShape(channels, *node.output_shape.size)
        if isinstance(layer, PartialShortcut) and layer.channels:
            counts = (str(scaled(count, self._factor(node))) for count in layer.channels)
            self._edits.set_option(section, "channels", ",".join(counts))
        try:
            return layer.output_shape(inputs)
        except ShapeProblem:  # compiling the result will report it, with its place
            return _known(node.output_shape)

    def _scale_convolution(
        self, section: Section, node: Node, layer: Convolutional, in_channels: int
    ) -> int:
        before = node.input_shapes[0].channels
        filters, groups = layer.out_channels, layer.groups
        gated = self._gated(node)
        if groups == before > 1:
            filters, groups = filters // before * in_channels, in_channels
        elif gated is not None:
            filters = self._shapes[gated].channels or filters
        elif node.index not in self._fixed and filters > 1:
            multiple = math.lcm(MULTIPLE, groups, *self._groups_of_readers(node))
            filters = scaled(filters, self._factor(node), multiple)
        for key, new, old in (
            ("filters", filters, layer.out_channels),
            ("groups", groups, layer.groups),
        ):
            if new != old:
                self._edits.set_option(section, key, str(new))
        return filters

    def _gated(self, node: Node) -> int | None:
        """The layer whose channels this one's output scales, one number each."""
        for reader in self._graph.users[node.index]:
            gate, *maps = (edge.source for edge in self._graph.nodes[reader].inputs)
            layer = self._graph.nodes[reader].layer
            if isinstance(layer, ScaleChannels) and gate == node.index:
                return maps[0]
        return None

    def _scale_macro(self, section: Section, macro: Macro, node: Node) -> int:
        """Edits the widths that stand in the section; the output's new channels."""
        factor = self._factor(node)
        widths = {
            option.key: int(option.value or 0)
            for option in reversed(section.options)  # of keys that stand twice the first counts
            if option.key in macro.width_keys
        }
        inner = macro.groups if isinstance(macro, Csp) else 1
        new = {
            key: scaled(width, factor, math.lcm(MULTIPLE, inner if key == "width" else 1))
            for key, width in widths.items()
            if width
        }
        readers = math.lcm(MULTIPLE, *self._groups_of_readers(node))
        if "filters" in new:
            new["filters"] = scaled(widths["filters"], factor, readers)
        if node.index in self._fixed:
            new.pop("filters", None)
        if isinstance(macro, Csp) and macro.fusion in ("last", "none"):
            _fit_to_join(new, macro.fusion)
        for key, value in new.items():
            if value != widths[key]:
                self._edits.set_option(section, key, str(value))
        return new.get("filters", scaled(node.output_shape.channels, factor))

    def _groups_of_readers(self, node: Node) -> Iterable[int]:
        """The groups into which later layers cut this one's output, other than channel by channel.

        Layers without filters pass channels on.
        """
        seen, waiting = set(), list(self._graph.users[node.index])
        while waiting:
            reader = self._graph.nodes[waiting.pop()]
            if reader.index in seen:
                continue
            seen.add(reader.index)
            if isinstance(reader.layer, Convolutional):
                if reader.layer.groups < reader.input_shapes[0].channels:
                    yield reader.layer.groups
            elif reader.layer.filters(reader.input_shapes) is None:
                if isinstance(reader.layer, Route):
                    yield reader.layer.groups
                waiting += self._graph.users[reader.index]


def _fit_to_join(widths: dict[str, int], fusion: str) -> None:
    """Make `filters` the sum that a [csp] without a closing transition joins to."""
    ends = ("transition", "block_out", "hidden") if fusion == "last" else ("block_out", "hidden")
    main = next((widths[key] for key in ends if key in widths), None)
    if main is not None and "cross" in widths and "filters" in widths:
        widths["filters"] = main + widths["cross"]


def _demanded(graph: Graph) -> frozenset[int]:
    """Nodes that give a head, or the network's end, its channels: classes demand their number."""
    sinks = [node.index for node in graph.nodes if not graph.users[node.index]]
    waiting = sinks + [node.index for node, _ in graph.heads]
    seen: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index == INPUT or index in seen:
            continue
        seen.add(index)
        node = graph.nodes[index]
        if node.layer.filters(node.input_shapes) is None:
            waiting += [edge.source for edge in node.inputs]
    return frozenset(seen)


def _known(shape: FeatureShape) -> PartialShape:
    return PartialShape(shape.channels, shape.height, shape.width)
