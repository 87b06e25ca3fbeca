"""Validation: every image through the network, every box beside the ground truth."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from yolo_gp.data.dataset import Dataset
from yolo_gp.data.letterbox import ImagePlacement
from yolo_gp.detections import Candidates, Detections
from yolo_gp.dialect import Dialect
from yolo_gp.errors import DataError, UsageError
from yolo_gp.graph import Graph
from yolo_gp.metrics.coco_columns import MAX_DETECTIONS
from yolo_gp.postprocess import detections, exceeding
from yolo_gp.presets import DARKNET_MAP, Preset, find_val_preset
from yolo_gp.tasks.detector import Detector
from yolo_gp.tasks.val_loading import (
    DetectionLoader,
    InputRule,
    LoadedBatch,
    LoadedImage,
    batch_count,
    load_batches,
)
from yolo_gp.tasks.val_metrics import ValMetrics, evaluate
from yolo_gp.tasks.val_packing import packed
from yolo_gp.tasks.val_results import (
    BatchResult,
    ImageResult,
    Seconds,
    as_record,
    best_of_each_class,
    nothing_found,
)
from yolo_gp.tasks.val_run import Work, run_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class ValSettings:
    """How a data set goes through a network. The conventions are the detector's preset.

    Fields:
        batch_size: images per forward pass; 16 keep a processor busy and take 100 MB at 640x640.
        workers: processes that decode and resize beside the network; 0 does it in between.
        strict: an image or a label file that cannot be read ends the run. Otherwise the objects in
            an image that cannot be read count as missed, and an image whose labels cannot be
            read is left out.
    """

    batch_size: int = 16
    workers: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"a batch of {self.batch_size} images is none; it must be at least 1")
        if self.workers < 0:
            raise UsageError(f"there cannot be {self.workers} workers; it must be 0 or more")


def val_preset(name: str | None, graph: Graph) -> Preset:
    """The conventions for val by name; by default Darknet's for a cfg in Darknet's language.

    A cfg with a section or key of our own can only be trained by our recipe, whose conventions
    are YOLOR's: "coco".

    Raises:
        UsageError: there is no preset of that name.
    """
    return find_val_preset(name or ("darknet" if _is_in_darknets_language(graph) else "coco"))


def _is_in_darknets_language(graph: Graph) -> bool:
    return graph.dialect is Dialect.DARKNET and all(
        written.layer is not None
        and not written.layer.ours
        and written.layer.beyond_darknet() is None
        for written in graph.spec.layers
    )


def detection_facts(
    detector: Detector, dataset: Dataset, settings: ValSettings, weights: str
) -> dict[str, str]:
    """The `run_facts` of a detector.

    Args:
        weights: their `weights_digest`.
    """
    preset = {key: str(value) for key, value in asdict(detector.preset).items()}
    return run_facts(
        detector,
        weights=weights,
        classes=dataset.class_names,
        images=[f"{sample.image_id} {sample.path.name}" for sample in dataset.samples],
        conventions={
            "batch": str(settings.batch_size),
            "preset": preset.pop("name"),
            **preset,
        },
    )


def detection_work(
    detector: Detector, dataset: Dataset, settings: ValSettings
) -> Work[ImageResult]:
    """What a run of a detector does."""

    def results(numbers: Sequence[int]) -> Iterator[BatchResult[ImageResult]]:
        return detect_batches(detector, dataset, settings, numbers)

    return Work(len(dataset.samples), settings.batch_size, results, packed)


def validate(
    detector: Detector,
    dataset: Dataset,
    settings: ValSettings | None = None,
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> ValMetrics:
    """How good a detector is on a data set; writes nothing, so that training can ask for it.

    Args:
        detector: with one of `presets.VAL_PRESETS`; it needs the same classes as the data.
        advance: called with the number of images done, for a progress bar.

    Raises:
        DataError: under `settings.strict`, an image or its labels cannot be read.
    """
    settings = settings or ValSettings()
    numbers = range(batch_count(len(dataset.samples), settings.batch_size))
    results: list[ImageResult] = []
    for batch in detect_batches(detector, dataset, settings, numbers):
        results += batch.images
        advance(len(batch.images))
    return evaluate(dataset, results, detector.num_classes, detector.preset)


def detect_batches(
    detector: Detector, dataset: Dataset, settings: ValSettings, numbers: Sequence[int]
) -> Iterator[BatchResult[ImageResult]]:
    """What the detector finds in the batches of those numbers, one after the other.

    Raises:
        DataError: there are no images; or, under `settings.strict`, one or its labels cannot be
            read.
    """
    if not len(dataset.samples):
        raise DataError(f"{dataset.name} holds no images")
    graph = detector.graph
    rule = InputRule(
        size=graph.input_shape.size,
        channels=detector.channels,
        stride=graph.stride,
        preset=detector.preset,
    )
    load, count = DetectionLoader(dataset, rule), len(dataset.samples)
    for loaded in load_batches(load, count, settings.batch_size, numbers, settings.workers):
        if settings.strict:
            refuse_problems(loaded)
        yield _detect(detector, dataset, loaded)


def refuse_problems(loaded: LoadedBatch) -> None:
    """Raise a DataError if an image of the batch cannot be used."""
    for image in loaded.images:
        if image.problem:
            raise DataError(f"{image.problem}\nhelp: without --strict the run goes on past it")


@torch.inference_mode()
def _detect(detector: Detector, dataset: Dataset, loaded: LoadedBatch) -> BatchResult[ImageResult]:
    results = [_unusable(dataset, image) for image in loaded.images]
    lowest = min(detector.preset.confidence, DARKNET_MAP.confidence)
    forward = post = 0.0
    for positions, tensor in loaded.inputs:
        start = time.perf_counter()
        maps = detector.maps(tensor)
        wait_for(detector.device)
        between = time.perf_counter()
        with _one_thread():
            proposed = detector.decode(maps, tensor.shape[2:], lowest)
            for position, candidates in zip(positions, proposed, strict=True):
                image = loaded.images[position]
                results[position] = _chosen(detector, dataset, image, candidates)
        forward += between - start
        post += time.perf_counter() - between
    return BatchResult(loaded.number, tuple(results), Seconds(loaded.seconds, forward, post))


def wait_for(device: torch.device) -> None:
    """Let an accelerator finish, so that its time is counted where it was spent."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Post-processing is many small steps: to share each out costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _unusable(dataset: Dataset, image: LoadedImage) -> ImageResult:
    nothing = nothing_found(dataset.samples[image.index].image_id)
    return ImageResult(image.index, image.size, image.problem, nothing, nothing)


