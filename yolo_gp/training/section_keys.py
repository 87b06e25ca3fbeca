"""Which layers learn when, by the keys that sections may have (darknet.md 6.8).

Darknet's GPU build honours all these keys, its CPU build few; here they act everywhere, on groups
of whole layers. A layer that does not learn does not decay either, as its author evidently meant.
"""

from __future__ import annotations

import math

from torch import fx, nn

from yolo_gp.graph import Graph
from yolo_gp.nodes import INPUT, module_name

FOREVER = math.inf

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def held_until(graph: Graph, burn_in: int, *, at_most: float = FOREVER) -> tuple[float, ...]:
    """For each layer, the last iteration in which it does not learn; 0 if it always does.

    Args:
        burn_in: iterations before the rate is the full one.
        at_most: no layer is held back longer, except those that never learn.
    """
    held = [0.0] * len(graph.nodes)

    def hold(first: int, last: int, until: float) -> None:
        for index in range(first, last + 1):
            held[index] = max(held[index], until)

    for node in graph.nodes:
        keys = node.layer.common.training
        own = max(keys.dont_update, keys.burn_in_update * burn_in - 1)
        hold(node.index, node.index, min(own, at_most))
        if keys.stop_backward == 1 or keys.train_only_bn:
            hold(0, node.index, FOREVER)
        else:
            hold(0, node.index, min(keys.stop_backward - 1, at_most))
    for index in _without_gradient(graph):
        held[index] = FOREVER
    return tuple(held)


def _without_gradient(graph: Graph) -> set[int]:
    """The layers that no gradient reaches because a section has onlyforward=1."""
    closed = {n.index for n in graph.nodes if n.layer.common.training.only_forward}
    return _reached(graph, set()) - _reached(graph, closed) if closed else set()


def _reached(graph: Graph, closed: set[int]) -> set[int]:
    """The layers that a gradient reaches if it does not enter the closed ones."""
    reached = {edge.source for edge in graph.output_edges} - closed
    for node in reversed(graph.nodes):
        if node.index in reached:
            reached |= {edge.source for edge in node.inputs if not edge.detached} - closed
    return reached - {INPUT}


def set_training_mode(graph: Graph, network: fx.GraphModule) -> None:
    """Training mode for all but what stands before a section with stopbackward=1.

    Batch norms there go by their rolling statistics, as in Darknet's GPU build.
    """
    network.train()
    stops = [n.index for n in graph.nodes if n.layer.common.training.stop_backward == 1]
    for node in graph.nodes[: max(stops, default=0)]:
        for module in network.get_submodule(module_name(node)).modules():
            if isinstance(module, _BATCH_NORMS):
                module.eval()
