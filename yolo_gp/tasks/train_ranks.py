"""The processes of a training run, as `torchrun` starts them, and what they agree on."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from yolo_gp.errors import UsageError
from yolo_gp.tasks.val_ranks import Ranks

_T = TypeVar("_T")
_PATIENCE = timedelta(hours=1)  # how long the quickest process waits for the slowest


@contextlib.contextmanager
def joined_training_ranks() -> Iterator[Ranks]:
    """This process among those that `torchrun` started; alone if nothing started it.

    Tensors on the CPU travel by gloo, those on GPUs by nccl.

    Raises:
        UsageError: the environment names other processes, but they cannot be reached.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield Ranks()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, world = next(rendezvous("env://", timeout=_PATIENCE))
        # torchrun keeps its store when it starts processes again, with the addresses of the dead
        attempt = PrefixStore(f"attempt {_restarts()}", store)
        dist.init_process_group(
            backend, store=attempt, rank=rank, world_size=world, timeout=_PATIENCE
        )
        ranks = Ranks(
            dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0"))
        )
    except (RuntimeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"WORLD_SIZE says that there are other processes, but this one cannot join: {reason}\n"
            "help: start all of them with torchrun -m yolo_gp train ..., or unset WORLD_SIZE"
        ) from error
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def is_restarted() -> bool:
    """Whether `torchrun` starts this process again, after one of the run has failed."""
    return _restarts() > 0


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


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


def from_first(ranks: Ranks, value: _T) -> _T:
    """What process 0 passes in, in every process; for large values too."""
    if ranks.world == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def require_agreement(ranks: Ranks, facts: Mapping[str, str]) -> None:
    """Refuse to train together on different things.

    Raises:
        UsageError: the processes differ; says in what.
    """
    everybodys = ranks.gather(dict(facts))
    for rank, other in enumerate(everybodys):
        for key, value in other.items():
            if value != everybodys[0].get(key):
                raise UsageError(
                    f"the processes of this run differ: {key} is {everybodys[0].get(key)} in "
                    f"process 0 and {value} in process {rank}\n"
                    "help: give all of them the same flags and data"
                )


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