def _chosen(
    detector: Detector, dataset: Dataset, image: LoadedImage, candidates: Candidates
) -> ImageResult:
    """The detections of one image by the preset's conventions, and by those of Darknet's map."""
    placement = image.placement
    assert placement is not None  # the image is in the batch
    image_id = dataset.samples[image.index].image_id
    on_cpu = replace(
        candidates,
        boxes_cxcywh_norm=candidates.boxes_cxcywh_norm.cpu(),
        scores=candidates.scores.cpu(),
    )
    # No class has more than so many places among the detections that COCO looks at.
    enough = max(MAX_DETECTIONS, detector.preset.max_detections or 0)
    suppressed = _suppressed(detector, on_cpu, placement, detector.preset, best_of_class=enough)
    coco = best_of_each_class(suppressed)
    without_masks = replace(on_cpu, mask_recipes=())
    darknet = _suppressed(detector, without_masks, placement, DARKNET_MAP)
    return ImageResult(
        image.index, image.size, None, as_record(image_id, coco), as_record(image_id, darknet)
    )


def _suppressed(
    detector: Detector,
    candidates: Candidates,
    placement: ImagePlacement,
    preset: Preset,
    best_of_class: int | None = None,
) -> Detections:
    above = exceeding(candidates, preset.confidence)
    return detections(above, placement, preset, detector.nms_rule, best_of_class=best_of_class)
