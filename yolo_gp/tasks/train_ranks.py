"""What the processes of a training run share: flags, sums, gradients and statistics."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from yolo_gp.tasks.ranks import Ranks


def may_be_restarted() -> bool:
    """Whether `torchrun` would start the run again if a process failed."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def any_of(ranks: Ranks, flags: tuple[bool, ...]) -> tuple[bool, ...]:
    """For each flag, whether it is set in some process; the same answer in all."""
    if ranks.world == 1:
        return flags
    values = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return tuple(bool(value) for value in values.tolist())


def total_of(ranks: Ranks, values: list[float]) -> list[float]:
    """The sums over all processes."""
    if ranks.world == 1:
        return values
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    found: list[float] = sums.tolist()
    return found


def sharing_gradients(
    network: nn.Module, ranks: Ranks, device: torch.device, *, all_used: bool
) -> nn.Module:
    """The network, in whose backward pass gradients become their mean over all processes.

    The weights become those of process 0. Statistics of batch norms stay each process's own; see
    `merge_statistics`.

    Args:
        all_used: every parameter that learns gets a gradient in each pass.
    """
    if ranks.world == 1:
        return network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 has another name for buffers'
        return DistributedDataParallel(
            network,
            device_ids=[device.index] if device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=not all_used,
        )


def without_sharing(
    network: nn.Module, *, unless: bool
) -> contextlib.AbstractContextManager[object]:
    """A context in which gradients are added up in each process, for others to come."""
    if unless or not isinstance(network, DistributedDataParallel):
        return contextlib.nullcontext()
    return network.no_sync()


@torch.no_grad()
def merge_statistics(ranks: Ranks, values: Iterable[Tensor]) -> None:
    """Set running statistics of batch norms to their mean over all processes, in place.

    They are all in which the processes differ. A running statistic is a weighted sum of what the
    batches said, so the mean is what one process would have that took, at each step, the mean of
    the processes' statistics; and merging more often changes nothing but rounding.
    """
    own = [value for value in values if value.is_floating_point()]
    if ranks.world == 1 or not own:
        return
    merged = torch.cat([value.reshape(-1).cpu().double() for value in own])
    dist.all_reduce(merged)
    merged /= ranks.world
    means = torch.split(merged, [value.numel() for value in own])
    for value, mean in zip(own, means, strict=True):
        value.copy_(mean.reshape(value.shape))
