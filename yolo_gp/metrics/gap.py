"""Why Darknet's mean average precision and COCO's AP50 of the same network differ."""

from __future__ import annotations

from typing import NamedTuple

from yolo_gp.metrics.coco import CocoMetrics
from yolo_gp.metrics.coco_columns import MAX_DETECTIONS
from yolo_gp.metrics.darknet import DarknetMetrics


class Thresholds(NamedTuple):
    """What an evaluation asked of the detections before it counted.

    Fields:
        confidence: the least.
        nms_iou: by which non-maximum suppression went.
    """

    confidence: float
    nms_iou: float


COCO_THRESHOLDS = Thresholds(0.001, 0.6)
"""Of Darknet's `detector valid`, which writes results for COCO.  Source: darknet.md 3.3."""

DARKNET_THRESHOLDS = Thresholds(0.005, 0.45)
"""Of Darknet's `detector map`.  Source: darknet.md 3.3."""


def explain_gap(
    coco: CocoMetrics,
    darknet: DarknetMetrics,
    class_count: int,
    *,
    coco_thresholds: Thresholds = COCO_THRESHOLDS,
    darknet_thresholds: Thresholds = DARKNET_THRESHOLDS,
) -> str:
    """The gap between Darknet's mAP (area) and COCO's AP50, split into its causes, in points.

    Args:
        coco: of boxes, from detections under `coco_thresholds`.
        darknet: at IoU .5, from detections under `darknet_thresholds`.
    """
    if not darknet.present:
        return "there is no ground truth, so COCO's AP50 and Darknet's mAP say nothing"
    absent = class_count - darknet.present
    by_absent = darknet.map_present - darknet.map_area
    by_recalls = darknet.map_present_101 - darknet.map_present
    gap = coco.ap50 - darknet.map_area
    causes = ""
    if absent:
        causes = (
            f"{_points(by_absent)} come from the {absent} of {class_count} classes without ground "
            f"truth, which Darknet counts as 0 (over the other {darknet.present} its mAP is "
            f"{darknet.map_present:.2%}), and "
        )
    causes += f"{_points(by_recalls)} come from COCO's 101 recalls instead of the area"
    return (
        f"COCO's AP50 is {coco.ap50:.2%}, Darknet's mAP {darknet.map_area:.2%}: of the "
        f"{_points(gap)} points, {causes}. The other "
        f"{_points(gap - by_absent - by_recalls)} come from "
        f"{_other_rules(coco_thresholds, darknet_thresholds, darknet.ignored)}."
    )


def _other_rules(coco: Thresholds, darknet: Thresholds, ignored: int) -> str:
    """What else differs between the two, in words."""
    rules = []
    if coco != darknet:
        rules.append(
            f"COCO's thresholds (confidence {_short(coco.confidence)} and NMS "
            f"{_short(coco.nms_iou)} instead of {_short(darknet.confidence)} and "
            f"{_short(darknet.nms_iou)})"
        )
    if ignored:
        rules.append("1 ignored object" if ignored == 1 else f"{ignored} ignored objects")
    rules.append(
        f"COCO's matching (a second choice for each detection, {MAX_DETECTIONS} of a class in an "
        "image)"
    )
    return " and ".join(filter(None, (", ".join(rules[:-1]), rules[-1])))


def _points(part: float) -> str:
    """A difference of shares in percentage points, with its sign, +0.00 for none."""
    return f"{100 * part:+z.2f}"


def _short(value: float) -> str:
    """A fraction as Darknet's users write it, without its zero."""
    return f"{value:g}".removeprefix("0") or "0"
