"""Boxes against AlexeyAB's Darknet itself, on 64 photos.

Darknet decodes JPEG with another library than Pillow, so pixels differ by a level or two. Where a
score lies at the threshold, or two overlapping boxes have nearly equal scores, that decides who is
reported. Every such case is listed; a case that is not listed fails, and so does a listed one that
does not occur.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

import yolo_gp
from yolo_gp.boxes import xyxy_to_cxcywh
from yolo_gp.presets import PRESETS

COORDINATE = 0.002  # relative to the image
CONFIDENCE = 0.01


@dataclass(frozen=True)
class Found:
    class_id: int
    confidence: float
    box: tuple[float, ...]  # centre and size, relative to the image


# (photo, class): Darknet's box that we do not have, or ours that it does not have.
AT_THE_THRESHOLD = {  # confidence .1, by at most .004
    "yolo-fastest-1.1": {(872, 35), (1532, 7), (2473, 9)},
    "yolo-fastest-1.1-xl": {(5586, 0), (5600, 40), (6614, 77)},
    "mobilenetv2-yolov3-nano-coco": {(1000, 0), (2006, 0), (5600, 41)},
}
OTHER_BOX_OF_A_PAIR = {  # same object; the better one of two overlapping boxes is another
    "yolo-fastest-1.1": set(),
    "yolo-fastest-1.1-xl": {(1675, 15), (5001, 0)},
    "mobilenetv2-yolov3-nano-coco": {(4765, 0), (6471, 35)},
}
SLIGHTLY_OFF = {  # same box, a coordinate beyond COORDINATE but within .004
    "yolo-fastest-1.1": set(),
    "yolo-fastest-1.1-xl": {(5193, 0)},
    "mobilenetv2-yolov3-nano-coco": {(2592, 41), (5193, 0)},
}


def same(a: Found, b: Found) -> bool:
    return (
        a.class_id == b.class_id
        and abs(a.confidence - b.confidence) <= CONFIDENCE
        and max(abs(x - y) for x, y in zip(a.box, b.box, strict=True)) <= COORDINATE
    )


def unmatched(ours: list[Found], theirs: list[Found]) -> tuple[list[Found], list[Found]]:
    """What remains on each side after pairing one to one."""
    rest = list(ours)
    missing = []
    for wanted in theirs:
        partner = next((found for found in rest if same(found, wanted)), None)
        if partner is None:
            missing.append(wanted)
        else:
            rest.remove(partner)
    return rest, missing


def detected(detector: yolo_gp.Detector, path: Path) -> list[Found]:
    found = detector.detect(path)
    height, width = found.image_size
    boxes = xyxy_to_cxcywh(found.boxes_xyxy) / torch.tensor([width, height, width, height])
    rows = zip(found.class_ids.tolist(), found.confidences.tolist(), boxes.tolist(), strict=True)
    return [Found(class_id, confidence, tuple(box)) for class_id, confidence, box in rows]


@pytest.mark.parametrize("model", AT_THE_THRESHOLD)
def test_detections_equal_darknets_one_to_one(shared: Path, model: str) -> None:
    oracle = json.loads((shared / f"data/oracle/{model}.detections.json").read_text())
    files = shared / "data/models"
    detector = yolo_gp.load(
        files / f"{model}.cfg",
        files / f"{model}.weights",
        preset=replace(PRESETS["darknet"], confidence=0.1),
    )
    differing = set()
    compared = 0
    for image in oracle["images"]:
        ours = detected(detector, shared / "data/coco-mini/images/val" / image["file_name"])
        theirs = [
            Found(o["class_id"], o["confidence"], tuple(o["box_cxcywh_relative"]))
            for o in image["objects"]
        ]
        compared += len(theirs)
        extra, missing = unmatched(ours, theirs)
        differing |= {(int(image["file_name"][:-4]), f.class_id) for f in extra + missing}
        for odd in extra + missing:
            key = (int(image["file_name"][:-4]), odd.class_id)
            if key in AT_THE_THRESHOLD[model]:
                assert odd.confidence == pytest.approx(0.1, abs=0.004)
    expected = AT_THE_THRESHOLD[model] | OTHER_BOX_OF_A_PAIR[model] | SLIGHTLY_OFF[model]
    assert compared > 700
    assert differing == expected
