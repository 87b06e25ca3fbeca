"""The data set on disk: what it holds, that it is always the same, and what stops it."""

from __future__ import annotations

import math
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from yolo_gp.data.checking import check_dataset
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError, UsageError
from yolo_gp.scenes import making
from yolo_gp.scenes.making import ShapesSettings, write_shapes
from yolo_gp.scenes.outlines import CLASS_NAMES
from yolo_gp.scenes.painting import scene
from yolo_gp.scenes.processes import in_order
from yolo_gp.scenes.recipe import FIRST_VAL

SMALL = (64, 96)


def made(
    out: Path, images: int = 3, val: int = 2, workers: int = 1, seed: int = 0
) -> dict[str, bytes]:
    """Write a data set; its files by name."""
    settings = ShapesSettings(images=images, val=val, size=SMALL, workers=workers, seed=seed)
    write_shapes(out, settings)
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_a_data_set_in_coco_form_that_has_no_problem(tmp_path: Path) -> None:
    files = made(tmp_path / "set")
    assert list(files) == [
        "annotations/instances_train.json",
        "annotations/instances_val.json",
        "images/train/0000001.jpg",
        "images/train/0000002.jpg",
        "images/train/0000003.jpg",
        "images/val/1000001.jpg",
        "images/val/1000002.jpg",
    ]
    for split, count in (("train", 3), ("val", 2)):
        spec = tmp_path / "set" / "annotations" / f"instances_{split}.json"
        dataset = open_dataset(str(spec))
        report = check_dataset(dataset, decode_images=True)
        assert (report.images, report.found) == (count, ())
        assert dataset.class_names == CLASS_NAMES


@pytest.mark.parametrize(("split", "first"), [("train", 0), ("val", FIRST_VAL)])
def test_pycocotools_reads_the_objects_of_the_scenes(
    tmp_path: Path, split: str, first: int
) -> None:
    made(tmp_path / "set", seed=4)
    coco = COCO(tmp_path / "set" / "annotations" / f"instances_{split}.json")
    names = {entry["id"]: entry["name"] for entry in coco.loadCats(coco.getCatIds())}
    for place, (number, entry) in enumerate(coco.imgs.items()):
        expected = scene(4, first + place, SMALL)
        found = coco.imgToAnns[number]
        assert [names[a["category_id"]] for a in found] == [
            CLASS_NAMES[o.class_id] for o in expected.objects
        ]
        for annotation, truth in zip(found, expected.objects, strict=True):
            left, top, right, bottom = truth.box_xyxy
            assert annotation["bbox"] == [left, top, right - left, bottom - top]
            assert coco.annToMask(annotation).sum() == annotation["area"] == truth.area
        with Image.open(tmp_path / "set" / "images" / split / entry["file_name"]) as image:
            assert image.size == (entry["width"], entry["height"]) == SMALL[::-1]
            # what JPEG loses of noisy pictures: a few levels on average
            apart = np.asarray(image, float) - expected.image
        assert np.abs(apart).mean() < 15


def test_a_scene_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few = {n: b for n, b in made(tmp_path / "few", 2, 1).items() if n.endswith(".jpg")}
    many = made(tmp_path / "many", 5, 3)
    assert len(few) == 3
    assert all(many[name] == content for name, content in few.items())
    assert len(set(many.values())) == len(many)  # and no scene is another


def test_several_processes_write_the_same_bytes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made(tmp_path / "one", 5, 0)
    monkeypatch.setattr(making, "_PAYS", 3)
    assert made(tmp_path / "two", 5, 0, workers=2) == one


def test_without_validation_scenes_there_is_no_such_part(tmp_path: Path) -> None:
    assert not any("val" in name for name in made(tmp_path / "set", 1, 0))


def test_an_empty_folder_is_filled_and_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    first = made(tmp_path / "set", 1, 0)
    with pytest.raises(UsageError) as refused:
        made(tmp_path / "set", 2, 0)
    assert str(refused.value) == (
        f"{tmp_path}/set exists already\nexpected: a new folder, or an empty one"
    )
    path = tmp_path / "set" / "images" / "train" / "0000001.jpg"
    assert path.read_bytes() == first["images/train/0000001.jpg"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(DataError) as refused:
            made(tmp_path / "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(refused.value) == f"cannot write {tmp_path}/set: file too large"
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_noticed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    with pytest.raises(DataError) as refused:
        # 2500 scenes of 64 x 96 pixels at a quarter of a byte are 3.84 MB
        made(tmp_path / "set", 2000, 500)
    assert str(refused.value) == (
        "the scenes need about 4 MB, and 3 MB are free\n"
        "help: fewer --images, a smaller --size, or another disk"
    )
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    settings = ShapesSettings(images=3, val=0, size=SMALL)
    with pytest.raises(KeyboardInterrupt):
        write_shapes(tmp_path / "set", settings, advance=interrupt)
    assert not list(tmp_path.iterdir())


def test_processes_give_results_in_order_and_pass_errors_on() -> None:
    results = in_order(math.sqrt, [1.0, 4.0, 9.0, -1.0, 16.0], workers=2)
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        next(results)


def test_a_process_that_is_killed_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(DataError) as ended:
        next(in_order(os._exit, [9], workers=1))
    assert str(ended.value) == (
        "a worker process was ended from outside, as happens when memory runs out\n"
        "help: fewer --workers"
    )


def test_making_scenes_loads_no_torch() -> None:
    code = "import sys, yolo_gp.scenes.making; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n"
