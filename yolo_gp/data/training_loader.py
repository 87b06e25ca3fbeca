"""Batches for training, made by worker processes ahead of the network."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from yolo_gp.data.augment_tiles import MASK_CELL
from yolo_gp.data.augmentation import Augmentation, ModernAugmentation
from yolo_gp.data.dataset import Dataset
from yolo_gp.data.image_cache import CacheKind, ImageCache
from yolo_gp.data.training_pictures import TrainingPictures
from yolo_gp.data.training_stream import (
    Sampling,
    StreamBatch,
    StreamFailure,
    StreamPlan,
    TrainingStream,
)
from yolo_gp.errors import DataError, UsageError
from yolo_gp.losses.targets import Targets

_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_GRACE = 10  # seconds that a worker goes on after it was asked to end


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Images of one size with their objects.

    Fields:
        images: (N, C, h, w) float32 in 0..1.
        targets: their objects.
        sources: for each image the files it is made of, separated by commas.
        problems: why files could not be read, each told once; others stand in for them.
    """

    images: Tensor
    targets: Targets
    sources: tuple[str, ...]
    problems: tuple[str, ...] = ()


class TrainingLoader:
    """Turns a data set into an endless stream of training batches; see `TrainingStream`.

    Objects that scoring ignores, crowds and VOC's difficult ones, are not learned.

    Attributes:
        batches_per_epoch: batches until each image has had its turn; the last of them may begin
            the next epoch.
    """

    def __init__(
        self,
        dataset: Dataset,
        augmentation: Augmentation,
        size: tuple[int, int],
        *,
        images_per_batch: int,
        workers: int,
        seed: int,
        channels: int = 3,
        stride: int = 32,
        sampling: Sampling = "epochs",
        images_per_iteration: int | None = None,
        iterations_total: int | None = None,
        rank: int = 0,
        world: int = 1,
        masks: bool = False,
        cache: CacheKind | None = None,
        device: str = "cpu",
        pin_memory: bool = False,
    ) -> None:
        """Args:
            size: (height, width) of the network input.
            images_per_batch: of all processes together.
            workers: processes that load ahead, two batches each; 0 loads in this one.
            seed: 0 or more; of all that is drawn.
            channels: 1 grey, 3 RGB, 4 RGBA.
            stride: sizes of the modern multi-scale are multiples of it.
            sampling: "epochs" shows each image once before any is shown again; "replacement"
                draws every time from all, as Darknet does.
            images_per_iteration: images between two updates; multi-scale and the end of training
                are counted in iterations. By default a batch.
            iterations_total: length of the training; None if it never ends.
            rank: which of `world` equal parts of each batch this process gets.
            masks: targets carry masks.
            cache: keep decoded pictures in half of the memory, or disk, that is free.
            device: where the batches are delivered; they travel there as bytes.
            pin_memory: copy to a GPU while it computes.

        Raises:
            DataError: the data set holds no images.
            UsageError: settings that contradict each other, or no room for the cache.
        """
        if not len(dataset.samples):
            raise DataError(f"{dataset.name} holds no images to train on")
        plan = StreamPlan(
            augmentation=augmentation,
            size=size,
            stride=stride,
            seed=seed,
            sampling=sampling,
            images_per_batch=images_per_batch,
            images_per_iteration=images_per_iteration or images_per_batch,
            iterations_total=iterations_total,
            rank=rank,
            world=world,
        )
        _check(plan, masks)
        count = len(dataset.samples)
        self._cache = ImageCache(cache, count, channels, owners=world) if cache else None
        pictures = TrainingPictures(
            dataset, augmentation, size, channels=channels, masks=masks, cache=self._cache
        )
        self._stream = TrainingStream(pictures, plan)
        self._workers = workers
        self._device = device
        self._pin = pin_memory and device.startswith("cuda")
        self._told: set[str] = set()
        self.batches_per_epoch = -(-count // images_per_batch)

    def batches(self, start: int = 0) -> Generator[TrainingBatch, None, None]:
        """Batch `start`, `start` + 1 and so on, without end.

        Close the iterator (`contextlib.closing`) to end its workers at once. They take no notice
        of Ctrl-C, and go on for ten seconds after a SIGTERM, so that a training that was told to
        stop can finish its step.

        Raises:
            DataError: hardly any image can be read.
        """
        loader: DataLoader[StreamBatch | StreamFailure] = DataLoader(
            self._stream,
            batch_size=None,  # an item is a batch already
            sampler=itertools.count(start),
            num_workers=self._workers,
            collate_fn=_as_it_is,
            pin_memory=self._pin,
            worker_init_fn=_outlive_signals,
            generator=torch.Generator(),  # its own: torch would draw from the network's otherwise
        )
        with _held_back(_SIGNALS):
            made = [iter(loader)]  # starts the workers, which live as long as this iterator
        atexit.register(made.clear)  # else torch waits for workers that nobody told to end
        try:
            while True:
                batch = next(made[0])
                if isinstance(batch, StreamFailure):
                    raise DataError(batch.message)
                yield self._delivered(batch)
        finally:
            atexit.unregister(made.clear)
            made.clear()

    def _delivered(self, batch: StreamBatch) -> TrainingBatch:
        device = self._device
        images = batch.levels.to(device, non_blocking=self._pin).to(torch.float32).div_(255)
        targets = Targets(batch.image, batch.class_ids, batch.boxes_cxcywh_norm, batch.masks)
        new = tuple(text for name, text in batch.problems.items() if name not in self._told)
        self._told.update(batch.problems)
        return TrainingBatch(images, targets.to(device), batch.sources, new)


def _as_it_is(batch: object) -> object:
    return batch


@contextlib.contextmanager
def _held_back(signals: frozenset[signal.Signals]) -> Iterator[None]:
    """Let signals wait, in this thread and in processes that it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _outlive_signals(_worker: int) -> None:
    """A signal to the whole group of processes is for the one that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_later())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _end_later() -> None:
    signal.alarm(_GRACE)


def _check(plan: StreamPlan, masks: bool) -> None:
    """Raises: UsageError: settings that contradict each other."""
    if plan.images_per_batch % plan.world:
        raise UsageError(
            f"{plan.images_per_batch} images a batch cannot be shared by {plan.world} processes\n"
            f"expected: a multiple of {plan.world}"
        )
    settings = plan.augmentation
    if isinstance(settings, ModernAugmentation) and settings.copy_paste and not masks:
        raise UsageError(
            f"copy_paste is {settings.copy_paste}, but training uses no masks\n"
            "expected: 0, or a network with a head for masks"
        )
    if masks and any(side % MASK_CELL for side in plan.size):
        height, width = plan.size
        raise UsageError(
            f"the network input is {height}x{width}\n"
            f"expected: multiples of {MASK_CELL}, to train masks"
        )
