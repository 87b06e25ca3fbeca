"""What sets two layers apart whose inputs agree and whose outputs do not."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import Reference
from yolo_gp.tasks.compare_sides import Place, Side
from yolo_gp.tasks.differences import difference

_PLAIN = (bool, int, float, str)  # what a setting must be to be shown
_NOT_COMPUTING = (Span, CommonKeys, Reference)


def hint(a: Side, b: Side, pair: tuple[Place, Place]) -> str:
    """A line on the first values that depart, whose layer's inputs agree."""
    if a.graph is None or b.graph is None:
        return "a file does not say what its layers are, so look into it with other tools"
    x, y = pair
    inputs = "its maps agree" if x.part else "its inputs agree"
    found = _settings(a.graph.nodes[x.layer].layer, b.graph.nodes[y.layer].layer)
    ours, theirs = _weights(a, b, pair)
    found += _apart(ours, theirs)
    if found:
        return f"{inputs}, but {'; '.join(found)}"
    if ours.keys() != theirs.keys():
        return f"{inputs}, and so do its settings; not all its weights can be compared"
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
        if field.name in left_out:
            continue
        if isinstance(value, Anchors):
            found[field.name] = str(value.masked_wh)
        elif isinstance(value, _PLAIN):
            found[field.name] = str(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, _NOT_COMPUTING):
            found |= _shown(value)
    return found


def _weights(
    a: Side, b: Side, pair: tuple[Place, Place]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of the layer on both sides; folded, unless both have them as trained."""
    for folded in (False, True):
        ours = a.weights(pair[0].layer, folded=folded)
        theirs = b.weights(pair[1].layer, folded=folded)
        if ours.keys() == theirs.keys():
            break
    return ours, theirs


def _apart(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> list[str]:
    """The tensor that differs most, of those that both have; nothing if all agree."""
    apart = {}
    for name in ours.keys() & theirs.keys():
        if ours[name].shape != theirs[name].shape:
            return [f"its {name} has another shape"]
        apart[name] = difference(ours[name].reshape(1, -1), theirs[name].reshape(1, -1))
    worst = max(sorted(apart), key=lambda name: apart[name].relative, default=None)
    if worst is None or apart[worst].relative == 0:
        return []
    return [f"its {worst} differs by up to {apart[worst].largest:.1e}"]
