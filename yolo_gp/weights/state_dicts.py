"""State dicts in torch files: ours, and those of Darknet's heirs in torch.

WongKinYiu/yolor, PyTorch_YOLOv4 and ultralytics/yolov3 of its cfg era name a tensor
`module_list.I.Conv2d.weight`, with I the number of its section after [net].
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason, replacing
from yolo_gp.graph import Graph
from yolo_gp.layers.modules import WeightedShortcut
from yolo_gp.nodes import module_name
from yolo_gp.weights.checkpoint_info import CheckpointInfo, info_of_entries
from yolo_gp.weights.header import read_start
from yolo_gp.weights.layout import NetworkTensor, network_tensors, nodes_before
from yolo_gp.weights.stored import ONLY_TENSOR, StoredTensor, by_our_name, match_tensors
from yolo_gp.weights.tensors import check_unfolded, stored_as, tensor_of

_THEIR_NAME = re.compile(r"module_list\.([0-9]{1,9})\.(.+)")
_THEIR_TENSORS = {
    "Conv2d.weight": "convolution.weight",
    "Conv2d.bias": "convolution.bias",
    "BatchNorm2d.weight": "batch_norm.weight",
    "BatchNorm2d.bias": "batch_norm.bias",
    "BatchNorm2d.running_mean": "batch_norm.running_mean",
    "BatchNorm2d.running_var": "batch_norm.running_var",
    # of a section [BatchNorm2d]
    "weight": "batch_norm.weight",
    "bias": "batch_norm.bias",
    "running_mean": "batch_norm.running_mean",
    "running_var": "batch_norm.running_var",
    "implicit": ONLY_TENSOR,
    "w": ONLY_TENSOR,
}
_ENTRIES = ("ema", "model", "state_dict")
_ZIP = b"PK"
_ASKS_FOR = re.compile(r"(?:GLOBAL|[Uu]nsupported class) ([\w.]+)")


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What a torch file holds.

    Fields:
        path: where it lies.
        tensors: the state dict; the numbers stay in the file until they are read.
        info: what the file says about itself, if it is ours and does.
        foreign: its names are those of the repositories above.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    info: CheckpointInfo | None
    foreign: bool


def open_torch_file(path: Path) -> TorchFile:
    """Open a `.pt` or `.pth` file without running anything that it may contain.

    Raises:
        WeightsError: it cannot be read, or holds more than tensors and plain values, or no state
            dict of a kind known here.
    """
    content = _unpickle(path)
    tensors = _state_dict(content)
    info = None
    if isinstance(content, dict) and {"schema_version", "fingerprint"} <= content.keys():
        info = info_of_entries(path, {k: v for k, v in content.items() if isinstance(k, str)})
    stored = [_stored(key, tensor) for key, tensor in tensors.items()]
    if not any(each.layer >= 0 for each in stored):
        raise WeightsError(_strange_text(path, tensors))
    foreign = any(_THEIR_NAME.fullmatch(_bare(key)) for key in tensors)
    return TorchFile(path, tensors, info, foreign)


def load_state_dict(file: TorchFile, graph: Graph, network: fx.GraphModule) -> None:
    """Fill a compiled network from a torch file.

    A file of ours whose `cutoff` is set fills the sections before it only.

    Raises:
        WeightsError: its tensors are not the network's.
    """
    shared = {node.index for node in graph.nodes if node.weights_of is not None}
    stored = [_stored(key, tensor) for key, tensor in file.tensors.items()]
    if not file.foreign:  # ours hold shared tensors under each of their names
        stored = [each for each in stored if each.layer not in shared]
    wanted = network_tensors(graph, file.info.cutoff if file.info else None)
    with torch.no_grad():
        for own, found in match_tensors(file.path, stored, wanted):
            value = file.tensors[found.key]
            if found.tensor == ONLY_TENSOR and found.key.endswith(".w"):
                value = _factors(file.path, own, network, value)
            tensor_of(network, own).copy_(value.reshape(own.block.shape))


def save_state_dict(
    path: Path, graph: Graph, network: fx.GraphModule, info: CheckpointInfo, dtype: str = "float32"
) -> int:
    """Write a torch file whose `model` entry is the network's state dict, beside `info`'s fields.

    Args:
        info: normally from `describe`; its `cutoff` says how many sections are written.
        dtype: how the numbers are stored: float32, float16 or bfloat16.

    Returns:
        How many tensors were written; those that layers share count once.

    Raises:
        WeightsError: the file cannot be written, the network has been folded, or a number is too
            large for the dtype.
    """
    tensors = network_tensors(graph, info.cutoff)
    check_unfolded(network, tensors)
    kept = {module_name(node) for node in nodes_before(graph, info.cutoff)}
    state = {
        name: stored_as(value, name, dtype)
        for name, value in network.state_dict().items()
        if name.partition(".")[0] in kept and value.is_floating_point()
    }
    try:
        with replacing(path) as file:
            torch.save({**info.to_entries(), "model": state}, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        reason = os_reason(error) if isinstance(error, OSError) else str(error).splitlines()[0]
        raise WeightsError(f"cannot write weights {path}: {reason}") from error
    return len(tensors)


# -- reading --------------------------------------------------------------------------------------


def _unpickle(path: Path) -> object:
    start, _ = read_start(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_values()):
            warnings.simplefilter("ignore")  # about pickle protocols
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=start.startswith(_ZIP)
            )
    except pickle.UnpicklingError as error:
        raise WeightsError(_refusal_text(path, str(error))) from error
    except Exception as error:  # a damaged pickle can fail in any way
        if "TorchScript" in str(error):
            raise WeightsError(_refusal_text(path, "GLOBAL TorchScript")) from error
        raise WeightsError(
            f"{path} cannot be read as a torch file: it was cut off or damaged\n"
            "help: fetch or write it again"
        ) from error


def _numpy_values() -> list[Any]:
    """What a pickled numpy array or number asks for: the score of the best epoch often is one."""
    array, number = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    named = [
        (function, f"numpy.{core}.multiarray.{name}")
        for function, name in ((array, "_reconstruct"), (number, "scalar"))
        for core in ("core", "_core")  # before and since numpy 2
    ]
    return [*named, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}]


def _refusal_text(path: Path, reason: str) -> str:
    asked = _ASKS_FOR.search(reason)
    what = f"it asks for {asked[1]}, which is code" if asked else "or it is damaged"
    return (
        f"{path} holds more than tensors and plain values: {what}; nothing of it was run\n"
        "expected: a state dict, saved by torch.save\n"
        "help: load it in the program that wrote it, if you trust it, and save its tensors alone: "
        'torch.save({"model": model.state_dict()}, "weights.pt")'
    )


def _state_dict(content: object) -> dict[str, Tensor]:
    """The tensors of the first entry that holds any, or those of the file itself."""
    if not isinstance(content, Mapping):
        return {}
    for candidate in (*(content.get(entry) for entry in _ENTRIES), content):
        if isinstance(candidate, Mapping):
            tensors = {
                key: value
                for key, value in candidate.items()
                if isinstance(key, str) and _is_dense(value)
            }
            if tensors:
                return tensors
    return {}


def _is_dense(value: object) -> bool:
    """Whether it is a tensor of numbers; counts of batches are integers and do not matter."""
    return isinstance(value, Tensor) and value.layout is torch.strided and value.is_floating_point()


def _bare(key: str) -> str:
    """The name without what torch's DataParallel puts before it."""
    while key.startswith("module."):
        key = key.removeprefix("module.")
    return key


