"""Which tensor of a file fills which of a network, by name or, failing that, by order.

Loads no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.errors import WeightsError
from yolo_gp.weights.layout import NetworkTensor, shape_text

ONLY_TENSOR = ""
"""In place of a tensor's name in its layer: the layer's only one, whatever its name."""

_OUR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*_([0-9]{1,9})\.(.+)")
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file.

    Fields:
        key: its name in the file.
        layer: the number of its layer there.
        tensor: its name in the layer's module of ours, or ONLY_TENSOR.
        shape: its shape in the file.
    """

    key: str
    layer: int
    tensor: str
    shape: tuple[int, ...]


Pair = tuple[NetworkTensor, StoredTensor]


def by_our_name(key: str, shape: Sequence[int], name: str | None = None) -> StoredTensor | None:
    """What a name such as convolutional_3.batch_norm.bias stands for; None if it is none of ours.

    Args:
        name: the name without prefixes, where it is not `key` itself.
    """
    match = _OUR_NAME.fullmatch(name or key)
    return StoredTensor(key, int(match[1]), match[2], tuple(shape)) if match else None


def match_tensors(
    path: Path, stored: Iterable[StoredTensor], wanted: Sequence[NetworkTensor]
) -> tuple[Pair, ...]:
    """Pair every tensor of the file with one of the network.

    Layers correspond by number or, as those of a macro and of its expansion do, by order.

    Raises:
        WeightsError: a tensor of either is left over, or has another shape.
    """
    found: dict[int, dict[str, StoredTensor]] = {}
    for tensor in stored:
        found.setdefault(tensor.layer, {})[tensor.tensor] = tensor
    layers: dict[int, dict[str, NetworkTensor]] = {}
    for own in wanted:
        layers.setdefault(own.node.index, {})[own.block.tensor] = own
    by_number = _compare(found, layers, {number: number for number in found})
    if by_number.fits:
        return tuple(by_number.pairs)
    order = dict(zip(sorted(found), sorted(layers), strict=False))
    by_order = _compare(found, layers, order)
    if by_order.fits:
        return tuple(by_order.pairs)
    raise WeightsError(min(by_number, by_order, key=lambda c: c.problems).text(path))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How two sets of tensors differ. `missing` are the network's, `left_over` the file's."""

    pairs: list[Pair]
    missing: list[NetworkTensor]
    left_over: list[StoredTensor]
    reshaped: list[Pair]

    @property
    def problems(self) -> int:
        return len(self.missing) + len(self.left_over) + len(self.reshaped)

    @property
    def fits(self) -> bool:
        return not self.problems

    def text(self, path: Path) -> str:
        parts = (
            (self.reshaped, "of another shape", _reshaped_text),
            (self.missing, "missing from the file", str),
            (self.left_over, "left over in the file", lambda tensor: tensor.key),
        )
        counts = [f"{len(items)} {what}" for items, what, _ in parts if items]
        lines = [f"  {what}: {_some(items, show)}" for items, what, show in parts if items]
        return (
            f"{path} does not fit this cfg; tensors {', '.join(counts)}\n" + "\n".join(lines) + "\n"
            f"expected: exactly the {len(self.pairs) + len(self.reshaped) + len(self.missing)} "
            "tensors of the network\n"
            "help: the file belongs to another cfg (classes, filters, a missing layer)"
        )


def _reshaped_text(pair: Pair) -> str:
    own, stored = pair
    return (
        f"{own} is {shape_text(own.block.shape)} here, {shape_text(stored.shape)} as {stored.key}"
    )


def _some(items: Sequence[object], show: Callable[..., str]) -> str:
    text = "; ".join(show(item) for item in items[:_MAX_SHOWN])
    return f"{text}; and {len(items) - _MAX_SHOWN} more" if len(items) > _MAX_SHOWN else text


def _compare(
    found: Mapping[int, Mapping[str, StoredTensor]],
    layers: Mapping[int, Mapping[str, NetworkTensor]],
    numbers: Mapping[int, int],
) -> _Comparison:
    """Compare layer by layer; `numbers` says which of the network each of the file's is."""
    result = _Comparison([], [], [], [])
    for number, tensors in sorted(found.items()):
        own, rest = layers.get(numbers.get(number, -1), {}), dict(tensors)
        if len(own) == 1 and ONLY_TENSOR in rest:
            rest = {next(iter(own)): rest.pop(ONLY_TENSOR), **rest}
        for name, wanted in own.items():
            stored = rest.pop(name, None)
            if stored is None:
                result.missing.append(wanted)
            elif _same_shape(wanted, stored):
                result.pairs.append((wanted, stored))
            else:
                result.reshaped.append((wanted, stored))
        result.left_over.extend(rest.values())
    reached = {numbers[number] for number in found if number in numbers}
    for number, own_tensors in layers.items():
        if number not in reached:
            result.missing.extend(own_tensors.values())
    return result


def _same_shape(own: NetworkTensor, stored: StoredTensor) -> bool:
    if stored.tensor == ONLY_TENSOR:
        return math.prod(stored.shape) == own.block.count
    return stored.shape == own.block.shape
