"""Validation of a classifier: what it says of every image beside what the image shows."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from yolo_gp.data.classified import UNKNOWN, ClassifiedImages
from yolo_gp.data.classifier_input import prepare_for_classifier
from yolo_gp.errors import DataError
from yolo_gp.metrics.top_k import NEVER, NOTHING, TOP, TopK, evaluate_top_k
from yolo_gp.tasks.classifier import Classifier, best_first
from yolo_gp.tasks.inference import as_array
from yolo_gp.tasks.val import ValSettings, refuse_problems, wait_for
from yolo_gp.tasks.val_loading import LoadedBatch, LoadedImage, batch_count, load_batches
from yolo_gp.tasks.val_metrics import ImageProblem
from yolo_gp.tasks.val_results import BatchResult, Seconds
from yolo_gp.tasks.val_run import Work, run_facts

_NO_NUMBERS = "the network's output for this image is not finite"
_HEAD = struct.Struct("<iIi")  # rank, classes that are kept, bytes of the problem
_NO_PROBLEM = -1


@dataclass(frozen=True, slots=True)
class ImageClasses:
    """What a network says of one image.

    Fields:
        index: the image's number in the data set.
        problem: why it could not be used; None if it could. Nothing is said of it then.
        rank: how many classes stand before the right one; `NEVER` if nothing is said, or nothing
            tells which is right.
        best: the ids of the five classes of highest score, best first.
        scores: of these, as float32.
    """

    index: int
    problem: str | None
    rank: int
    best: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierMetrics:
    """How good a classifier is on a data set.

    Fields:
        images: how many the data set has.
        top_k: over the images whose class is known; one that cannot be read counts as wrong.
        problems: the images that could not be used.
    """

    images: int
    top_k: TopK
    problems: tuple[ImageProblem, ...]


@dataclass(frozen=True, slots=True)
class _Loader:
    """An `ImageLoader` for classifiers. Sizes are (height, width)."""

    dataset: ClassifiedImages
    size: tuple[int, int]
    channels: int

    def __call__(self, index: int) -> tuple[LoadedImage, Tensor | None]:
        size = self.size
        try:
            self.dataset.class_of(index)
            image = as_array(self.dataset.path(index), self.channels)
            size = image.shape[0], image.shape[1]
            tensor = prepare_for_classifier(image, self.size)
        except DataError as error:
            return LoadedImage(index, size, None, str(error)), None
        return LoadedImage(index, size, None), tensor


def validate_classifier(
    classifier: Classifier,
    dataset: ClassifiedImages,
    settings: ValSettings | None = None,
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> ClassifierMetrics:
    """How good a classifier is on a data set; writes nothing.

    Args:
        advance: called with the number of images done, for a progress bar.

    Raises:
        DataError: under `settings.strict`, an image cannot be read or its class is not known.
    """
    settings = settings or ValSettings()
    results: list[ImageClasses] = []
    for batch in classify_batches(
        classifier, dataset, settings, range(batch_count(len(dataset), settings.batch_size))
    ):
        results += batch.images
        advance(len(batch.images))
    return evaluate_classes(dataset, results, classifier.num_classes)


def classifier_facts(
    classifier: Classifier, dataset: ClassifiedImages, settings: ValSettings, weights: str
) -> dict[str, str]:
    """The `run_facts` of a classifier.

    Args:
        weights: their `weights_digest`.
    """
    labelled = zip(dataset.images.paths, dataset.class_ids.tolist(), strict=True)
    return run_facts(
        classifier,
        weights=weights,
        classes=dataset.class_names,
        images=[f"{class_id} {Path(path).name}" for path, class_id in labelled],
        conventions={"batch": str(settings.batch_size)},
    )


def classifier_work(
    classifier: Classifier, dataset: ClassifiedImages, settings: ValSettings
) -> Work[ImageClasses]:
    """What a run of a classifier does."""

    def results(numbers: Sequence[int]) -> Iterator[BatchResult[ImageClasses]]:
        return classify_batches(classifier, dataset, settings, numbers)

    return Work(len(dataset), settings.batch_size, results, pack_classes)


def classify_batches(
    classifier: Classifier,
    dataset: ClassifiedImages,
    settings: ValSettings,
    numbers: Sequence[int],
) -> Iterator[BatchResult[ImageClasses]]:
    """What the classifier says of the batches of those numbers, one after the other.

    Raises:
        DataError: under `settings.strict`, an image cannot be read or its class is not known.
    """
    load = _Loader(dataset, classifier.graph.input_shape.size, classifier.channels)
    count = len(dataset)
    for loaded in load_batches(load, count, settings.batch_size, numbers, settings.workers):
        if settings.strict:
            refuse_problems(loaded)
        yield _classified(classifier, dataset, loaded)


def _classified(
    classifier: Classifier, dataset: ClassifiedImages, loaded: LoadedBatch
) -> BatchResult[ImageClasses]:
    results = [ImageClasses(i.index, i.problem, NEVER, (), ()) for i in loaded.images]
    forward = post = 0.0
    for positions, tensor in loaded.inputs:
        start = time.perf_counter()
        scores = classifier.leaf_scores(tensor)
        wait_for(classifier.device)
        between = time.perf_counter()
        order = best_first(scores)
        for position, own, ids in zip(positions, scores, order, strict=True):
            index = loaded.images[position].index
            results[position] = _image_classes(dataset, index, own, ids)
        forward += between - start
        post += time.perf_counter() - between
    return BatchResult(loaded.number, tuple(results), Seconds(loaded.seconds, forward, post))


def _image_classes(
    dataset: ClassifiedImages, index: int, scores: Tensor, order: Tensor
) -> ImageClasses:
    """Args: scores: (C,) of one image; order: (C,) the class ids, best first."""
    if not torch.isfinite(scores).all():
        problem = f"{dataset.path(index)}: {_NO_NUMBERS}"
        return ImageClasses(index, problem, NEVER, (), ())
    rank = int((order == dataset.class_of(index)).nonzero())
    best = order[:TOP]
    return ImageClasses(index, None, rank, tuple(best.tolist()), tuple(scores[best].tolist()))


def evaluate_classes(
    dataset: ClassifiedImages, results: Sequence[ImageClasses], classes: int
) -> ClassifierMetrics:
    """The figures of a data set whose images all have a result, in the order of the data."""
    known = dataset.class_ids != UNKNOWN
    said = np.array([r.best[0] if r.best else NOTHING for r in results], np.int64)
    ranks = np.array([result.rank for result in results], np.int64)
    return ClassifierMetrics(
        images=len(results),
        top_k=evaluate_top_k(dataset.class_ids[known], said[known], ranks[known], classes),
        problems=tuple(
            ImageProblem(str(dataset.path(result.index)), result.problem)
            for result in results
            if result.problem is not None
        ),
    )


def pack_classes(image: ImageClasses) -> bytes:
    """An image's result as bytes for the journal of a run, but for its index."""
    problem = None if image.problem is None else image.problem.encode()
    length = _NO_PROBLEM if problem is None else len(problem)
    best = np.array(image.best, "<i4").tobytes()
    scores = np.array(image.scores, "<f4").tobytes()
    head = _HEAD.pack(image.rank, len(image.best), length)
    return b"".join((head, best, scores, problem or b""))


def unpack_classes(index: int, record: bytes) -> ImageClasses:
    """The result of image `index` from the bytes that `pack_classes` made of it."""
    rank, count, length = _HEAD.unpack_from(record)
    best = np.frombuffer(record, "<i4", count, _HEAD.size)
    scores = np.frombuffer(record, "<f4", count, _HEAD.size + 4 * count)
    problem = None if length == _NO_PROBLEM else record[_HEAD.size + 8 * count :].decode()
    return ImageClasses(index, problem, rank, tuple(best.tolist()), tuple(scores.tolist()))
