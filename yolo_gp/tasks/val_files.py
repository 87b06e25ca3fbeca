"""What a val run writes: detections as COCO results, and all figures as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason, replacing
from yolo_gp.metrics.coco import CocoMetrics
from yolo_gp.metrics.darknet import DarknetMetrics
from yolo_gp.metrics.records import ImageDetections
from yolo_gp.presets import Preset
from yolo_gp.tasks.val_metrics import ValMetrics
from yolo_gp.tasks.val_results import ImageResult, Seconds
from yolo_gp.tasks.val_run import Pace

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Speed:
    """How long an image takes, in milliseconds, and how many get through.

    Fields:
        pre: decoding and resizing one image, by one worker.
        forward: the network, per image of a batch.
        post: from its maps to boxes, by both conventions, or to classes.
        images_per_second: end to end, all processes together; None if all images had been done
            before.
    """

    pre: float
    forward: float
    post: float
    images_per_second: float | None


@dataclass(frozen=True, slots=True)
class Conventions:
    """Under what rules a run went, as its results say.

    Fields:
        size: (height, width) of the network's input in pixels.
    """

    cfg: str
    data: str
    preset: Preset
    size: tuple[int, int]


def speed(seconds: Seconds, images: int, pace: Pace) -> Speed:
    """Milliseconds per image, from the seconds that `images` took."""
    per_image = 1000 / max(images, 1)
    return Speed(
        seconds.pre * per_image,
        seconds.forward * per_image,
        seconds.post * per_image,
        pace.images_per_second,
    )


def write_detections(
    path: Path, results: Sequence[ImageResult], category_ids: Sequence[int]
) -> None:
    """The detections as COCO results: what pycocotools reads and scores to the same digits.

    Args:
        category_ids: what the data calls each class of the network.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with replacing(path) as file:
            separator = b"[\n"
            for result in results:
                for entry in _entries(result.coco, category_ids):
                    file.write(separator + entry.encode("ascii"))
                    separator = b",\n"
            file.write(b"[]\n" if separator == b"[\n" else b"\n]\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {os_reason(error)}") from error


def _entries(found: ImageDetections, category_ids: Sequence[int]) -> Iterator[str]:
    """Each detection as a JSON object; written by hand, since there are hundreds in an image."""
    rows = zip(
        found.boxes_xyxy.tolist(),
        found.confidences.tolist(),
        found.class_ids.tolist(),
        found.masks or [None] * len(found),
        strict=True,
    )
    start = f'{{"image_id":{found.image_id},"category_id":'
    for (left, top, right, bottom), confidence, class_id, mask in rows:
        box = f"[{left!r},{top!r},{right - left!r},{bottom - top!r}]"
        end = "}" if mask is None else f',"segmentation":{_run_lengths(mask)}}}'
        yield f'{start}{category_ids[class_id]},"bbox":{box},"score":{confidence!r}{end}'


def _run_lengths(mask: Rle) -> str:
    return json.dumps({"size": list(mask.size), "counts": mask.counts}, separators=(",", ":"))


def metrics_json(
    metrics: ValMetrics, names: Sequence[str], conventions: Conventions, measured: Speed
) -> str:
    """All figures as one JSON object; null where there is nothing to measure against.

    Args:
        names: of the classes, by id.
    """
    preset = conventions.preset
    curve = metrics.curves.pooled
    content: dict[str, object] = {
        "schema_version": _SCHEMA_VERSION,
        "cfg": conventions.cfg,
        "data": conventions.data,
        "images": metrics.images,
        "input_height": conventions.size[0],
        "input_width": conventions.size[1],
        "preset": preset.name,
        "confidence": preset.confidence,
        "iou_threshold": preset.iou_threshold,
        "max_detections": preset.max_detections,
        "box": _coco(metrics.box),
        "mask": metrics.mask and _coco(metrics.mask),
        "darknet": _darknet(metrics.darknet),
        "gap": metrics.gap,
        "best_f1": _number(curve.best_f1),
        "best_f1_confidence": _number(curve.best_confidence),
        "classes": _classes(metrics, names),
        "unusable": [{"file": p.file, "reason": p.reason} for p in metrics.problems],
        "speed": speed_json(measured),
    }
    return json.dumps(content, indent=1)


def speed_json(measured: Speed) -> dict[str, float | None]:
    """A run's speed as part of its JSON."""
    through = measured.images_per_second
    return {
        "pre_ms": round(measured.pre, 3),
        "forward_ms": round(measured.forward, 3),
        "post_ms": round(measured.post, 3),
        "images_per_second": through and round(through, 3),
    }


def _coco(found: CocoMetrics) -> dict[str, float | None]:
    return {
        "ap": _number(found.ap),
        "ap50": _number(found.ap50),
        "ap75": _number(found.ap75),
        "ap_small": _number(found.ap_small),
        "ap_medium": _number(found.ap_medium),
        "ap_large": _number(found.ap_large),
        "ar_1": _number(found.ar_1),
        "ar_10": _number(found.ar_10),
        "ar_100": _number(found.ar_100),
        "ar_small": _number(found.ar_small),
        "ar_medium": _number(found.ar_medium),
        "ar_large": _number(found.ar_large),
    }


def _darknet(found: DarknetMetrics) -> dict[str, float]:
    counts = found.counts
    return {
        "map_area": found.map_area,
        "map_11": found.map_11,
        "map_101": found.map_101,
        "map_present": found.map_present,
        "confidence": found.confidence,
        "iou_threshold": found.iou_threshold,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "average_iou": counts.average_iou,
        "correct": counts.correct,
        "wrong": counts.wrong,
        "missed": counts.missed,
    }


def _classes(metrics: ValMetrics, names: Sequence[str]) -> list[dict[str, object]]:
    """One object for each class; a mask's AP only where masks were compared."""
    return [
        {
            "class_id": class_id,
            "name": name,
            "objects": metrics.curves.classes[class_id].objects,
            "ap": _number(metrics.box.class_ap[class_id]),
            "ap50": _number(metrics.box.class_ap50[class_id]),
            **({"mask_ap": _number(metrics.mask.class_ap[class_id])} if metrics.mask else {}),
            "darknet_ap_area": metrics.darknet.classes[class_id].ap_area,
        }
        for class_id, name in enumerate(names)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
