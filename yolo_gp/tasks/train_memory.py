"""How many images fit into memory together while a network learns."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, fx

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph

_SHARE = 0.8  # of what is free; the rest is for other programs and for fragments
_GRADIENTS = 1.6  # times what the forward pass keeps: a backward pass adds gradients of maps
_COPIES = 3  # of the weights: their gradients, the optimiser's moments, the average


def images_that_fit(
    graph: Graph, network: fx.GraphModule, device: torch.device, spread: float
) -> int:
    """How many images can go through the network together, forward and backward.

    Measured on one image: what the forward pass keeps for the backward pass.

    Args:
        spread: the largest factor by which the input's sides grow while training.

    Raises:
        UsageError: not even one fits.
    """
    free = free_memory(device)
    weights = 4 * sum(parameter.numel() for parameter in network.parameters())
    one = int(bytes_kept(graph, network, device) * _GRADIENTS * spread**2)
    count = int((free * _SHARE - _COPIES * weights) / max(one, 1))
    if count < 1:
        raise UsageError(
            f"one image takes {one / 1e6:,.0f} MB while training, and {free / 1e6:,.0f} MB are "
            "free\nhelp: take a smaller --size, or another --device"
        )
    return count


def bytes_kept(graph: Graph, network: fx.GraphModule, device: torch.device) -> int:
    """Bytes that a forward pass of one image keeps for the backward pass, each tensor once.

    Two images go through, since batch norms of one value have no variance. Statistics of batch
    norms are as before when it is done.
    """
    shape = graph.input_shape
    image = torch.zeros(2, shape.channels, shape.height, shape.width, device=device)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    before = {name: value.clone() for name, value in network.named_buffers()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = network(image.contiguous(memory_format=torch.channels_last))
    del maps
    with torch.no_grad():
        for name, value in network.named_buffers():
            value.copy_(before[name])
    return sum(size for place, size in kept.items() if place not in own) // 2


def free_memory(device: torch.device) -> int:
    """Bytes that programs can still have on a device."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration) as error:
        raise UsageError(
            "this system does not say how much memory is free\nhelp: give --subdivisions"
        ) from error
