"""The endless stream of training images, cut into batches.

Image p of the stream depends on the seed, on p, on the data and on the settings, and on nothing
else: not on who makes it, not on where a run was resumed, not on how the stream is cut into
batches or shared among processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from yolo_gp.data.augment_darknet import augment_darknet
from yolo_gp.data.augment_modern import augment_modern
from yolo_gp.data.augment_none import unaugmented
from yolo_gp.data.augment_sizes import input_size
from yolo_gp.data.augment_tiles import Picture, TrainingImage
from yolo_gp.data.augmentation import (
    Augmentation,
    DarknetAugmentation,
    ModernAugmentation,
    NoAugmentation,
)
from yolo_gp.data.training_pictures import TrainingPictures
from yolo_gp.errors import DataError

Sampling = Literal["epochs", "replacement"]

_ORDER, _IMAGE = 0, 1  # streams of random numbers: the order of an epoch, and each image
_ATTEMPTS = 100  # pictures drawn in place of one that cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What a stream consists of, and which part of it one process gets.

    Fields:
        size: (height, width) of the network input before multi-scale.
        stride: sizes of the modern multi-scale are multiples of it.
        sampling: "epochs" shows each picture once before any is shown again; "replacement" draws
            every time from all.
        images_per_batch: of all processes together.
        images_per_iteration: between two updates of the network.
        iterations_total: length of the training; None if it never ends.
        rank: which of `world` equal parts of each batch this process gets.
    """

    augmentation: Augmentation
    size: tuple[int, int]
    stride: int
    seed: int
    sampling: Sampling
    images_per_batch: int
    images_per_iteration: int
    iterations_total: int | None
    rank: int
    world: int


@dataclass(frozen=True, slots=True, eq=False)
class StreamBatch:
    """One process's part of a batch, as it travels between processes: N images, T objects.

    Fields:
        levels: (N, C, h, w) uint8.
        image: (T,) int64, which image each object is in.
        class_ids: (T,) int64.
        boxes_cxcywh_norm: (T, 4) float32.
        masks: (T, h / 4, w / 4) bool, or None.
        sources: for each image the files it is made of.
        problems: by file, why it could not be read.
    """

    levels: Tensor
    image: Tensor
    class_ids: Tensor
    boxes_cxcywh_norm: Tensor
    masks: Tensor | None
    sources: tuple[str, ...]
    problems: dict[str, str]

    def pin_memory(self) -> StreamBatch:
        """The same with its pixels where a GPU reads them by itself; called by torch."""
        return StreamBatch(
            self.levels.pin_memory(),
            self.image,
            self.class_ids,
            self.boxes_cxcywh_norm,
            self.masks,
            self.sources,
            self.problems,
        )


@dataclass(frozen=True, slots=True)
class StreamFailure:
    """Why a batch could not be made; travels in its place, since a raised error loses its type."""

    message: str


class TrainingStream(TorchDataset[StreamBatch | StreamFailure]):
    """Item b is this process's part of batch b, for every b from 0."""

    def __init__(self, pictures: TrainingPictures, plan: StreamPlan) -> None:
        self._pictures = pictures
        self._plan = plan
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def __getitem__(self, number: int) -> StreamBatch | StreamFailure:
        plan = self._plan
        start = number * plan.images_per_batch
        size = input_size(
            plan.augmentation,
            plan.size,
            stride=plan.stride,
            seed=plan.seed,
            iteration=start // plan.images_per_iteration,
            iterations_total=plan.iterations_total,
        )
        share = plan.images_per_batch // plan.world
        first = start + plan.rank * share
        problems: dict[str, str] = {}
        try:
            images = [self._image(p, size, problems) for p in range(first, first + share)]
        except DataError as error:
            return StreamFailure(str(error))
        return _collated(images, size, problems)

    def _image(
        self, position: int, size: tuple[int, int], problems: dict[str, str]
    ) -> TrainingImage:
        """Image `position` of the stream."""
        rng = np.random.default_rng((self._plan.seed, _IMAGE, position))
        number = self._number(position, rng)
        first = self._picture(number, rng, problems)

        def more() -> Picture:
            return self._picture(int(rng.integers(len(self._pictures))), rng, problems)

        try:
            match self._plan.augmentation:
                case DarknetAugmentation() as settings:
                    return augment_darknet(first, more, settings, size, rng)
                case ModernAugmentation() as settings:
                    closed = self._is_closed(position, settings)
                    return augment_modern(first, more, settings, size, rng, closed=closed)
                case NoAugmentation():
                    return unaugmented(first, size)
        except Exception as error:
            error.add_note(f"while making a training image of {first.name}")
            raise

    def _number(self, position: int, rng: np.random.Generator) -> int:
        """Whose turn it is at a position."""
        count = len(self._pictures)
        if self._plan.sampling == "replacement":
            return int(rng.integers(count))
        epoch, place = divmod(position, count)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self._plan.seed, _ORDER, epoch)).permutation(count)
            self._order = epoch, order
        return int(self._order[1][place])

    def _picture(self, number: int, rng: np.random.Generator, problems: dict[str, str]) -> Picture:
        """A picture, or another one where it cannot be read."""
        for _ in range(_ATTEMPTS):
            try:
                return self._pictures.picture(number)
            except DataError as error:
                problems[self._pictures.name(number)] = str(error)
                number = int(rng.integers(len(self._pictures)))
        last = next(reversed(problems.values()))
        raise DataError(f"{_ATTEMPTS} images drawn one after another cannot be read: {last}")

    def _is_closed(self, position: int, settings: ModernAugmentation) -> bool:
        """Whether a position belongs to the last epochs, without mosaic."""
        if self._plan.iterations_total is None:
            return False
        end = self._plan.iterations_total * self._plan.images_per_iteration
        return position >= end - settings.close_mosaic * len(self._pictures)


def _collated(
    images: Sequence[TrainingImage], size: tuple[int, int], problems: dict[str, str]
) -> StreamBatch:
    counts = [len(image.class_ids) for image in images]
    boxes = np.concatenate([image.boxes_xyxy for image in images])
    masks = [image.masks for image in images if image.masks is not None]
    return StreamBatch(
        levels=torch.from_numpy(np.stack([image.pixels for image in images])),
        image=torch.from_numpy(np.repeat(np.arange(len(images)), counts)),
        class_ids=torch.from_numpy(np.concatenate([image.class_ids for image in images])),
        boxes_cxcywh_norm=torch.from_numpy(_relative(boxes, size)),
        masks=torch.from_numpy(np.concatenate(masks)) if len(masks) == len(images) else None,
        sources=tuple(", ".join(image.sources) for image in images),
        problems=problems,
    )


def _relative(boxes_xyxy: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes (T, 4) in pixels as centre and size relative to the input."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    both = np.concatenate([(low + high) / 2, high - low], axis=1)
    return (both / (size[1], size[0], size[1], size[0])).astype(np.float32)
