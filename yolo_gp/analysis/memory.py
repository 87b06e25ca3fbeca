"""How much memory a forward pass needs, and how much it moves."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT, Node
from yolo_gp.weights.layout import FLOAT_BYTES, float_count


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of float32 for one image at inference, without what kernels use inside.

    Fields:
        weights: all numbers of the weights file.
        peak_activations: the largest sum of maps that live at the same time, the input included,
            each map freed after its last reader.
        peak_layer: the layer at which that peak is reached.
        access: bytes read and written by all layers together, the memory-access cost. A layer
            reads each of its input maps whole, reads its weights (batch norm folded in: one bias
            per filter), and writes its output. A layer whose output is part of its input's memory
            moves nothing, as a [route] to one layer. Weights that layers share are read by each.

    Source: ELAN paper 4.2. The cost is MAC of ShuffleNet V2, section 2 (there for a 1x1
    convolution, h w (c_1 + c_2) + c_1 c_2 numbers), which counts no biases.
    """

    weights: int
    peak_activations: int
    peak_layer: int
    access: int


def memory(graph: Graph) -> Memory:
    """Memory of one forward pass at batch 1."""
    peak, peak_layer = _peak(graph)
    accessed = sum(_accessed(node) for node in graph.nodes)
    weights = float_count(graph)
    return Memory(weights * FLOAT_BYTES, peak * FLOAT_BYTES, peak_layer, accessed * FLOAT_BYTES)


def _accessed(node: Node) -> int:
    """Numbers that one layer reads and writes for one image: its share of `Memory.access`."""
    if node.layer.passes_input():
        return 0
    filters = node.layer.filters(node.input_shapes)
    weights = filters.weights + filters.count if filters else node.cost.params
    inputs = sum(shape.elements for shape in node.input_shapes)
    return inputs + weights + node.output_shape.elements


def _peak(graph: Graph) -> tuple[int, int]:
    """The most numbers that live at the same time, and the layer at which they do."""
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
    return peak, peak_layer


def _owners(graph: Graph) -> dict[int, int]:
    """For each layer, and the input, the layer whose memory holds its output."""
    owner = {INPUT: INPUT}
    for node in graph.nodes:
        passes = node.layer.passes_input()
        owner[node.index] = owner[node.inputs[0].source] if passes else node.index
    return owner
