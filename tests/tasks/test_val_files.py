from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO

from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.metrics.records import ImageDetections
from yolo_gp.presets import VAL_PRESETS
from yolo_gp.tasks.val import validate
from yolo_gp.tasks.val_files import Conventions, Speed, metrics_json, speed, write_detections
from yolo_gp.tasks.val_report import report
from yolo_gp.tasks.val_results import ImageResult, Seconds, nothing_found
from yolo_gp.tasks.val_run import Pace

from .val_sets import ListedData, brightness_detector, mask_detector, middle

CONVENTIONS = Conventions("net", "blobs", VAL_PRESETS["darknet"], (32, 48))
SPEED = Speed(pre=1.26, forward=20.0, post=3.14, images_per_second=41.96)


def result(image_id: int, found: ImageDetections | None = None) -> ImageResult:
    nothing = nothing_found(image_id)
    return ImageResult(image_id, (4, 6), None, found or nothing, nothing)


def test_no_detections_are_an_empty_list(tmp_path: Path) -> None:
    write_detections(tmp_path / "d.json", [result(1), result(2)], (1,))
    assert json.loads((tmp_path / "d.json").read_text()) == []


def test_written_masks_are_read_by_pycocotools(tmp_path: Path) -> None:
    # down the columns of an image 4 high, 6 wide: 5 pixels out, 2 in, 17 out
    spot = Rle((4, 6), "52a0")
    boxes = np.array([[1, 1, 2, 3], [0.5, 0.25, 4, 4]], np.float32)
    confidences = np.array([0.7, 0.1], np.float32)
    found = ImageDetections(5, boxes, confidences, np.array([1, 0]), (spot, spot))
    path = tmp_path / "d.json"
    write_detections(path, [result(1), result(5, found)], (3, 44))
    first, second = json.loads(path.read_text())
    assert first == {
        "image_id": 5,
        "category_id": 44,
        "bbox": [1, 1, 1, 2],
        "score": float(np.float32(0.7)),
        "segmentation": {"size": [4, 6], "counts": "52a0"},
    }
    assert (second["category_id"], second["bbox"]) == (3, [0.5, 0.25, 3.5, 3.75])
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 5, "height": 4, "width": 6}],
        "categories": [{"id": 3}, {"id": 44}],
        "annotations": [],
    }
    truth.createIndex()
    loaded = truth.loadRes(str(path))
    inside = loaded.annToMask(loaded.loadAnns([1])[0]).T.ravel().tolist()
    assert inside == [0] * 5 + [1] * 2 + [0] * 17


def test_detections_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "d.json").mkdir()
    with pytest.raises(DataError, match=r"^cannot write .*d\.json: is a directory$"):
        write_detections(tmp_path / "d.json", [result(1)], (1,))
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


def test_speed_is_per_image() -> None:
    # 8 images in 2 seconds end to end, of 16 in all
    found = speed(Seconds(0.16, 0.8, 0.032), 16, Pace(8, 2.0))
    assert found == Speed(
        pytest.approx(10), pytest.approx(50), pytest.approx(2), images_per_second=4
    )


def test_a_network_that_finds_nothing_right_is_reported_without_figures(tmp_path: Path) -> None:
    data = ListedData(tmp_path)
    data.add(0.5, (0, 0, 9, 9))
    metrics = validate(brightness_detector(), data)
    text = report(metrics, data.class_names, CONVENTIONS, SPEED)
    assert "no detection is right, so no confidence is best" in text
    assert "conventions: preset darknet, confidence 0.001, NMS 0.6, input 32x48" in text
    assert text.endswith(
        "an image takes 1.3 ms to prepare (one worker), 20.0 ms in the network, 3.1 ms to "
        "post-process; 42.0 images/s end to end"
    )
    found = json.loads(metrics_json(metrics, data.class_names, CONVENTIONS, SPEED))
    assert (found["best_f1"], found["best_f1_confidence"]) == (None, None)
    assert found["classes"][1]["ap50"] is None
    assert (found["input_height"], found["input_width"]) == (32, 48)
    assert found["speed"]["images_per_second"] == 41.96


def test_masks_have_a_line_of_their_own(tmp_path: Path) -> None:
    box = middle((64, 128))
    data = ListedData(tmp_path, masks=[])
    data.add(0.5, box)
    assert data.masks is not None
    inside = np.zeros((64, 128), np.uint8, order="F")
    inside[24:40, 32:96] = 1
    data.masks.append((Rle((64, 128), mask.encode(inside)["counts"].decode()),))
    metrics = validate(mask_detector(4.0), data)
    text = report(metrics, data.class_names, CONVENTIONS, SPEED)
    lines = [line.split()[:2] for line in text.splitlines() if line.startswith("mask ")]
    assert lines == [["mask", "1.0000"], ["mask", "1.0000"]]
    (row,) = [line.split() for line in text.splitlines() if line.startswith("blob ")]
    (head,) = [line for line in text.splitlines() if line.startswith("class ")]
    assert "mask AP" in head
    assert row[:5] == ["blob", "1", "1.0000", "1.0000", "1.0000"]
    found = json.loads(metrics_json(metrics, data.class_names, CONVENTIONS, SPEED))
    assert found["mask"]["ap"] == found["classes"][0]["mask_ap"] == pytest.approx(1)


def test_of_many_unusable_images_ten_are_listed(tmp_path: Path) -> None:
    data = ListedData(tmp_path)
    for _ in range(12):
        data.add(0.5).unlink()
    metrics = validate(brightness_detector(), data)
    text = report(metrics, data.class_names, CONVENTIONS, SPEED)
    last = text.split("\n\n")[-1].splitlines()
    assert last[0].startswith("12 of 12 images could not be used; ")
    assert last[1] == f"  cannot read {tmp_path / '0.png'}: no such file or directory"
    assert len(last) == 12
    assert last[-1] == "  ... and 2 more"
