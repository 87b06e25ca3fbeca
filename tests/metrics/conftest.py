"""Small data sets of random objects, with detections that half hit them; and a real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.detections import Rle
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections
from yolo_gp.presets import find_preset
from yolo_gp.tasks.detector import Detector, DetectorSettings
from yolo_gp.tasks.models import ModelSource

SIZE = (60, 80)
Row = tuple[float, ...]


def image_of(
    objects: Sequence[Row], found: Sequence[Row], *, image_id: int = 1, size: tuple[int, int] = SIZE
) -> EvaluatedImage:
    """An image without masks.

    Args:
        objects: rows of left, top, right, bottom, class; then, where given, 1 for ignored and 1
            for crowd.
        found: rows of left, top, right, bottom, confidence, class.
    """
    truth = np.array([[*row, 0, 0][:7] for row in objects], dtype=np.float64).reshape(-1, 7)
    detections = np.array(found, dtype=np.float64).reshape(-1, 6)
    boxes = truth[:, :4]
    return EvaluatedImage(
        size,
        GroundTruth(
            boxes_xyxy=boxes,
            class_ids=truth[:, 4].astype(np.int64),
            ignored=truth[:, 5] > 0,
            crowd=truth[:, 6] > 0,
            areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        ),
        ImageDetections(
            image_id=image_id,
            boxes_xyxy=detections[:, :4].astype(np.float32),
            confidences=detections[:, 4].astype(np.float32),
            class_ids=detections[:, 5].astype(np.int64),
        ),
    )


def random_images(
    seed: int,
    *,
    classes: int = 3,
    count: int = 6,
    found: tuple[int, int] = (0, 12),
    ties: bool = True,
    difficult: float = 0.0,
) -> list[EvaluatedImage]:
    """Images whose ids are in no order, some without objects, some without detections.

    Args:
        found: least and most detections of an image.
        ties: confidences are .1, .2, .3, .5 or .9; else anything.
        difficult: share of objects that are ignored without being crowds; a sixth are crowds.
    """
    rng = np.random.default_rng(seed)
    images = []
    for image_id in rng.permutation(1000)[:count].tolist():
        objects: list[Row] = []
        for _ in range(rng.integers(0, 6)):
            crowd = rng.random() < 1 / 6
            ignored = crowd or rng.random() < difficult
            objects.append((*_box(rng), rng.integers(classes), ignored, crowd))
        rows: list[Row] = []
        for _ in range(rng.integers(found[0], found[1] + 1)):
            row: Row = (*_box(rng), rng.integers(classes))
            if objects and rng.random() < 0.6:
                near = objects[rng.integers(len(objects))]
                row = (*(edge + rng.choice([0, 0, 1, 3]) for edge in near[:4]), near[4])
            confidence = rng.choice([0.1, 0.2, 0.3, 0.5, 0.9]) if ties else rng.random()
            rows.append((*row[:4], float(confidence), row[4]))
        rows.sort(key=lambda row: -row[4])
        images.append(image_of(objects, rows, image_id=image_id))
    return images


def _box(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A box of whole pixels inside the image, at times without area."""
    left, right = np.sort(rng.integers(0, SIZE[1] + 1, 2)).tolist()
    top, bottom = np.sort(rng.integers(0, SIZE[0] + 1, 2)).tolist()
    return left, top, right, bottom


def encoded(pixels: NDArray[np.bool_]) -> Rle:
    """Pixels (h, w) in COCO's run lengths."""
    counts = mask_api.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"]
    return Rle((pixels.shape[0], pixels.shape[1]), counts.decode("ascii"))


def with_random_masks(image: EvaluatedImage, seed: int) -> EvaluatedImage:
    """The same with speckled masks inside all boxes, and areas of the objects' masks."""
    rng = np.random.default_rng(seed)

    def mask(box: NDArray[np.floating]) -> Rle:
        left, top, right, bottom = (int(edge) for edge in box)
        pixels = np.zeros(image.size, dtype=np.bool_)
        pixels[top:bottom, left:right] = rng.random(image.size)[top:bottom, left:right] > 0.2
        return encoded(pixels)

    masks = tuple(mask(box) for box in image.truth.boxes_xyxy)
    areas = [mask_api.area({"size": list(m.size), "counts": m.counts}) for m in masks]
    truth = replace(image.truth, masks=masks, areas=np.array(areas, dtype=np.float64))
    found_masks = tuple(mask(box) for box in image.found.boxes_xyxy)
    return replace(image, truth=truth, found=replace(image.found, masks=found_masks))


@pytest.fixture(name="image_of", scope="session")
def _image_of() -> Callable[..., EvaluatedImage]:
    return image_of


@pytest.fixture(name="random_images", scope="session")
def _random_images() -> Callable[..., list[EvaluatedImage]]:
    return random_images


@pytest.fixture(name="with_random_masks", scope="session")
def _with_random_masks() -> Callable[[EvaluatedImage, int], EvaluatedImage]:
    return with_random_masks


@pytest.fixture(name="encoded", scope="session")
def _encoded() -> Callable[[NDArray[np.bool_]], Rle]:
    return encoded


@pytest.fixture(scope="session")
def coco_truth(shared: Path) -> dict[int, tuple[tuple[int, int], GroundTruth]]:
    """Size and ground truth of the 64 validation images of coco-mini, with masks, by image id."""
    file = shared / "data" / "coco-mini" / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    class_of = {category["id"]: i for i, category in enumerate(content["categories"])}
    truths = {}
    for image in content["images"]:
        own = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        boxes = np.array([one["bbox"] for one in own], dtype=np.float64).reshape(-1, 4)
        crowd = np.array([one["iscrowd"] for one in own], dtype=np.bool_)
        codes = [one["segmentation"] for one in own]
        truths[image["id"]] = (
            (image["height"], image["width"]),
            GroundTruth(
                boxes_xyxy=np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1),
                class_ids=np.array([class_of[one["category_id"]] for one in own], dtype=np.int64),
                ignored=crowd,
                crowd=crowd,
                areas=np.array([one["area"] for one in own], dtype=np.float64),
                masks=tuple(Rle((c["size"][0], c["size"][1]), c["counts"]) for c in codes),
            ),
        )
    return truths


@pytest.fixture(scope="session")
def real_images(
    shared: Path, coco_truth: dict[int, tuple[tuple[int, int], GroundTruth]]
) -> list[EvaluatedImage]:
    """What yolo-fastest-1.1 finds in those, under the thresholds of Darknet's `detector map`."""
    model = shared / "data" / "models" / "yolo-fastest-1.1"
    preset = replace(find_preset("darknet"), confidence=0.005, iou_threshold=0.45)
    source = ModelSource(cfg=f"{model}.cfg", weights=f"{model}.weights")
    detector = Detector.load(DetectorSettings(model=source, preset=preset))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = []
    for image_id, (size, truth) in coco_truth.items():
        folder = shared / "data" / "coco-mini" / "images" / "val"
        found = detector.detect(folder / f"{image_id:012d}.jpg")
        arrays = (found.boxes_xyxy.numpy(), found.confidences.numpy(), found.class_ids.numpy())
        images.append(EvaluatedImage(size, truth, ImageDetections(image_id, *arrays)))
    torch.set_num_threads(threads)
    return images
