"""The state of a training run in one file: whoever reads it finds all of a moment, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from yolo_gp.errors import DataError
from yolo_gp.files import os_reason, replacing
from yolo_gp.training.disk import require_space

_SCHEMA_VERSION = 1

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Random numbers are not among it: every iteration draws its own from the run's seed.

    Fields:
        token: names the run.
        iteration: how many have been made.
        network: the weights that learn, and the batch norms' statistics.
        averaged: their moving average; empty if the recipe keeps none.
        optimiser: what torch's optimiser says of its state.
        scaler: what torch's loss scaler says of its state; empty without one.
        progress: plain numbers, strings and lists: what the run has seen and found so far.
    """

    token: str
    iteration: int
    network: Tensors
    averaged: Mapping[str, object]
    optimiser: Mapping[str, object]
    scaler: Mapping[str, object]
    progress: Mapping[str, object]


def save_state(path: Path, state: Checkpoint) -> None:
    """Write a checkpoint in place of the one before it: aside, to the disk, then by its name.

    Raises:
        DataError: there is no room, or the operating system refuses; the file is as it was.
    """
    content = {field.name: getattr(state, field.name) for field in fields(state)}
    require_space(path.parent, _bytes_in(content), f"the checkpoint of iteration {state.iteration}")
    try:
        with replacing(path) as file:
            torch.save({"schema_version": _SCHEMA_VERSION, **content}, file)
    except OSError as error:
        raise _cannot_write(path, os_reason(error)) from error
    except RuntimeError as error:  # torch's own writer, when the operating system refuses
        raise _cannot_write(path, str(error).splitlines()[0]) from error


def _cannot_write(path: Path, reason: str) -> DataError:
    return DataError(
        f"cannot write {path}: {reason}\n"
        f"help: the checkpoint before it is whole; make room, then go on with "
        f"--resume {path.parent}"
    )


def load_state(path: Path) -> Checkpoint:
    """Read a checkpoint, without running any code that a file may hold.

    Raises:
        DataError: it cannot be read, is damaged, or was written by a newer yolo-gp.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content["schema_version"]
        values = {field.name: content[field.name] for field in fields(Checkpoint)}
    except OSError as error:
        raise DataError(f"cannot read {path}: {os_reason(error)}") from error
    except Exception as error:  # torch meets damage with every exception there is
        raise DataError(
            f"{path} is no checkpoint of a training run, or a damaged one\n"
            "help: start anew from its last weights: --weights "
            f"{path.with_name('last.safetensors')}"
        ) from error
    if version > _SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {version}, this yolo-gp knows {_SCHEMA_VERSION}\n"
            "help: update yolo-gp"
        )
    return Checkpoint(**values)


def _bytes_in(content: object) -> int:
    """Bytes of all tensors in nested mappings and lists."""
    if isinstance(content, Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, Mapping):
        return sum(map(_bytes_in, content.values()))
    if isinstance(content, list | tuple):
        return sum(map(_bytes_in, content))
    return 0
