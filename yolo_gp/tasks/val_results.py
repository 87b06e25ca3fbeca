"""What val keeps of each image: the detections that evaluation compares, and no pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, overload

import numpy as np
import torch

from yolo_gp.data.dataset import Dataset, GroundTruth
from yolo_gp.detections import Detections
from yolo_gp.errors import DataError
from yolo_gp.masks import encode_rle
from yolo_gp.metrics.coco_columns import MAX_DETECTIONS
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections

Convention = Literal["coco", "darknet"]


class Indexed(Protocol):
    """What a val run keeps of one image."""

    @property
    def index(self) -> int:
        """The image's number in the data set."""
        ...


Result_co = TypeVar("Result_co", bound=Indexed, covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class ImageResult:
    """What was found in one image, chosen by two conventions from the same candidates.

    Fields:
        index: the image's number in the data set.
        size: (height, width) of the upright image in pixels.
        problem: why the image could not be used; None if it could. Nothing was found then.
        coco: by the preset's conventions, at most COCO's 100 best of each class.
        darknet: by those of Darknet's `detector map`; without masks.
    """

    index: int
    size: tuple[int, int]
    problem: str | None
    coco: ImageDetections
    darknet: ImageDetections


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time spent on some images.

    Fields:
        pre: decoding and resizing, added up over all workers.
        forward: the network.
        post: from its maps to results; of a detector by both conventions.
    """

    pre: float = 0.0
    forward: float = 0.0
    post: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.pre + other.pre, self.forward + other.forward, self.post + other.post)


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult(Generic[Result_co]):
    """What is kept of the images of one batch, in the order of the data set.

    Fields:
        number: of the batch in the data set.
    """

    number: int
    images: tuple[Result_co, ...]
    seconds: Seconds


def nothing_found(image_id: int) -> ImageDetections:
    """The record of an image without detections."""
    return ImageDetections(
        image_id,
        np.zeros((0, 4), dtype=np.float32),
        np.zeros(0, dtype=np.float32),
        np.zeros(0, dtype=np.int64),
    )


def as_record(image_id: int, found: Detections) -> ImageDetections:
    """The detections as plain arrays, masks as run lengths."""
    masks = found.instance_masks
    return ImageDetections(
        image_id,
        found.boxes_xyxy.numpy(),
        found.confidences.numpy(),
        found.class_ids.numpy(),
        None if masks is None else tuple(encode_rle(mask, found.image_size) for mask in masks),
    )


def best_of_each_class(found: Detections) -> Detections:
    """Those that COCO looks at: of each class the most confident, at most `MAX_DETECTIONS`."""
    if len(found) <= MAX_DETECTIONS:
        return found
    by_class = found.class_ids.argsort(stable=True)  # within a class the most confident first
    classes = found.class_ids[by_class]
    rank = torch.arange(len(classes)) - torch.searchsorted(classes, classes)
    kept = by_class[rank < MAX_DETECTIONS].sort().values
    masks = found.instance_masks
    return Detections(
        boxes_xyxy=found.boxes_xyxy[kept],
        confidences=found.confidences[kept],
        class_ids=found.class_ids[kept],
        image_size=found.image_size,
        names=found.names,
        instance_masks=masks and tuple(masks[i] for i in kept.tolist()),
        preset=found.preset,
    )


class EvaluatedImages(Sequence[EvaluatedImage]):
    """Results beside the ground truth; what was found is fetched image by image when asked for."""

    def __init__(
        self,
        truths: Sequence[GroundTruth],
        results: Sequence[ImageResult],
        convention: Convention,
    ) -> None:
        self._truths = truths
        self._results = results
        self._convention = convention

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, index: int) -> EvaluatedImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[EvaluatedImage]: ...
    def __getitem__(self, index: int | slice) -> EvaluatedImage | list[EvaluatedImage]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._evaluated(self._truths[index], self._results[index])

    def __iter__(self) -> Iterator[EvaluatedImage]:
        return map(self._evaluated, self._truths, self._results)

    def _evaluated(self, truth: GroundTruth, result: ImageResult) -> EvaluatedImage:
        found = result.coco if self._convention == "coco" else result.darknet
        return EvaluatedImage(result.size, truth, found)


def ground_truths(dataset: Dataset, results: Sequence[ImageResult]) -> list[GroundTruth]:
    """What stands in each image; nothing where labels cannot be read, as the result says."""
    return [_ground_truth(dataset, result) for result in results]


def _ground_truth(dataset: Dataset, result: ImageResult) -> GroundTruth:
    try:
        return dataset.ground_truth(result.index, result.size)
    except DataError:
        return GroundTruth(
            np.zeros((0, 4)),
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.bool_),
            np.zeros(0, dtype=np.bool_),
            np.zeros(0),
        )
