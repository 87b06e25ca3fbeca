"""Several processes at one task, as `torchrun` starts them: who does what, who tells whom."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason, replacing

_T = TypeVar("_T")
_PATIENCE = timedelta(hours=1)  # how long the quickest process waits for the slowest
_CHUNK = 2**24  # bytes of a file that travel at a time


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of the run.

    Fields:
        rank: its number; 0 evaluates, writes and speaks.
        world: how many there are.
        local_rank: its number on its own machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    def share_of(self, numbers: list[int]) -> list[int]:
        """What of a list falls to this process; each takes every `world`-th."""
        return numbers[self.rank :: self.world]

    def gather(self, value: _T) -> list[_T]:
        """Each process's value, by rank, in every process.

        Raises:
            DataError: another process has gone.
        """
        if self.world == 1:
            return [value]
        values: list[_T] = [value] * self.world
        with _noticing_losses():
            dist.all_gather_object(values, value)
        return values

    def from_first(self, value: _T) -> _T:
        """What process 0 passes in, in every process.

        Raises:
            DataError: another process has gone.
        """
        if self.world == 1:
            return value
        box = [value]
        with _noticing_losses():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def collect(self, path: Path, senders: list[int]) -> list[Path]:
        """Bring files of other machines to process 0.

        Args:
            path: in a sender the file to send; in process 0 any file of the folder to put them in.
            senders: the ranks that send one, the same in every process.

        Returns:
            in process 0 where each lies now, named `rank-R.journal`.

        Raises:
            DataError: another process has gone, or a file cannot be read or written.
        """
        arrived = []
        for sender in senders:
            if self.rank == sender:
                _send(path)
            elif self.rank == 0:
                arrived.append(_receive(path.with_name(f"rank-{sender}.journal"), sender))
        return arrived


@contextlib.contextmanager
def joined_ranks(command: str, *, gpus: bool = False) -> Iterator[Ranks]:
    """This process among those that `torchrun` started; alone if nothing started it.

    Args:
        command: the yolo-gp command that runs, for messages.
        gpus: tensors on GPUs travel too, by nccl; those on the CPU always do, by gloo.

    Raises:
        UsageError: the environment names other processes, but they cannot be reached.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield Ranks()
        return
    backend = "cpu:gloo,cuda:nccl" if gpus and torch.cuda.is_available() else "gloo"
    try:
        store, rank, world = next(rendezvous("env://", timeout=_PATIENCE))
        # torchrun keeps its store when it starts processes again, with the addresses of the dead
        attempt = PrefixStore(f"attempt {restarts()}", store)
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
            f"help: start all of them with torchrun -m yolo_gp {command} ..., or unset WORLD_SIZE"
        ) from error
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def restarts() -> int:
    """How often `torchrun` has started this process again, after one of the run had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def require_agreement(ranks: Ranks, facts: Mapping[str, str]) -> None:
    """Refuse to work together on different things.

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


@contextlib.contextmanager
def _noticing_losses() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"another process of this run has stopped, or was silent for an hour: {reason}\n"
            "help: its own message says why; afterwards go on with --resume"
        ) from error


def _send(path: Path) -> None:
    """Send a file to process 0: its length, then its bytes."""
    try:
        with path.open("rb") as file, _noticing_losses():
            length = os.fstat(file.fileno()).st_size
            dist.send(torch.tensor([length]), 0)
            while chunk := file.read(_CHUNK):
                dist.send(torch.frombuffer(bytearray(chunk), dtype=torch.uint8), 0)
    except OSError as error:
        raise DataError(f"cannot read {path}: {os_reason(error)}") from error


def _receive(path: Path, sender: int) -> Path:
    """Write the file that a process sends."""
    length = torch.zeros(1, dtype=torch.int64)
    try:
        with replacing(path) as file, _noticing_losses():
            dist.recv(length, sender)
            rest = int(length)
            while rest:
                chunk = torch.zeros(min(rest, _CHUNK), dtype=torch.uint8)
                dist.recv(chunk, sender)
                file.write(chunk.numpy().tobytes())
                rest -= len(chunk)
    except OSError as error:
        raise DataError(f"cannot write {path}: {os_reason(error)}") from error
    return path
