"""What sets two layers apart whose inputs agree and whose outputs do not."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors
from yolo_gp.layers.base import CommonKeys, Layer
from yolo_gp.options import Reference
from yolo_gp.tasks.compare_sides import Place, Side
from yolo_gp.tasks.differences import Difference, difference

_PLAIN = (bool, int, float, str)  # what a setting must be to be shown
_NOT_COMPUTING = (Span, CommonKeys, Reference)


def hint(a: Side, b: Side, pair: tuple[Place, Place]) -> str:
    """A line on the first values that depart, whose layer's inputs agree."""
    if a.graph is None or b.graph is None:
        return "a file does not say what its layers are, so look into it with other tools"
    x, y = pair
    found = _settings(a.graph.nodes[x.layer].layer, b.graph.nodes[y.layer].layer)
    found += _weights(a, b, pair)
    inputs = "its maps agree" if x.part else "its inputs agree"
    if found:
        return f"{inputs}, but {'; '.join(found)}"
    return f"{inputs}, and so do its settings and weights: it is computed in another way"


def _settings(a: Layer, b: Layer) -> list[str]:
    """Numbers and words of the two sections that differ."""
    ours, theirs = _shown(a, a.training_fields), _shown(b, b.training_fields)
    return [
        f"{name} is {ours[name]} in a, {theirs[name]} in b"
        for name in ours
        if ours[name] != theirs.get(name)
    ]


def _shown(record: object, left_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """The plain fields of a layer, and of the records in it."""
    assert dataclasses.is_dataclass(record) and not isinstance(record, type)
    found = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Anchors):
            found[field.name] = str(value.masked_wh)
        elif isinstance(value, _PLAIN) and field.name not in left_out:
            found[field.name] = str(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, _NOT_COMPUTING):
            found |= _shown(value)
    return found


def _weights(a: Side, b: Side, pair: tuple[Place, Place]) -> list[str]:
    """The tensor of the layer that differs most; nothing if all agree, or cannot be told."""
    for folded in (False, True):
        ours, theirs = (
            side.weights(place.layer, folded=folded)
            for side, place in zip((a, b), pair, strict=True)
        )
        if _shapes(ours) == _shapes(theirs):
            break
    else:
        return []
    apart = {name: _apart(ours[name], theirs[name]) for name in ours}
    worst = max(apart, key=lambda name: apart[name].relative, default=None)
    if worst is None or apart[worst].relative == 0:
        return []
    return [f"its {worst} differs by up to {apart[worst].largest:.1e}"]


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _apart(a: Tensor, b: Tensor) -> Difference:
    return difference(a.reshape(1, -1), b.reshape(1, -1))
