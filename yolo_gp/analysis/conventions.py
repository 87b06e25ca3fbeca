"""How large a network is, in every convention that published figures use. Exact integers.

"Parameters" and "FLOPs" mean several things in the papers and READMEs of this field, and most
disagreements between a table and a program come from that. Source: zoo.md A.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_gp.graph import Graph
from yolo_gp.weights.layout import float_count


@dataclass(frozen=True, slots=True)
class Convention:
    """One way to count.

    Fields:
        symbol: what it is called here, such as "P_w".
        meaning: what is counted.
        used_by: whose figures are counted so.
    """

    symbol: str
    meaning: str
    used_by: str

    @property
    def key(self) -> str:
        """The symbol as fields and JSON keys spell it, such as "p_w"."""
        return self.symbol.lower()


PARAMETER_CONVENTIONS = (
    Convention(
        "P_w",
        "weights of convolutions and connected layers",
        "ELAN paper, table 2; CSPNet's README",
    ),
    Convention(
        "P_fused",
        "P_w, and a bias per filter: batch norm folded in",
        "ELAN paper, table 8; READMEs of YOLOv7's u6 and of YOLOv5",
    ),
    Convention(
        "P_train",
        "P_w, scale and shift of batch norms, other filters' bias",
        "torch; YOLOv7's README; the cards of our zoo",
    ),
    Convention(
        "P_file",
        "floats of the .weights file: mean and variance too",
        "PRN paper; whoever divides a file's size by 4",
    ),
)
OPERATION_CONVENTIONS = (
    Convention(
        "F0",
        "2 per multiply-add of those layers",
        "ELAN paper, tables 3 to 8; READMEs of YOLOv7's u6 and of YOLOv5",
    ),
    Convention(
        "D1",
        "F0, and 1 per value that a pool compares or averages",
        "Darknet in 2019: PRN paper's small models, CSPNet's README",
    ),
    Convention(
        "D2",
        "D1, and 1 per value that a shortcut adds",
        "AlexeyAB's Darknet today, as BFLOPs",
    ),
    Convention(
        "T2",
        "F0, and 4 per number that a batch norm gives",
        "thop before folding; README of the ELAN-tiny family",
    ),
)
CONVENTIONS: Mapping[str, Convention] = {
    convention.symbol: convention for convention in PARAMETER_CONVENTIONS + OPERATION_CONVENTIONS
}


@dataclass(frozen=True, slots=True)
class Counts:
    """One network in every convention: parameters as numbers, operations for one image.

    D1 and D2 follow Darknet where it departs from F0: connected layers count nothing, an xnor
    convolution a 32nd.
    """

    p_w: int
    p_fused: int
    p_train: int
    p_file: int
    f0: int
    d1: int
    d2: int
    t2: int

    def of(self, symbol: str) -> int:
        """The count of that convention, such as "P_w"."""
        value: int = getattr(self, CONVENTIONS[symbol].key)
        return value


def counts(graph: Graph) -> Counts:
    """Count a network in every convention; parameters that layers share count once."""
    found = [(node, node.layer.filters(node.input_shapes)) for node in graph.nodes]
    own = [filters for node, filters in found if filters and node.weights_of is None]
    weights = sum(filters.weights for filters in own)
    normalized = sum(
        filters.count * node.output_shape.height * node.output_shape.width
        for node, filters in found
        if filters and filters.batch_norm
    )
    added = sum(node.cost.darknet_operations for node in graph.nodes if node.layer.adds_maps())
    total = graph.total
    return Counts(
        p_w=weights,
        p_fused=weights + sum(filters.count for filters in own),
        p_train=total.params,
        p_file=float_count(graph),
        f0=total.flops,
        d1=total.darknet_operations - added,
        d2=total.darknet_operations,
        t2=total.flops + 4 * normalized,
    )
