"""What a user asks of a training run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import UsageError

RecipeName = Literal["darknet", "modern"]
TrainDtype = Literal["auto", "float32", "amp", "bfloat16"]
NonFinite = Literal["stop", "skip"]
CacheKind = Literal["none", "memory", "disk"]

WITHOUT_EFFECT_ON_RESULTS = frozenset(("workers", "cache", "plots", "tensorboard"))
"""What may be changed when a run goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train. None everywhere means: as the recipe, the cfg or the data says.

    Fields:
        cfg: a path, or the name of a packaged cfg or a pretrained model; None takes the one inside
            `weights`.
        data: what to train on; a data set of any form.
        val_data: what to measure on; None takes the part "val" of `data`.
        weights: to start from; a file or the name of a pretrained model. None starts from random.
        cutoff: only the first so many sections of `weights` count.
        names: a file with one class name a line; None takes those of the data.
        size: (height, width) of the network's input in pixels.
        recipe: "darknet" as the cfg says, or "modern", YOLOR's.
        epochs, iterations: how long; at most one of them.
        batch: images for an update of the weights, of all processes together.
        subdivisions: parts of the batch that go through the network one after the other.
        auto_batch: where `subdivisions` is None, choose it by the memory there is.
        lr: the highest learning rate.
        close_mosaic: the last so many epochs of the modern recipe have no mosaics.
        freeze: the first so many sections keep their weights and statistics.
        bn_momentum: share of the new batch in the running statistics of batch norms.
        sync_bn: batch norms see the batches of all processes as one.
        darknet_cpu: train as Darknet's CPU build does, faults included.
        device: a torch device; "cuda" gives each process a GPU of its own.
        dtype: "amp" is mixed precision, float16 with float32 weights; "auto" is that where the
            device is a GPU, else float32.
        validate: measure accuracy while training.
        val_every: epochs between measurements.
        patience: stop after so many epochs without a higher AP; 0 never does.
        non_finite: what a loss that is infinite or no number does: "stop" the run, or "skip" the
            iteration.
        workers: processes that load images; 0 loads between iterations.
        cache: where decoded images are kept.
        seed: of all random numbers.
        dialect: the one to read the cfg in, by name; None for the one that it tells itself.
        strict: warnings about the cfg are errors.
        plots: write pictures of the first batch and of the curves.
        tensorboard: also log for TensorBoard.
    """

    data: str
    cfg: str | None = None
    val_data: str | None = None
    weights: str | None = None
    cutoff: int | None = None
    names: str | None = None
    size: tuple[int, int] | None = None
    recipe: RecipeName = "darknet"
    epochs: int | None = None
    iterations: int | None = None
    batch: int | None = None
    subdivisions: int | None = None
    auto_batch: bool = False
    lr: float | None = None
    close_mosaic: int | None = None
    freeze: int = 0
    bn_momentum: float | None = None
    sync_bn: bool = False
    darknet_cpu: bool = False
    device: str = "cpu"
    dtype: TrainDtype = "auto"
    validate: bool = True
    val_every: int | None = None
    patience: int = 0
    non_finite: NonFinite = "stop"
    workers: int = 2
    cache: CacheKind = "none"
    seed: int = 0
    dialect: str | None = None
    strict: bool = False
    plots: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.cfg is None and self.weights is None:
            raise UsageError(
                "neither a cfg nor weights are given\n"
                "expected: --cfg CFG, or --weights with a file that holds its cfg"
            )
        parse_dialect(self.dialect)
        for names in _EXCLUSIVE:
            if all(getattr(self, name) for name in names):
                first, second = map(_flag, names)
                raise UsageError(f"{first} and {second} exclude each other; give one")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{_flag(name)} {value} is too small\nexpected: at least {least}")
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise UsageError(
                    f"{_flag(name)} {getattr(self, name)} is unknown\n"
                    f"expected: {', '.join(get_args(kind))}"
                )
        if self.lr is not None and not (0 < self.lr < math.inf):
            raise UsageError(f"--lr {self.lr:g} is out of range\nexpected: a number above 0")
        if self.bn_momentum is not None and not (0 < self.bn_momentum <= 1):
            raise UsageError(
                f"--bn-momentum {self.bn_momentum:g} is out of range\n"
                "expected: above 0, at most 1, such as 0.1"
            )
        if self.cutoff is not None and self.weights is None:
            raise UsageError("--cutoff has no effect without --weights")
        if not self.validate:
            for name in ("val_data", "val_every", "patience"):
                if getattr(self, name):
                    raise UsageError(f"{_flag(name)} has no effect with --no-val")

    def to_entries(self) -> dict[str, object]:
        """The fields as plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_entries(cls, entries: Mapping[str, object]) -> TrainSettings:
        """The inverse of `to_entries`.

        Raises:
            UsageError: a value is none that a run has.
            KeyError, TypeError: an entry is missing or of another type.
        """
        values = {field.name: entries[field.name] for field in dataclasses.fields(cls)}
        size = values["size"]
        if isinstance(size, list):
            values["size"] = tuple(size)
        return cls(**values)  # type: ignore[arg-type]


_EXCLUSIVE = (("epochs", "iterations"),)
_LEAST = {
    "cutoff": 1,
    "epochs": 1,
    "iterations": 1,
    "batch": 1,
    "subdivisions": 1,
    "close_mosaic": 0,
    "freeze": 0,
    "val_every": 1,
    "patience": 0,
    "workers": 0,
    "seed": 0,
}
_CHOICES = {
    "recipe": RecipeName,
    "dtype": TrainDtype,
    "non_finite": NonFinite,
    "cache": CacheKind,
}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