def _stored(key: str, tensor: Tensor) -> StoredTensor:
    name, shape = _bare(key), tuple(tensor.shape)
    theirs = _THEIR_NAME.fullmatch(name)
    if theirs:
        own = _THEIR_TENSORS.get(theirs[2], theirs[2])
        return StoredTensor(key, int(theirs[1]), own, shape)
    return by_our_name(key, shape, name) or StoredTensor(key, -1, name, shape)


def _strange_text(path: Path, tensors: Mapping[str, Tensor]) -> str:
    found = f"its first tensor is {next(iter(tensors))}" if tensors else "it holds no tensors"
    return (
        f"{path} is no state dict of a network that a cfg describes: {found}\n"
        "expected: names such as convolutional_0.convolution.weight, as yolo-gp writes them, or "
        "module_list.0.Conv2d.weight, as YOLOR, PyTorch_YOLOv4 and ultralytics/yolov3 did"
    )


def _factors(path: Path, own: NetworkTensor, network: fx.GraphModule, w: Tensor) -> Tensor:
    """What their weighted shortcut multiplies with: 2 / n times the sigmoid of w, n addends."""
    module = network.get_submodule(module_name(own.node))
    if isinstance(module, WeightedShortcut) and module.normalization == "sigmoid":
        return w
    if not isinstance(module, WeightedShortcut) or module.normalization != "none":
        raise WeightsError(
            f"{path} has {own} as 2/n sigmoid(w), which this cfg would normalise once more\n"
            "expected: a [shortcut] without weights_normalization\n"
            "help: remove weights_normalization from the cfg's weighted shortcuts"
        )
    return w.sigmoid() * (2 / w.numel())
