"""A hash of what a network computes: equal for two cfgs whose weights can be exchanged."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.named_files import NamedFile
from yolo_gp.nodes import INPUT, Node
from yolo_gp.options import Reference

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_NOT_COMPUTING = (Span, CommonKeys, Reference, NamedFile)


def fingerprint(input_channels: int, nodes: Iterable[Node]) -> str:
    """SHA-256, in hexadecimal, over kinds, resolved sources, shape-bearing and decode keys.

    Neither the input's size nor training keys, names, comments, positions in the file, or layers
    that only pass their input on, make a difference.
    """
    digest = hashlib.sha256(f"input {input_channels}".encode())
    place = {INPUT: INPUT}  # of each layer, its number among those that compute something
    count = 0
    for node in nodes:
        if node.layer.is_identity():
            place[node.index] = place[node.inputs[0].source]
            continue
        place[node.index] = count
        count += 1
        sources = [place[edge.source] for edge in node.inputs]
        owner = None if node.weights_of is None else place[node.weights_of]
        digest.update(f"\n{node.layer.kind} {sources} {owner} {_settings(node.layer)}".encode())
    return digest.hexdigest()


def _settings(layer: Layer) -> list[str]:
    """The layer's fields that bear on what it computes, as `name=value`.

    A field with a default counts only where it differs from that: a kind may get new ones without
    a change to the hashes of all networks that it stands in.
    """
    assert dataclasses.is_dataclass(layer) and not isinstance(layer, type)
    unset = {f.name for f in dataclasses.fields(layer) if getattr(layer, f.name) == f.default}
    found = _fields(layer, layer.training_fields | unset)
    dialect = layer.common.dialect
    if dialect is not Dialect.DARKNET and layer.depends_on_dialect():
        found.append(f"dialect={dialect.value}")
    return found


def _fields(record: DataclassInstance, left_out: frozenset[str] = frozenset()) -> list[str]:
    found = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.name in left_out or _is_reference(value):
            continue
        if isinstance(value, Anchors):
            value = value.masked_wh
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = _fields(value)
        found.append(f"{field.name}={value!r}")
    return found


def _is_reference(value: object) -> bool:
    """References count as resolved sources; the others do not compute, or count as being there."""
    first = value[0] if isinstance(value, tuple) and value else value
    return isinstance(first, _NOT_COMPUTING)
