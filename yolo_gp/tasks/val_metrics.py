"""All figures of a val run, from what was found and what stands in the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yolo_gp.data.dataset import Dataset, GroundTruth
from yolo_gp.metrics.coco import CocoMetrics, evaluate_coco
from yolo_gp.metrics.curves import Curves, confidence_curves
from yolo_gp.metrics.darknet import DarknetMetrics, evaluate_darknet
from yolo_gp.metrics.gap import Thresholds, explain_gap
from yolo_gp.presets import DARKNET_MAP, Preset
from yolo_gp.tasks.val_results import EvaluatedImages, ImageResult, ground_truths


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """An image that could not be used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ValMetrics:
    """How good a detector is on a data set.

    Fields:
        images: how many the data set has.
        box: COCO's figures of the boxes.
        mask: COCO's figures of the masks; None if the network proposes or the data has none.
        darknet: what Darknet's `detector map` says of the same network outputs.
        gap: why Darknet's figure and COCO's AP50 differ, in words.
        curves: precision, recall and F1 against confidence, at IoU .5.
        problems: the images that could not be used.
    """

    images: int
    box: CocoMetrics
    mask: CocoMetrics | None
    darknet: DarknetMetrics
    gap: str
    curves: Curves
    problems: tuple[ImageProblem, ...]


def evaluate(
    dataset: Dataset, results: Sequence[ImageResult], class_count: int, preset: Preset
) -> ValMetrics:
    """The figures of a data set whose images all have a result, in the order of the data.

    Args:
        class_count: of the network; the data has no class beyond.
        preset: the conventions by which `ImageResult.coco` was found.
    """
    truths = ground_truths(dataset, results)
    images = EvaluatedImages(truths, results, "coco")
    box = evaluate_coco(images, class_count)
    masks = _have_masks(truths) and any(result.coco.masks is not None for result in results)
    darknet = evaluate_darknet(EvaluatedImages(truths, results, "darknet"), class_count)
    gap = explain_gap(
        box,
        darknet,
        class_count,
        coco_thresholds=Thresholds(preset.confidence, preset.iou_threshold),
        darknet_thresholds=Thresholds(DARKNET_MAP.confidence, DARKNET_MAP.iou_threshold),
    )
    return ValMetrics(
        images=len(results),
        box=box,
        mask=evaluate_coco(images, class_count, iou_type="segm") if masks else None,
        darknet=darknet,
        gap=gap,
        curves=confidence_curves(images, class_count),
        problems=tuple(
            ImageProblem(str(dataset.samples[result.index].path), result.problem)
            for result in results
            if result.problem is not None
        ),
    )


def _have_masks(truths: Sequence[GroundTruth]) -> bool:
    """Whether every object has a mask, and there is one."""
    with_objects = [truth for truth in truths if len(truth)]
    return bool(with_objects) and all(truth.masks is not None for truth in with_objects)
