"""What a run has seen and found so far, epoch by epoch: plain numbers, kept with its checkpoint."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace

Losses = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch, or what a run made of its last.

    Fields:
        epoch: counted from 1.
        iteration: how many had been made at its end.
        rate: the learning rate of weights at its end.
        loss: mean over its images of all that the gradient comes from.
        parts: mean over its images of each part of the loss.
        images_per_second: while training, of all processes together.
        waiting: the share of the time in which the device waited for images.
        ap, ap50, ap75: COCO's, of the averaged weights; None if they were not measured.
        best: the highest AP so far.
    """

    epoch: int
    iteration: int
    rate: float
    loss: float
    parts: Losses
    images_per_second: float
    waiting: float
    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    best: bool = False


@dataclass(slots=True)
class Progress:
    """Where a run stands.

    Fields:
        iteration: how many have been made.
        epochs: those that are over.
        best_ap: the highest so far; None before the first.
        best_epoch: the epoch that had it; 0 before the first.
        skipped: iterations in a row whose loss or gradient was not finite.
        images: that the weights have learned from in the epoch under way.
        loss, parts: sums over them.
        seconds, waited: what they took, and how much of it went by without images.
    """

    iteration: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best_ap: float | None = None
    best_epoch: int = 0
    skipped: int = 0
    images: int = 0
    loss: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, losses: Losses, loss: float, images: int) -> None:
        """Count images with the mean of their loss and of its parts."""
        self.images += images
        self.loss += loss * images
        for name, value in losses.items():
            self.parts[name] = self.parts.get(name, 0.0) + value * images

    @property
    def sums(self) -> list[float]:
        """The images of the epoch under way, their loss, and its parts by name."""
        return [self.images, self.loss, *(self.parts[name] for name in sorted(self.parts))]

    def set_sums(self, sums: Sequence[float]) -> None:
        """Replace what `sums` says, for several processes together."""
        images, self.loss, *parts = sums
        self.images = round(images)
        self.parts = dict(zip(sorted(self.parts), parts, strict=True))

    def end_epoch(self, rate: float) -> Epoch:
        """Close the epoch that is under way, and begin the next."""
        images = max(self.images, 1)
        epoch = Epoch(
            epoch=len(self.epochs) + 1,
            iteration=self.iteration,
            rate=rate,
            loss=self.loss / images,
            parts={name: value / images for name, value in self.parts.items()},
            images_per_second=self.images / self.seconds if self.seconds else 0.0,
            waiting=self.waited / self.seconds if self.seconds else 0.0,
        )
        self.epochs.append(epoch)
        self.images, self.loss, self.parts = 0, 0.0, {}
        self.seconds = self.waited = 0.0
        return epoch

    def measured(self, ap: float, ap50: float, ap75: float) -> Epoch:
        """Note the accuracy after the last epoch; it is the best if no earlier one was as good."""
        is_best = not math.isnan(ap) and (self.best_ap is None or ap > self.best_ap)
        last = replace(self.epochs[-1], ap=ap, ap50=ap50, ap75=ap75, best=is_best)
        self.epochs[-1] = last
        if is_best:
            self.best_ap, self.best_epoch = ap, last.epoch
        return last

    def to_entries(self) -> dict[str, object]:
        """The fields as plain numbers, lists and dicts."""
        return asdict(self)

    @classmethod
    def from_entries(cls, entries: Mapping[str, object]) -> Progress:
        """The inverse of `to_entries`."""
        values = {one.name: entries[one.name] for one in fields(cls)}
        epochs = values.pop("epochs")
        assert isinstance(epochs, list)
        return cls(epochs=[Epoch(**epoch) for epoch in epochs], **values)  # type: ignore[arg-type]


def to_csv(epochs: Sequence[Epoch]) -> str:
    """A line for each epoch under one of names; empty where nothing was measured."""
    parts = sorted({name for epoch in epochs for name in epoch.parts})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("epoch", "iteration", "rate", "loss", *(f"loss_{name}" for name in parts)),
            *("ap", "ap50", "ap75", "images_per_second", "waiting"),
        ]
    )
    for epoch in epochs:
        writer.writerow(
            [
                *(epoch.epoch, epoch.iteration, f"{epoch.rate:.8g}", f"{epoch.loss:.6g}"),
                *(_number(epoch.parts.get(name)) for name in parts),
                *(_number(value) for value in (epoch.ap, epoch.ap50, epoch.ap75)),
                *(f"{epoch.images_per_second:.2f}", f"{epoch.waiting:.4f}"),
            ]
        )
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
