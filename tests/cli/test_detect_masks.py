"""`yolo-gp detect` with heads that propose instance masks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from yolo_gp.presets import PRESETS
from yolo_gp.tasks.detector import Detector, DetectorSettings
from yolo_gp.tasks.models import ModelSource

from .conftest import Run

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # in pycocotools

BODY = """[net]
width=64
height=32
channels=3
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
name=prototypes
filters=4
size=3
pad=1
activation=linear
"""
ANCHORS = """[route]
layers=0
[convolutional]
filters=33
size=8
stride=8
activation=linear
[yolo]
classes=2
num=3
anchors=16,8, 24,24, 60,30
masks=4
prototypes=@prototypes
"""
ANCHOR_FREE = """[route]
layers=0
[convolutional]
filters=32
size=8
stride=8
activation=linear
[route]
layers=0
[convolutional]
filters=2
size=8
stride=8
activation=linear
[route]
layers=0
[convolutional]
filters=4
size=8
stride=8
activation=linear
[anchor_free]
from=3,5,7
classes=2
bins=8
masks=4
prototypes=@prototypes
"""
HEADS = {"yolo": ANCHORS, "anchor_free": ANCHOR_FREE, "both": ANCHORS + ANCHOR_FREE}


def write_cfg(folder: Path, head: str) -> Path:
    text = HEADS[head]
    if head == "both":  # the second head's branches stand three sections later
        text = text.replace("from=3,5,7", "from=6,8,10")
    path = folder / f"{head}.cfg"
    path.write_text(BODY + text)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = []
    for number, size in enumerate(((24, 40), (50, 31))):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        paths.append(tmp_path / f"photo{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("preset", ["darknet", "coco"])
def test_json_has_the_masks_that_the_detector_finds(
    yolo_gp: Run, tmp_path: Path, photos: list[Path], head: str, preset: str
) -> None:
    cfg = write_cfg(tmp_path, head)
    flags = ("--random-weights", "--preset", preset, "--conf", "0.2", "--json", "--no-save")
    result = yolo_gp("detect", "--cfg", cfg, *flags, "--batch", "2", *photos)
    assert (result.returncode, result.stderr) == (0, "")
    images = json.loads(result.stdout)["images"]
    varied = replace(PRESETS[preset], confidence=0.2)
    detector = Detector.load(
        DetectorSettings(model=ModelSource(cfg=cfg, random_weights=True), preset=varied)
    )
    pixels = 0
    for image, photo in zip(images, photos, strict=True):
        found = detector.detect(photo)
        assert found.masks is not None and len(found) == len(image["detections"]) > 0
        for row, mask in zip(image["detections"], found.masks, strict=True):
            assert sorted(row) == ["box_xyxy", "class_id", "confidence", "mask", "name"]
            assert sorted(row["mask"]) == ["counts", "size"]
            assert row["mask"]["size"] == [image["height"], image["width"]]
            decoded = coco.decode(row["mask"]).astype(bool)
            assert np.array_equal(decoded, mask.numpy())
            left, top, right, bottom = row["box_xyxy"]
            for y, x in zip(*decoded.nonzero(), strict=True):
                assert left - 0.01 <= x + 0.5 <= right + 0.01
                assert top - 0.01 <= y + 0.5 <= bottom + 0.01
            pixels += int(decoded.sum())
    assert pixels > 100


def test_pictures_are_written_with_the_masks_drawn_in(
    yolo_gp: Run, tmp_path: Path, photos: list[Path]
) -> None:
    cfg = write_cfg(tmp_path, "yolo")
    flags = ("--random-weights", "--conf", "0.2", "--json", "--save-dir", tmp_path / "out")
    result = yolo_gp("detect", "--cfg", cfg, *flags, photos[0])
    (image,) = json.loads(result.stdout)["images"]
    union = np.zeros((24, 40), dtype=bool)
    for row in image["detections"]:
        union |= coco.decode(row["mask"]).astype(bool)
    before = np.asarray(Image.open(photos[0]))
    after = np.asarray(Image.open(tmp_path / "out" / "photo0.png"))
    changed = (before != after).any(2)
    assert union.any()
    assert changed[union].mean() > 0.95  # a few pixels have the colour already


def test_info_counts_nothing_for_the_heads(yolo_gp: Run, tmp_path: Path) -> None:
    with_head = yolo_gp("info", write_cfg(tmp_path, "anchor_free"))
    assert with_head.returncode == 0
    (row,) = [line for line in with_head.stdout.splitlines() if "anchor_free" in line]
    assert "2 classes, 8 bins, 4 masks" in row
