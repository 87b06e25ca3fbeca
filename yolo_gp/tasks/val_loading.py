"""Images of a data set on their way into a network: decoded and resized beside the forward pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from yolo_gp.data.dataset import Dataset
from yolo_gp.data.letterbox import ImagePlacement, prepare
from yolo_gp.errors import DataError
from yolo_gp.presets import Preset
from yolo_gp.tasks.inference import as_array


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRule:
    """How images become the input of a network.

    Fields:
        size: (height, width) of the network's input in pixels.
        channels: 1 grey, 3 RGB, 4 RGBA.
        stride: what the sides of a rectangular input are multiples of.
        preset: whose conventions apply.
    """

    size: tuple[int, int]
    channels: int
    stride: int
    preset: Preset


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """One image of a batch, without its pixels.

    Fields:
        index: its number in the data set.
        size: (height, width) of the upright image; of an image that cannot be read the one that
            the annotations state, or else the network's.
        placement: how it lies in the network input, for the way back of boxes; None if it cannot
            be used, and for classifiers.
        problem: why it cannot be used; None if it can.
    """

    index: int
    size: tuple[int, int]
    placement: ImagePlacement | None
    problem: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedBatch:
    """The images of one batch, ready for the network.

    Fields:
        number: of the batch in the data set.
        images: in the order of the data set.
        inputs: images of equal shape together: their positions in `images`, and the network input
            (n, C, h, w) in 0..1. Images that cannot be used are in none.
        seconds: what decoding and resizing took.
    """

    number: int
    images: tuple[LoadedImage, ...]
    inputs: tuple[tuple[tuple[int, ...], Tensor], ...]
    seconds: float


ImageLoader = Callable[[int], tuple[LoadedImage, Tensor | None]]
"""Reads image n of a data set: the network's input (C, h, w), or None if it cannot be used."""


def batch_count(samples: int, batch_size: int) -> int:
    """How many batches a data set has; the last may be smaller."""
    return -(-samples // batch_size)


def load_batches(
    load: ImageLoader, samples: int, batch_size: int, numbers: Sequence[int], workers: int
) -> Iterator[LoadedBatch]:
    """The batches of those numbers, in this order.

    Batch n holds samples n * batch_size and on, whoever loads it, so that its results are the
    same in every process and after every interruption.

    Args:
        load: called in the workers, so it must be picklable.
        samples: images of the data set.
        workers: processes that load ahead, two batches each; 0 loads in this one.
    """
    loader: DataLoader[LoadedBatch] = DataLoader(
        _Batches(load, samples, batch_size),
        batch_size=None,  # an item is a batch already
        sampler=list(numbers),
        num_workers=min(workers, len(numbers)),
        collate_fn=_as_it_is,
    )
    yield from loader


class _Batches(TorchDataset[LoadedBatch]):
    """The data set as torch's DataLoader wants it: item n is batch n."""

    def __init__(self, load: ImageLoader, samples: int, batch_size: int) -> None:
        self._load = load
        self._samples = samples
        self._batch_size = batch_size

    def __getitem__(self, number: int) -> LoadedBatch:
        start = time.perf_counter()
        first = number * self._batch_size
        last = min(first + self._batch_size, self._samples)
        loaded = [self._load(index) for index in range(first, last)]
        images = tuple(image for image, _ in loaded)
        inputs = _by_shape([tensor for _, tensor in loaded])
        return LoadedBatch(number, images, inputs, time.perf_counter() - start)


def _as_it_is(batch: object) -> object:
    return batch


def _by_shape(tensors: Sequence[Tensor | None]) -> tuple[tuple[tuple[int, ...], Tensor], ...]:
    """Stack those of equal shape; shapes in the order of their first image."""
    positions: dict[torch.Size, list[int]] = {}
    for position, tensor in enumerate(tensors):
        if tensor is not None:
            positions.setdefault(tensor.shape, []).append(position)
    return tuple(
        (tuple(members), torch.stack([t for t in (tensors[i] for i in members) if t is not None]))
        for members in positions.values()
    )


@dataclass(frozen=True, slots=True)
class DetectionLoader:
    """An `ImageLoader` for detectors. Labels that cannot be read are found now, not at last."""

    dataset: Dataset
    rule: InputRule

    def __call__(self, index: int) -> tuple[LoadedImage, Tensor | None]:
        sample, rule = self.dataset.samples[index], self.rule
        size = sample.size or rule.size
        try:
            image = as_array(sample.path, rule.channels)
            size = image.shape[0], image.shape[1]
            self.dataset.ground_truth(index, size)
            tensor, placement = prepare(image, rule.size, rule.preset, rule.stride)
        except DataError as error:
            return LoadedImage(index, size, None, str(error)), None
        return LoadedImage(index, size, placement), tensor
