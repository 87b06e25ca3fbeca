"""Ground truth and detections of a data set in COCO's words: columns, or a dict for each box."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections

IouType = Literal["bbox", "segm"]

MAX_DETECTIONS = 100
"""Detections of a class in an image that COCO looks at, the most confident first."""

_Objects = GroundTruth | ImageDetections
_Number = TypeVar("_Number", np.bool_, np.int64, np.float64)

_NEVER_COUNTS = -1.0  # an area outside of all ranges: evaluators then ignore the object


class Annotation(TypedDict, total=False):
    """An object or a detection in COCO's words; detections alone use the score."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float]
    area: float
    iscrowd: int
    score: float
    segmentation: dict[str, list[int] | str]


@dataclass(frozen=True, slots=True, eq=False)
class BoxColumns:
    """N objects or N detections of all images, in columns.

    Fields:
        image_ids, category_ids: (N,) int64, from 1.
        boxes_xywh: (N, 4) float64; left, top, width, height in pixels.
        areas: (N,) float64; of the masks where those are compared.
        crowd: (N,) bool; false for detections.
        scores: (N,) float64; 0 for objects.
        masks: N of them; None where boxes are compared.
    """

    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    scores: NDArray[np.float64]
    masks: list[Rle] | None

    @property
    def ids(self) -> NDArray[np.int64]:
        """(N,), from 1: pycocotools takes an object with id 0 for one that nobody found."""
        return np.arange(1, len(self.image_ids) + 1)

    def table(self) -> NDArray[np.float64]:
        """Rows (N, 7): image, left, top, width, height, score, category."""
        columns = (self.image_ids, self.boxes_xywh, self.scores, self.category_ids)
        return np.column_stack(columns)

    def annotations(self) -> list[Annotation]:
        """One dict for each, as pycocotools wants them."""
        rows = [
            Annotation(
                id=identity,
                image_id=image_id,
                category_id=category_id,
                bbox=box,
                area=area,
                iscrowd=int(crowd),
                score=score,
            )
            for identity, image_id, category_id, box, area, crowd, score in zip(
                self.ids.tolist(),
                self.image_ids.tolist(),
                self.category_ids.tolist(),
                self.boxes_xywh.tolist(),
                self.areas.tolist(),
                self.crowd.tolist(),
                self.scores.tolist(),
                strict=True,
            )
        ]
        if self.masks is not None:
            for row, mask in zip(rows, self.masks, strict=True):
                row["segmentation"] = run_lengths(mask)
        return rows


def image_records(images: Sequence[EvaluatedImage]) -> list[dict[str, int]]:
    """The images in COCO's words, numbered from 1 in the order of their ids."""
    return [
        {"id": number, "height": image.size[0], "width": image.size[1]}
        for number, image in enumerate(_in_order(images), 1)
    ]


def _in_order(images: Sequence[EvaluatedImage]) -> list[EvaluatedImage]:
    """By image id, as pycocotools takes them: the order decides between equal confidences."""
    return sorted(images, key=lambda image: image.found.image_id)


def category_records(class_count: int) -> list[dict[str, int | str]]:
    return [{"id": class_id + 1, "name": str(class_id)} for class_id in range(class_count)]


def truth_columns(images: Sequence[EvaluatedImage], iou_type: IouType) -> BoxColumns:
    """All objects of the ground truth."""
    ordered = _in_order(images)
    truths = [image.truth for image in ordered]
    crowd = _joined([truth.crowd for truth in truths], np.bool_)
    ignored = _joined([truth.ignored for truth in truths], np.bool_)
    areas = _joined([truth.areas for truth in truths], np.float64)
    return BoxColumns(
        image_ids=_numbers(truths),
        category_ids=_joined([truth.class_ids for truth in truths], np.int64) + 1,
        boxes_xywh=_xywh([truth.boxes_xyxy for truth in truths]),
        areas=np.where(ignored, _NEVER_COUNTS, areas),
        crowd=crowd,
        scores=np.zeros(len(crowd)),
        masks=_masks(ordered, truths) if iou_type == "segm" else None,
    )


