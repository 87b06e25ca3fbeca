"""Our own weights files: safetensors that hold the cfg, class names and Darknet's header too."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import fx

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason, publish, temporary_beside
from yolo_gp.graph import Graph
from yolo_gp.weights.checkpoint_info import (
    METADATA_KEY,
    CheckpointInfo,
    read_info,
    read_shapes,
    unreadable,
)
from yolo_gp.weights.layout import network_tensors
from yolo_gp.weights.stored import StoredTensor, by_our_name, match_tensors
from yolo_gp.weights.tensors import check_unfolded, stored_as, tensor_of


def load_checkpoint(path: Path, graph: Graph, network: fx.GraphModule) -> CheckpointInfo:
    """Fill a compiled network from a safetensors file of ours.

    A file whose `cutoff` is set fills the sections before it and leaves the others as they are.

    Raises:
        WeightsError: the file is not ours, or damaged, or its tensors are not the network's.
    """
    info = read_info(path)
    stored = []
    for tensor in read_shapes(path):
        ours = by_our_name(tensor.name, tensor.shape)
        stored.append(ours or StoredTensor(tensor.name, -1, tensor.name, tensor.shape))
    pairs = match_tensors(path, stored, network_tensors(graph, info.cutoff))
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            for own, found in pairs:
                tensor_of(network, own).copy_(file.get_tensor(found.key))
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error
    return info


def save_checkpoint(
    path: Path, graph: Graph, network: fx.GraphModule, info: CheckpointInfo, dtype: str = "float32"
) -> int:
    """Write a network's tensors, and what `info` says of them; the file appears whole or not.

    Args:
        info: normally from `describe`; its `cutoff` says how many sections are written.
        dtype: how the numbers are stored: float32, float16 or bfloat16.

    Returns:
        How many tensors were written.

    Raises:
        WeightsError: the file cannot be written, the network has been folded, or a number is too
            large for the dtype.
    """
    tensors = network_tensors(graph, info.cutoff)
    check_unfolded(network, tensors)
    contents = {own.name: stored_as(tensor_of(network, own), own.name, dtype) for own in tensors}
    metadata = {METADATA_KEY: json.dumps(info.to_entries(), sort_keys=True)}
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        usual = temporary.stat().st_mode
        save_file(contents, temporary, metadata)
        temporary.chmod(usual)  # the library lets only the owner read
        publish(temporary, path)
    except OSError as error:
        raise WeightsError(f"cannot write weights {path}: {os_reason(error)}") from error
    except SafetensorError as error:
        raise WeightsError(f"cannot write weights {path}: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # nothing to remove: it has been published
            temporary.unlink()
    return len(contents)
