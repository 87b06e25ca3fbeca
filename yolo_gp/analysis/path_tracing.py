"""An actual gradient path: from a layer's output to a loss, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yolo_gp.analysis.gradient_paths import GradientPaths, losses
from yolo_gp.graph import Graph
from yolo_gp.layers.channel_flow import Mixes, Passes
from yolo_gp.nodes import Node


@dataclass(frozen=True, slots=True)
class Step:
    """A layer whose output lies on a path.

    Fields:
        channel: of that output.
        timestamp: at which the gradient of this path reaches it.
    """

    node: Node
    channel: int
    timestamp: int


def trace(graph: Graph, paths: GradientPaths, index: int, timestamp: int) -> tuple[Step, ...]:
    """One path of that length from the output of layer `index` forward to a loss.

    Where several exist, the one through the lowest channel and the earliest readers.

    Args:
        index: the number of a node.
        timestamp: one of that layer's timestamps.
    """
    return _Tracer(graph, paths).trace(index, timestamp)


class _Tracer:
    def __init__(self, graph: Graph, paths: GradientPaths) -> None:
        self._graph = graph
        self._paths = paths
        self._lossy = {emission.source for emission in losses(graph)}

    def trace(self, index: int, timestamp: int) -> tuple[Step, ...]:
        channel = self._first_channel(index, timestamp)
        assert channel is not None, f"layer {index} has no timestamp {timestamp}"
        step = Step(self._graph.nodes[index], channel, timestamp)
        steps = [step]
        while not (step.timestamp == 1 and step.node.index in self._lossy):
            step = next(self._onward(step))
            steps.append(step)
        return tuple(steps)

    def _onward(self, step: Step) -> Iterator[Step]:
        """Where the path can go on, with the timestamps that remain."""
        for user in self._graph.users[step.node.index]:
            node = self._graph.nodes[user]
            for way in node.layer.channel_flow(node.input_shapes, node.output_shape):
                edge = node.inputs[way.input]
                if edge.source != step.node.index or edge.detached:
                    continue
                learned = isinstance(way, Mixes) and way.learned
                timestamp = step.timestamp - learned
                channel = self._reached(node, way, step.channel, timestamp)
                if channel is not None:
                    yield Step(node, channel, timestamp)

    def _reached(self, node: Node, way: Passes | Mixes, channel: int, timestamp: int) -> int | None:
        """The lowest output channel that `channel` reaches and that has that timestamp."""
        if isinstance(way, Passes):
            place = channel - way.start
            first, end = (place, place + 1) if 0 <= place < way.count else (0, 0)
            first, end = first + way.target, end + way.target
        else:
            group = channel // (node.input_shapes[way.input].channels // way.groups)
            size = (way.outputs or node.output_shape.channels) // way.groups
            first, end = way.target + group * size, way.target + (group + 1) * size
        return self._first_channel(node.index, timestamp, first, end)

    def _first_channel(
        self, index: int, timestamp: int, first: int = 0, end: int | None = None
    ) -> int | None:
        """The lowest channel of a layer's output, from `first` to `end`, with that timestamp."""
        for run in self._paths.layers[index].channels:
            low = max(first, run.first)
            if (
                low < (run.end if end is None else min(run.end, end))
                and timestamp in run.timestamps
            ):
                return low
        return None
