"""Layers whose output goes nowhere."""

from __future__ import annotations

from yolo_gp.graph import Graph
from yolo_gp.lint.subject import Compiled, Findings, warning
from yolo_gp.nodes import INPUT
from yolo_gp.rules import Rule


def unused_outputs(subject: Compiled) -> Findings:
    """Each layer that nobody reads and that is no output itself."""
    graph = subject.graph
    live = _feeders(graph, _ends(graph))
    ends = {node.written: node.index for node in graph.nodes}  # of each section, its last layer
    for written, end in ends.items():
        if end in live or graph.users[end]:
            continue
        only_for_it = sorted(_feeders(graph, [end]) - live)
        yield warning(
            Rule.UNUSED_OUTPUT,
            subject.section(written).span,
            f"no layer reads layer {written}, [{subject.section(written).kind}], and it is no "
            f"{'head' if graph.heads else 'output'}{_waste(graph, only_for_it)}",
            help=_advice(subject, end),
        )


def _ends(graph: Graph) -> list[int]:
    """The layers that need no reader: what the network returns, heads and losses."""
    heads = [node.index for node, _ in graph.heads]
    losses = [node.index for node in graph.nodes if node.layer.is_loss()]
    outputs = [edge.source for edge in graph.output_edges if edge.source != INPUT]
    return heads + losses + outputs


def _feeders(graph: Graph, roots: list[int]) -> set[int]:
    """The layers whose output reaches `roots`, these included."""
    found = set(roots)
    for node in reversed(graph.nodes):
        if node.index in found:
            found.update(edge.source for edge in node.inputs)
    return found - {INPUT}


def _waste(graph: Graph, layers: list[int]) -> str:
    params = sum(graph.nodes[index].cost.params for index in layers)
    others = len({graph.nodes[index].written for index in layers}) - 1
    if not others:
        return f"; its {params} parameters do nothing" if params else ""
    return f"; it and {others} layer{'s' * (others > 1)} before it, {params} parameters, do nothing"


def _advice(subject: Compiled, end: int) -> str:
    channels = subject.graph.nodes[end].output_shape.channels
    for place in subject.heads:
        if channels in place.head.map_channels(place.head.num_classes):
            return (
                f"its {channels} channels are what [{place.head.kind}] at line {place.line} reads: "
                "put the head that is missing after it, or remove the layer"
            )
    return "remove it, or let a later section read it"
