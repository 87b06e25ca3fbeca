"""How a training run went, as one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure

from yolo_gp.files import write_atomically

_DPI = 120


class PlottedEpoch(Protocol):
    """What the curves show of an epoch.

    Fields:
        epoch: its number.
        rate: the learning rate at its end.
        parts: mean over its images of each part of the loss.
        ap, ap50, ap75: None if they were not measured.
    """

    @property
    def epoch(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def parts(self) -> Mapping[str, float]: ...
    @property
    def ap(self) -> float | None: ...
    @property
    def ap50(self) -> float | None: ...
    @property
    def ap75(self) -> float | None: ...


def write_training_curves(path: Path, epochs: Sequence[PlottedEpoch]) -> None:
    """Write `training_figure` to a PNG.

    Raises:
        DataError: the file cannot be written.
    """
    content = io.BytesIO()
    training_figure(epochs).savefig(content, format="png")
    write_atomically(path, content.getvalue())


def training_figure(epochs: Sequence[PlottedEpoch]) -> Figure:
    """The losses, their learning rate and COCO's figures over the epochs, in three panels."""
    figure = Figure(figsize=(15, 4.5), dpi=_DPI, layout="constrained")
    losses, rates, accuracy = figure.subplots(1, 3)
    numbers = [epoch.epoch for epoch in epochs]
    for name in sorted({name for epoch in epochs for name in epoch.parts}):
        values = [epoch.parts.get(name, math.nan) for epoch in epochs]
        losses.plot(numbers, values, marker=".", label=name)
    losses.set(title="loss of an image", yscale="log")
    rates.plot(numbers, [epoch.rate for epoch in epochs], marker=".", label="learning rate")
    rates.set(title="learning rate", ylim=(0, None))
    measured = [epoch for epoch in epochs if epoch.ap is not None]
    for name, label in (("ap", "AP"), ("ap50", "AP50"), ("ap75", "AP75")):
        values = [getattr(epoch, name) for epoch in measured]
        accuracy.plot([epoch.epoch for epoch in measured], values, marker=".", label=label)
    accuracy.set(title="accuracy", ylim=(0, 1))
    for axes in (losses, rates, accuracy):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    return figure