def found_columns(images: Sequence[EvaluatedImage], iou_type: IouType) -> BoxColumns:
    """The detections that COCO looks at."""
    ordered = _in_order(images)
    found = [_most_confident(image.found) for image in ordered]
    boxes_xywh = _xywh([detections.boxes_xyxy for detections in found])
    masks = _masks(ordered, found) if iou_type == "segm" else None
    areas = boxes_xywh[:, 2:].prod(axis=1) if masks is None else _mask_areas(masks)
    return BoxColumns(
        image_ids=_numbers(found),
        category_ids=_joined([detections.class_ids for detections in found], np.int64) + 1,
        boxes_xywh=boxes_xywh,
        areas=areas,
        crowd=np.zeros(len(areas), dtype=np.bool_),
        scores=_joined([detections.confidences for detections in found], np.float64),
        masks=masks,
    )


def _most_confident(found: ImageDetections) -> ImageDetections:
    """The `MAX_DETECTIONS` best of each class, which are all that COCO looks at."""
    if len(found) <= MAX_DETECTIONS:
        return found
    order = np.lexsort((-found.confidences, found.class_ids))  # stable
    classes = found.class_ids[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)  # within the class
    kept = order[rank < MAX_DETECTIONS]
    masks = None if found.masks is None else tuple(found.masks[i] for i in kept.tolist())
    return ImageDetections(
        found.image_id,
        found.boxes_xyxy[kept],
        found.confidences[kept],
        found.class_ids[kept],
        masks,
    )


def _numbers(parts: Sequence[_Objects]) -> NDArray[np.int64]:
    """For each object of each image, the number of its image, from 1: (N,)."""
    return np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])


def _joined(parts: Iterable[NDArray[np.generic]], dtype: type[_Number]) -> NDArray[_Number]:
    """One column (N,) of all images."""
    return np.concatenate([np.zeros(0, dtype), *parts], dtype=dtype, casting="safe")


def _xywh(boxes_xyxy: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Left, top, width and height (N, 4) of the boxes of all images."""
    boxes = np.concatenate([np.zeros((0, 4)), *boxes_xyxy], dtype=np.float64)
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)


def _masks(
    images: Sequence[EvaluatedImage],
    parts: Sequence[_Objects],
) -> list[Rle]:
    """The masks of all images.

    Raises:
        DataError: an image has objects without masks, or masks of another size.
    """
    masks: list[Rle] = []
    for image, part in zip(images, parts, strict=True):
        what = "object" if isinstance(part, GroundTruth) else "detection"
        if part.masks is None and len(part):
            have = f"{what} in image {image.found.image_id} has"
            if len(part) > 1:
                have = f"{what}s in image {image.found.image_id} have"
            raise DataError(
                f"masks are to be compared, but the {len(part)} {have} none\n"
                "help: compare boxes instead"
            )
        for mask in part.masks or ():
            if mask.size != image.size:
                raise DataError(
                    f"image {image.found.image_id} is {_by(image.size)} pixels, but the mask of "
                    f"one of its {what}s is made for {_by(mask.size)}"
                )
            masks.append(mask)
    return masks


def _by(size: tuple[int, int]) -> str:
    """A size (height, width) as people write it."""
    return f"{size[1]} x {size[0]}"


def _mask_areas(masks: list[Rle]) -> NDArray[np.float64]:
    """Pixels of each mask: (N,)."""
    areas = [mask_api.area(run_lengths(mask)) for mask in masks]  # a list of 256 overflows in it
    return np.array(areas, dtype=np.float64)


def run_lengths(mask: Rle) -> dict[str, list[int] | str]:
    """A mask in COCO's words."""
    return {"size": list(mask.size), "counts": mask.counts}
