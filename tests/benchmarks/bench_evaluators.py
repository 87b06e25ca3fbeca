"""COCO evaluation of 2,000 synthetic images: pycocotools, faster-coco-eval and hotcoco, our choice.

    python tests/benchmarks/bench_evaluators.py [--images 2000] [--rounds 3] [--masks]

Every contender starts from the same ground truth and detections in memory (dicts for those that
want dicts, which are made before the clock starts; for `evaluate_coco` its own gathering of
columns is timed too) and ends with its tables. They take turns, round by round. Prints medians,
the spread (fastest to slowest round) and how many times faster than pycocotools. faster-coco-eval
is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.metadata
import importlib.util
import io
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.detections import Rle
from yolo_gp.metrics.coco import evaluate_coco
from yolo_gp.metrics.coco_columns import (
    IouType,
    category_records,
    found_columns,
    image_records,
    truth_columns,
)
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections

CLASSES, OBJECTS, FOUND = 80, 7, 100  # of COCO: 36,781 objects in 5,000 images
SIZE = (480, 640)
AP, AP50 = 0, 1  # in what the contenders return

Run = Callable[[], tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--masks", action="store_true", help="compare masks instead of boxes")
    arguments = parser.parse_args()
    iou_type: IouType = "segm" if arguments.masks else "bbox"
    images = synthetic(arguments.images, masks=arguments.masks)
    found = sum(len(image.found) for image in images)
    print(machine())
    print(f"{len(images):,} images, {found:,} detections, {CLASSES} classes, {iou_type}")
    contenders = prepare(images, iou_type)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results = set()
    for _ in range(arguments.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            results.add(run())
            times[name].append(time.perf_counter() - start)
    slowest = statistics.median(times["pycocotools"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(
            f"{name:<24}{median:>9.3f} s  ({min(seconds):.3f} to {max(seconds):.3f}), "
            f"{slowest / median:.1f} times as fast as pycocotools"
        )
    print(f"AP, AP50: {results}" + ("" if len(results) == 1 else "  THEY DISAGREE"))


def machine() -> str:
    names = ("numpy", "pycocotools", "faster-coco-eval", "hotcoco")
    versions = []
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    cores = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{platform.platform()}, {cores}, {', '.join(versions)}"


def synthetic(count: int, *, masks: bool) -> list[EvaluatedImage]:
    """Images with about as many objects as COCO's; a third of the detections lie near one."""
    rng = np.random.default_rng(0)
    images = []
    for image_id in range(1, count + 1):
        number = int(rng.poisson(OBJECTS))
        boxes, classes = random_boxes(rng, number), rng.integers(0, CLASSES, number)
        found, found_classes = random_boxes(rng, FOUND), rng.integers(0, CLASSES, FOUND)
        near = np.flatnonzero(rng.random(FOUND) < 1 / 3) if number else np.zeros(0, np.int64)
        chosen = rng.integers(0, max(number, 1), len(near))
        found[near] = (boxes[chosen] + rng.normal(0, 8, (len(near), 4))) if number else found[near]
        found[near, 2:] = np.maximum(found[near, 2:], found[near, :2] + 1)
        found_classes[near] = classes[chosen] if number else found_classes[near]
        confidences = np.sort(rng.random(FOUND).astype(np.float32) ** 2)[::-1]
        crowd = rng.random(number) < 0.01
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        image = EvaluatedImage(
            SIZE,
            GroundTruth(boxes, classes, crowd, crowd, areas),
            ImageDetections(image_id, found.astype(np.float32), confidences, found_classes),
        )
        images.append(with_masks(image) if masks else image)
    return images


def random_boxes(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    height, width = SIZE
    sizes = np.exp(rng.uniform(np.log(10), np.log(300), (number, 2)))
    corners = rng.random((number, 2)) * (np.array([width, height]) - sizes)
    return np.concatenate((corners, corners + sizes), axis=1)


def with_masks(image: EvaluatedImage) -> EvaluatedImage:
    """The same with an ellipse in each box as its mask."""
    truth = replace(image.truth, masks=tuple(ellipse(box) for box in image.truth.boxes_xyxy))
    found = replace(image.found, masks=tuple(ellipse(box) for box in image.found.boxes_xyxy))
    return replace(image, truth=truth, found=found)


def ellipse(box: NDArray[np.floating]) -> Rle:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    polygon = centre + half * np.column_stack((np.cos(angles), np.sin(angles)))
    (code,) = mask_api.frPyObjects([polygon.ravel().tolist()], *SIZE)
    return Rle(SIZE, code["counts"].decode("ascii"))


@dataclass(frozen=True)
class Peer:
    """An evaluator with pycocotools' interface."""

    dataset: type
    evaluator: type


def prepare(images: list[EvaluatedImage], iou_type: IouType) -> dict[str, Run]:
    """The contenders by name; each returns AP and AP50."""
    peers = {"pycocotools": Peer(COCO, COCOeval)}
    if importlib.util.find_spec("faster_coco_eval"):
        import faster_coco_eval

        peers["faster-coco-eval"] = Peer(faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)
    dicts = [
        {
            "info": {},
            "images": image_records(images),
            "categories": category_records(CLASSES),
            "annotations": columns(images, iou_type).annotations(),
        }
        for columns in (truth_columns, found_columns)
    ]

    def ours() -> tuple[float, float]:
        metrics = evaluate_coco(images, CLASSES, iou_type=iou_type)
        return round(metrics.ap, 12), round(metrics.ap50, 12)

    runs: dict[str, Run] = {}
    for name, peer in peers.items():
        runs[name] = peer_run(peer, copy.deepcopy(dicts), iou_type)
    return {**runs, "hotcoco (evaluate_coco)": ours}


def peer_run(peer: Peer, dicts: list[dict[str, object]], iou_type: IouType) -> Run:
    """One evaluation by a peer, which may write into its dicts but finds the same again."""

    def run() -> tuple[float, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            apis = []
            for content in dicts:
                api = peer.dataset()
                api.dataset = content
                api.createIndex()
                apis.append(api)
            evaluator = peer.evaluator(*apis, iou_type)
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
        return round(float(evaluator.stats[AP]), 12), round(float(evaluator.stats[AP50]), 12)

    return run


if __name__ == "__main__":
    main()
