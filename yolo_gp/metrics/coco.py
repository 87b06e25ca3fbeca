"""COCO's average precision and recall, for boxes and masks.

pycocotools is the reference. The default is hotcoco: it fills the same tables bit for bit
(tests/metrics/test_coco.py: ties, crowds, empty images, over 100 detections, masks) in a
fraction of the time (tests/benchmarks/bench_evaluators.py). faster-coco-eval gives the same
digits too, but is slower and wants a Python dict for every box, where hotcoco takes arrays.
hotcoco is MIT, needs numpy only, and has one wheel for all of Python >= 3.10 on each of Linux,
macOS and Windows. It is young, so pycocotools stays at hand: `evaluate_coco_reference`.

Legend of tables: 10 IoU thresholds, R recalls, C classes, 4 areas, 3 limits on detections.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_gp.metrics.coco_columns import (
    BoxColumns,
    IouType,
    category_records,
    found_columns,
    image_records,
    truth_columns,
)
from yolo_gp.metrics.records import EvaluatedImage

_IOU_50, _IOU_75 = 0, 5  # positions among .5, .55, ... .95
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_LIMIT_1, _LIMIT_10, _LIMIT_100 = range(3)


@dataclass(frozen=True, slots=True)
class CocoMetrics:
    """COCO's figures, all in 0..1; nan where there is no ground truth to measure against.

    Fields:
        iou_type: whether boxes or masks were compared.
        ap: mean over IoU .5, .55, ... .95 and over the classes with ground truth.
        ap50, ap75: at one IoU.
        ap_small, ap_medium, ap_large: of objects up to 32 x 32 pixels, up to 96 x 96, and larger.
        ar_1, ar_10, ar_100: recall with so many detections of each class in each image.
        ar_small, ar_medium, ar_large: with 100 detections.
        class_ap, class_ap50: by class id.
    """

    iou_type: IouType
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar_1: float
    ar_10: float
    ar_100: float
    ar_small: float
    ar_medium: float
    ar_large: float
    class_ap: tuple[float, ...]
    class_ap50: tuple[float, ...]


def evaluate_coco(
    images: Sequence[EvaluatedImage], class_count: int, *, iou_type: IouType = "bbox"
) -> CocoMetrics:
    """COCO's figures of a data set, by hotcoco.

    An ignored object that is no crowd (VOC's difficult ones) may be found once, at the usual IoU,
    without this being right or wrong. Of detections with equal confidence the first in the image,
    and the image with the lower id, comes first.

    Args:
        images: in any order; class ids are below `class_count`.
        iou_type: "segm" compares masks, "bbox" boxes.

    Raises:
        DataError: masks are to be compared, but some are missing or of another size than their
            image.
    """
    images_of, categories = image_records(images), category_records(class_count)
    truth, found = truth_columns(images, iou_type), found_columns(images, iou_type)
    expected = hotcoco.COCO.from_arrays(
        images_of,
        categories,
        truth.image_ids,
        truth.category_ids,
        truth.boxes_xywh,
        area=truth.areas,
        iscrowd=truth.crowd,
        segmentation=_segmentation(truth),
    )
    proposed = expected.load_res(found.table(), segmentation=_segmentation(found))
    proposed.update_anns(ids=found.ids, area=found.areas)  # of the masks where those are compared
    evaluator = hotcoco.COCOeval(expected, proposed, iou_type)
    evaluator.evaluate()
    evaluator.accumulate()
    tables = evaluator.eval
    assert tables is not None
    return _metrics(tables["precision"], tables["recall"], iou_type)


def evaluate_coco_reference(
    images: Sequence[EvaluatedImage], class_count: int, *, iou_type: IouType = "bbox"
) -> CocoMetrics:
    """What `evaluate_coco` says, by pycocotools: slow, and what the world compares with.

    While it runs, nothing that the process prints is shown.

    Raises:
        DataError: as `evaluate_coco`.
    """
    images_of, categories = image_records(images), category_records(class_count)
    both = []
    with contextlib.redirect_stdout(io.StringIO()):
        for boxes in (truth_columns(images, iou_type), found_columns(images, iou_type)):
            api = COCO()
            annotations = boxes.annotations()
            api.dataset = {
                "images": images_of,
                "categories": categories,
                "annotations": annotations,
            }
            api.createIndex()
            both.append(api)
        evaluator = COCOeval(*both, iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
    return _metrics(evaluator.eval["precision"], evaluator.eval["recall"], iou_type)


def _segmentation(boxes: BoxColumns) -> list[dict[str, Any] | list[list[float]]] | None:
    """The masks as hotcoco takes them, which also takes polygons; None where boxes are compared."""
    if boxes.masks is None:
        return None
    return [{"size": list(mask.size), "counts": mask.counts} for mask in boxes.masks]


def _metrics(
    precision: NDArray[np.float64], recall: NDArray[np.float64], iou_type: IouType
) -> CocoMetrics:
    """The figures in the evaluators' tables, by pycocotools' summarize.

    Args:
        precision: (10, R, C, 4, 3); -1 where there is no ground truth.
        recall: (10, C, 4, 3); likewise.
    """
    average = precision[..., _LIMIT_100]
    whole = average[..., _ALL]
    classes = range(precision.shape[2])
    return CocoMetrics(
        iou_type=iou_type,
        ap=_mean(whole),
        ap50=_mean(whole[_IOU_50]),
        ap75=_mean(whole[_IOU_75]),
        ap_small=_mean(average[..., _SMALL]),
        ap_medium=_mean(average[..., _MEDIUM]),
        ap_large=_mean(average[..., _LARGE]),
        ar_1=_mean(recall[..., _ALL, _LIMIT_1]),
        ar_10=_mean(recall[..., _ALL, _LIMIT_10]),
        ar_100=_mean(recall[..., _ALL, _LIMIT_100]),
        ar_small=_mean(recall[..., _SMALL, _LIMIT_100]),
        ar_medium=_mean(recall[..., _MEDIUM, _LIMIT_100]),
        ar_large=_mean(recall[..., _LARGE, _LIMIT_100]),
        class_ap=tuple(_mean(whole[:, :, class_id]) for class_id in classes),
        class_ap50=tuple(_mean(whole[_IOU_50, :, class_id]) for class_id in classes),
    )


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of those that are known; nan if none is."""
    known = values[values > -1]
    return float(np.mean(known)) if len(known) else float("nan")
