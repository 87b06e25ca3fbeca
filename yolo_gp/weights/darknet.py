"""Darknet's `.weights` format: a header, then float32 tensors in file order (darknet.md 4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason, replacing
from yolo_gp.graph import Graph
from yolo_gp.network import initialise_module
from yolo_gp.nodes import Node, module_name
from yolo_gp.weights.header import WeightsHeader, read_header
from yolo_gp.weights.layout import FLOAT_BYTES, PlacedBlock, file_layout


def load_weights(path: Path, graph: Graph, network: fx.GraphModule) -> WeightsHeader:
    """Fill a compiled network from a `.weights` file, which must hold exactly its floats.

    The file is mapped, not read: beside the network's own tensors no copy is made.

    Raises:
        WeightsError: the file is no weights file, or too short, or too long for this network.
    """
    layout = file_layout(graph)
    floats = layout[-1].end if layout else 0
    header = read_header(path, floats)
    values = _map_floats(path, header)
    _check_count(path, header, layout, len(values), floats)
    for node in graph.nodes:
        if _leaves_out(node):  # what the file does not hold starts as for training
            module = network.get_submodule(module_name(node))
            initialise_module(module, torch.Generator().manual_seed(node.index))
    for placed in layout:
        target = _tensor(network, placed)
        with torch.no_grad():
            target.copy_(
                _oriented(torch.from_numpy(values[placed.offset : placed.end]), placed, header)
            )
    return header


def _leaves_out(node: Node) -> bool:
    return node.layer.common.dont_load or node.layer.common.dont_load_scales


def save_weights(
    path: Path, graph: Graph, network: fx.GraphModule, header: WeightsHeader | None = None
) -> None:
    """Write a network's tensors as a `.weights` file; the file appears whole or not at all.

    The network must not have been folded: its batch norms are part of the file.

    Raises:
        WeightsError: the file cannot be written, or the network has been folded.
    """
    header = header or WeightsHeader()
    _check_unfolded(graph, network)
    try:
        with replacing(path) as file:
            file.write(header.to_bytes())
            for placed in file_layout(graph):
                tensor = _tensor(network, placed).detach().cpu().float()
                if _is_transposed(placed, header):
                    tensor = tensor.reshape(tensor.shape[0], -1).t()
                file.write(tensor.contiguous().numpy().astype("<f4", copy=False).tobytes())
    except OSError as error:
        raise WeightsError(f"cannot write weights {path}: {os_reason(error)}") from error


def _check_unfolded(graph: Graph, network: fx.GraphModule) -> None:
    held = set(network.state_dict(keep_vars=True))
    for placed in file_layout(graph):
        if f"{module_name(placed.node)}.{placed.block.tensor}" not in held:
            raise WeightsError(
                f"the network has no {placed}: its batch norms were folded for inference\n"
                "help: save before folding, or compile the cfg and load its weights again"
            )


def _map_floats(path: Path, header: WeightsHeader) -> NDArray[np.float32]:
    body = path.stat().st_size - header.size
    if body < FLOAT_BYTES:
        return np.empty(0, dtype=np.float32)
    count = body // FLOAT_BYTES
    # Copy on write: torch wants a writable buffer, the file itself stays untouched.
    return np.memmap(path, dtype="<f4", mode="c", offset=header.size, shape=(count,))


def _check_count(
    path: Path,
    header: WeightsHeader,
    layout: tuple[PlacedBlock, ...],
    found: int,
    expected: int,
) -> None:
    odd = (path.stat().st_size - header.size) % FLOAT_BYTES
    sizes = (
        f"expected: {expected} floats after the {header.size}-byte header "
        f"({header.size + expected * FLOAT_BYTES} bytes), found: {found} floats "
        f"({path.stat().st_size} bytes)"
    )
    if found < expected:
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


def _tensor(network: fx.GraphModule, placed: PlacedBlock) -> Tensor:
    name, _, attribute = f"{module_name(placed.node)}.{placed.block.tensor}".rpartition(".")
    tensor = getattr(network.get_submodule(name), attribute)
    assert isinstance(tensor, Tensor)
    return tensor


def _is_transposed(placed: PlacedBlock, header: WeightsHeader) -> bool:
    return placed.block.transposed or (placed.block.transposed_if_marked and header.transposed)


def _oriented(values: Tensor, placed: PlacedBlock, header: WeightsHeader) -> Tensor:
    shape = placed.block.shape
    if _is_transposed(placed, header):
        return values.reshape(-1, shape[0]).t().reshape(shape)
    return values.reshape(shape)
