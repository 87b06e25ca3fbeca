"""Why one layer's weights do not do for another, in words. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_gp.graph import Graph
from yolo_gp.layers.base import is_head
from yolo_gp.nodes import Node
from yolo_gp.weights.layout import shape_text
from yolo_gp.weights.matching import Owner


def difference(source: Graph, target: Graph, ours: Owner, theirs: Owner) -> str | None:
    """What differs between two layers; "here" is the target, "there" the source.

    None for layers that agree in all that counts (`Signature`).
    """
    own, other = theirs.signature, ours.signature
    if own.kind != other.kind:
        return f"[{own.kind}] here, [{other.kind}] there"
    if own == other:
        return None
    text = ", and ".join(_parts(ours, theirs)) or _other_shapes(ours, theirs)
    here, there = _classes(target, theirs.node), _classes(source, ours.node)
    if here and there and here != there:
        text += f": {_counted(here, 'class', 'classes')} against {there}"
    return text


def _parts(ours: Owner, theirs: Owner) -> Iterator[str]:
    own, other = theirs.signature, ours.signature
    here, there = (o.node.layer.filters(o.node.input_shapes) for o in (theirs, ours))
    if here and there:
        if here.count != there.count:
            yield f"{_counted(here.count, 'filter', 'filters')} here, {there.count} there"
        if here.batch_norm != there.batch_norm:
            yield f"{_batch_norm(here.batch_norm)} here, {_batch_norm(there.batch_norm)} there"
    if own.channels != other.channels:
        yield f"it reads {_listed(own.channels)} channels here, {_listed(other.channels)} there"
    if own.reduction != other.reduction:
        strides = (f"{y}x{x}" for y, x in (own.reduction, other.reduction))
        yield "it divides the map by {} here, by {} there".format(*strides)


def _other_shapes(ours: Owner, theirs: Owner) -> str:
    for (name, here), (other, there) in zip(theirs.shapes, ours.shapes, strict=False):
        if (name, here) != (other, there):
            return f"{name} is {shape_text(here)} here, {other} is {shape_text(there)} there"
    return f"{len(theirs.shapes)} tensors here, {len(ours.shapes)} there"


def _classes(graph: Graph, node: Node) -> int | None:
    """How many classes the head knows that reads this layer."""
    users = (graph.nodes[user].layer for user in graph.users[node.index])
    return next((layer.num_classes for layer in users if is_head(layer)), None)


def _batch_norm(has: bool) -> str:
    return "batch norm" if has else "no batch norm"


def _listed(channels: tuple[int, ...]) -> str:
    return " and ".join(map(str, channels))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
