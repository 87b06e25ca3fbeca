"""`yolo-gp make shapes`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.scenes.painting import scene
from yolo_gp.scenes.recipe import FIRST_VAL

from .conftest import Run


def objects_in(file: Path) -> int:
    return len(json.loads(file.read_text())["annotations"])


def test_it_writes_a_tenth_as_many_scenes_to_validate_on(yolo_gp: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "shapes"
    result = yolo_gp("make", "shapes", out, "--images", "11", "--size", "32x48")
    files = [out / "annotations" / f"instances_{split}.json" for split in ("train", "val")]
    objects = sum(map(objects_in, files))
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout == (
        f"{out}: 11 scenes to train with, 2 to validate on, {objects} objects\n"
    )
    assert len(list((out / "images" / "val").iterdir())) == 2


def test_what_it_writes_passes_data_check(yolo_gp: Run, tmp_path: Path) -> None:
    yolo_gp("make", "shapes", "set", "--images", "3", "--val", "1", "--seed", "8", "--size", "96")
    file = Path("set") / "annotations" / "instances_train.json"
    result = yolo_gp("data", "check", file, "--strict")
    objects = objects_in(tmp_path / file)
    assert result.stdout == f"{file}: 3 images, {objects} objects, 0 problems, 0 notes\n"


def test_a_name_in_png_gets_one_picture_that_no_training_shows(
    yolo_gp: Run, tmp_path: Path
) -> None:
    result = yolo_gp("make", "shapes", "a.png", "--seed", "3", "--size", "64x96")
    expected = scene(3, FIRST_VAL, (64, 96))
    assert result.stdout == f"a.png: {len(expected.objects)} objects\n"
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), expected.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "--images is not given\nexpected: --images N, or a name that ends in .png for one "
            "picture",
        ),
        (["--images", "0"], "--images is 0\nexpected: 1 to 1,000,000"),
        (["--images", "1000001"], "--images is 1,000,001\nexpected: 1 to 1,000,000"),
        (["--images", "1", "--val", "-1"], "--val is -1\nexpected: 0 to 1,000,000"),
        (["--images", "1", "--seed", "-1"], "--seed is -1\nexpected: 0 or more"),
        (["--images", "1", "--workers", "0"], "--workers is 0\nexpected: at least 1"),
        (
            ["--images", "1", "--size", "16x64"],
            "--size 16x64 is no size for scenes\nexpected: 32 to 4096 pixels each way",
        ),
        (
            ["--images", "1", "--size", "big"],
            "--size big is no size\nexpected: HEIGHTxWIDTH in pixels, such as 320x416, or 416",
        ),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(
    yolo_gp: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = yolo_gp("make", "shapes", "out", *arguments)
    assert result.returncode == 2
    assert result.stderr == f"error: {message}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", [["--images", "5"], ["--val", "2"], ["--workers", "2"]])
def test_flags_of_a_data_set_are_refused_for_a_picture(yolo_gp: Run, flag: list[str]) -> None:
    result = yolo_gp("make", "shapes", "a.png", *flag)
    assert result.returncode == 2
    assert result.stderr == (
        "error: a.png is one picture, which --images, --val and --workers do not concern\n"
        "expected: a folder for more, or a picture without them\n"
    )


def test_a_place_that_cannot_be_written_is_named(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = yolo_gp("make", "shapes", "file/set", "--images", "1")
    assert (result.returncode, result.stderr) == (
        5,
        "error: cannot write file/set: not a directory\n",
    )
    picture = yolo_gp("make", "shapes", "file/a.png")
    assert picture.returncode == 5
    assert picture.stderr.startswith("error: cannot write file/a.png: ")
