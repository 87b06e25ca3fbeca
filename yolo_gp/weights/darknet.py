"""Darknet's `.weights` format: a header, then float32 tensors in file order (darknet.md 4)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason, replacing
from yolo_gp.graph import Graph
from yolo_gp.network import initialise_module
from yolo_gp.nodes import module_name
from yolo_gp.weights.header import WeightsHeader, read_header
from yolo_gp.weights.layout import (
    FLOAT_BYTES,
    NetworkTensor,
    PlacedBlock,
    WeightsDialect,
    file_layout,
    prefix_cutoff,
    tensors_left_out,
)
from yolo_gp.weights.tensors import check_unfolded, tensor_of


def load_weights(
    path: Path, graph: Graph, network: fx.GraphModule, dialect: WeightsDialect = "alexeyab"
) -> WeightsHeader:
    """Fill a compiled network from a `.weights` file, which must hold exactly its floats.

    The file is mapped, not read: beside the network's own tensors no copy is made.

    Args:
        dialect: whose Darknet wrote the file.

    Raises:
        WeightsError: the file is no weights file, or too short, or too long for this network.
    """
    layout = file_layout(graph, dialect=dialect)
    header = read_header(path, _float_count(layout), dialect)
    values = _map_floats(path, header)
    _check_count(path, header, layout, len(values))
    _initialise_left_out(network, tensors_left_out(graph, dialect=dialect))
    _fill(network, layout, header, values)
    return header


def load_prefix(
    path: Path, graph: Graph, network: fx.GraphModule, dialect: WeightsDialect = "alexeyab"
) -> tuple[WeightsHeader, int | None]:
    """`load_weights` for a file that may end after any section, such as AlexeyAB's `.conv.29`.

    Returns:
        The header, and the number of the first section whose tensors are not in the file; they
        and those behind stay as they are. None if the file is whole.

    Raises:
        WeightsError: the file is no weights file, ends within a section, or is too long.
    """
    layout = file_layout(graph, dialect=dialect)
    header = read_header(path, _float_count(layout), dialect)
    values = _map_floats(path, header)
    cutoff = None if _odd_bytes(path, header) else prefix_cutoff(layout, len(values))
    if cutoff is not None:
        layout = file_layout(graph, cutoff, dialect)
    _check_count(path, header, layout, len(values))
    _initialise_left_out(network, tensors_left_out(graph, cutoff, dialect))
    _fill(network, layout, header, values)
    return header, cutoff


def _float_count(layout: tuple[PlacedBlock, ...]) -> int:
    return layout[-1].end if layout else 0


def _initialise_left_out(network: fx.GraphModule, tensors: Iterable[NetworkTensor]) -> None:
    """Start the layers of these tensors as for training."""
    for node in {tensor.node.index: tensor.node for tensor in tensors}.values():
        module = network.get_submodule(module_name(node))
        initialise_module(module, torch.Generator().manual_seed(node.index))


def _fill(
    network: fx.GraphModule,
    layout: tuple[PlacedBlock, ...],
    header: WeightsHeader,
    values: NDArray[np.float32],
) -> None:
    for placed in layout:
        stored = torch.from_numpy(values[placed.offset : placed.end])
        with torch.no_grad():
            tensor_of(network, placed.tensor).copy_(_oriented(stored, placed, header))


def save_weights(
    path: Path,
    graph: Graph,
    network: fx.GraphModule,
    header: WeightsHeader | None = None,
    cutoff: int | None = None,
    dialect: WeightsDialect = "alexeyab",
) -> int:
    """Write a network's tensors as a `.weights` file; the file appears whole or not at all.

    The network must not have been folded: its batch norms are part of the file.

    Args:
        header: by default the one that the dialect's Darknet writes.
        cutoff: write a prefix: the sections before the one of that number.
        dialect: whose Darknet is to read the file.

    Returns:
        How many tensors were written.

    Raises:
        WeightsError: the file cannot be written, the network has been folded, or the dialect has no
            place for a tensor that is not zero.
    """
    header = header or WeightsHeader.written_by(dialect)
    layout = file_layout(graph, cutoff, dialect)
    check_unfolded(network, (placed.tensor for placed in layout))
    if dialect != "alexeyab":
        _check_expressible(graph, network, cutoff, dialect)
    try:
        with replacing(path) as file:
            file.write(header.to_bytes())
            for placed in layout:
                tensor = tensor_of(network, placed.tensor).detach().cpu().float()
                if _is_transposed(placed, header):
                    tensor = tensor.reshape(tensor.shape[0], -1).t()
                file.write(tensor.contiguous().numpy().astype("<f4", copy=False).tobytes())
    except OSError as error:
        raise WeightsError(f"cannot write weights {path}: {os_reason(error)}") from error
    return len(layout)


def _check_expressible(
    graph: Graph, network: fx.GraphModule, cutoff: int | None, dialect: WeightsDialect
) -> None:
    """
    Raises:
        WeightsError: a file of the dialect would lose a tensor that AlexeyAB's holds.
    """
    usual = {tensor.name for tensor in tensors_left_out(graph, cutoff)}
    for tensor in tensors_left_out(graph, cutoff, dialect):
        if tensor.name not in usual and tensor_of(network, tensor).any():
            raise WeightsError(
                f"a {dialect} .weights file has no place for {tensor}, which is not zero here\n"
                "help: write the file for AlexeyAB's Darknet, or write .safetensors"
            )


def _map_floats(path: Path, header: WeightsHeader) -> NDArray[np.float32]:
    body = path.stat().st_size - header.size
    if body < FLOAT_BYTES:
        return np.empty(0, dtype=np.float32)
    count = body // FLOAT_BYTES
    # Copy on write: torch wants a writable buffer, the file itself stays untouched.
    return np.memmap(path, dtype="<f4", mode="c", offset=header.size, shape=(count,))


def _odd_bytes(path: Path, header: WeightsHeader) -> int:
    return (path.stat().st_size - header.size) % FLOAT_BYTES


def _check_count(
    path: Path, header: WeightsHeader, layout: tuple[PlacedBlock, ...], found: int
) -> None:
    odd, expected = _odd_bytes(path, header), _float_count(layout)
    sizes = (
        f"expected: {expected} floats after the {header.size}-byte header "
        f"({header.size + expected * FLOAT_BYTES} bytes), found: {found} floats "
        f"({path.stat().st_size} bytes)"
    )
    if found < expected:
        cutoff = None if odd else prefix_cutoff(layout, found)
        if cutoff is not None:
            raise WeightsError(
                f"{path} is too short for this cfg: it ends exactly after layer {cutoff - 1}, as a "
                f"prefix such as AlexeyAB's .conv.{cutoff} does\n{sizes}\n"
                "help: a prefix starts a training, it does not run; or the file was cut off, or "
                "belongs to another cfg"
            )
        placed = next(block for block in layout if block.end > found)
        missing = placed.end - max(found, placed.offset)
        raise WeightsError(
            f"{path} is too short for this cfg: it ends in {placed}, which starts at byte "
            f"{header.size + placed.offset * FLOAT_BYTES} and has {placed.block.count} floats, "
            f"{missing} of them missing\n{sizes}\n"
            "help: the file was cut off, or belongs to another cfg (classes, filters)"
        )
    if found > expected or odd:
        last = f"after {layout[-1]}" if layout else "though the network has no weights"
        raise WeightsError(
            f"{path} is too long for this cfg: {_surplus(found - expected, odd)} left {last}\n"
            f"{sizes}\n"
            "help: the file belongs to another cfg (classes, filters, a missing layer)"
        )


def _surplus(floats: int, odd_bytes: int) -> str:
    parts = [f"{floats} floats"] if floats else []
    parts += [f"{odd_bytes} byte{'s' if odd_bytes > 1 else ''}"] if odd_bytes else []
    verb = "is" if not floats and odd_bytes == 1 else "are"
    return f"{' and '.join(parts)} {verb}"


def _is_transposed(placed: PlacedBlock, header: WeightsHeader) -> bool:
    return placed.block.transposed or (placed.block.transposed_if_marked and header.transposed)


def _oriented(values: Tensor, placed: PlacedBlock, header: WeightsHeader) -> Tensor:
    shape = placed.block.shape
    if _is_transposed(placed, header):
        return values.reshape(-1, shape[0]).t().reshape(shape)
    return values.reshape(shape)
