"""How much memory a forward pass needs."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.graph import INPUT, Graph
from yolo_gp.weights.layout import FLOAT_BYTES, float_count


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of float32 for one image at inference, without what kernels use inside.

    Fields:
        weights: all numbers of the weights file.
        peak_activations: the largest sum of maps that live at the same time, the input included,
            each map freed after its last reader.
        peak_layer: the layer at which that peak is reached.
    """

    weights: int
    peak_activations: int
    peak_layer: int


def memory(graph: Graph) -> Memory:
    """Memory of one forward pass at batch 1."""
    owner = _owners(graph)
    last_reader = {owner[e.source]: node.index for node in graph.nodes for e in node.inputs}
    last_reader.update({owner[edge.source]: len(graph.nodes) for edge in graph.output_edges})
    live = graph.input_shape.elements
    peak, peak_layer = live, 0
    for node in graph.nodes:
        if owner[node.index] == node.index:
            live += node.output_shape.elements
        if live > peak:
            peak, peak_layer = live, node.index
        for source in {owner[edge.source] for edge in node.inputs} | {owner[node.index]}:
            if last_reader.get(source, node.index) == node.index:
                live -= graph.shape_of(source).elements
    return Memory(float_count(graph) * FLOAT_BYTES, peak * FLOAT_BYTES, peak_layer)


def _owners(graph: Graph) -> dict[int, int]:
    """For each layer, and the input, the layer whose memory holds its output."""
    owner = {INPUT: INPUT}
    for node in graph.nodes:
        passes = node.layer.passes_input()
        owner[node.index] = owner[node.inputs[0].source] if passes else node.index
    return owner
