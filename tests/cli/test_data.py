"""`yolo-gp data`: what it prints, writes and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from yolo_gp.graph import compile_text
from yolo_gp.layers.anchors import Anchors

from .conftest import Run

ROW = "0 .5 .5 .25 .5\n"
CFG = """[net]
width=64
height=32
channels=3
[convolutional]
filters=12
size=1
activation=linear
[yolo]
classes=1
num=2
anchors = 16,16,  30,30
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two 100 x 200 pictures: a with one object, 50 x 50 pixels, b without a label file."""
    for name in ("a", "b"):
        path = tmp_path / "set" / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 100), name * 0 or {"a": "red", "b": "blue"}[name]).save(path)
    (tmp_path / "set" / "labels").mkdir()
    (tmp_path / "set" / "labels" / "a.txt").write_text(ROW)
    (tmp_path / "set" / "x.names").write_text("cat\ndog\n")
    return tmp_path / "set"


def test_check_of_sound_data_exits_with_0_and_notes_count_if_strict(
    yolo_gp: Run, folder: Path
) -> None:
    result = yolo_gp("data", "check", folder)
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        f"{folder}/labels/b.txt: note: does not exist, so {folder}/images/b.png counts as without "
        "objects",
        f"{folder}/images: 2 images, 1 objects, 0 problems, 1 notes",
    ]
    assert yolo_gp("data", "check", folder, "--strict").returncode == 1


def test_check_lists_problems_first_and_exits_with_1(yolo_gp: Run, folder: Path) -> None:
    (folder / "labels" / "a.txt").write_text(ROW + "7 .5 .5 .1 .1\n" * 60)
    result = yolo_gp("data", "check", folder)
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert lines[0] == f"{folder}/labels/a.txt:2: problem: class 7 is out of range"
    assert lines[-2] == "... and 11 more; --json lists all"  # 60 problems, 1 note; 50 are shown
    assert lines[-1].endswith("60 problems, 1 notes")


def test_check_as_json_is_complete(yolo_gp: Run, folder: Path) -> None:
    (folder / "labels" / "a.txt").write_text("7 .5 .5 .1 .1\n" * 60)
    result = yolo_gp("data", "check", folder, "--json")
    found = json.loads(result.stdout)
    assert (found["problems"], found["notes"], len(found["found"])) == (60, 1, 61)
    assert found["found"][1] == {
        "file": f"{folder}/labels/a.txt",
        "line": 2,
        "severity": "problem",
        "what": "class 7 is out of range",
        "help": "the data set has 2 classes, 0 to 1",
    }


def test_check_compares_with_a_models_names(yolo_gp: Run, folder: Path) -> None:
    (folder.parent / "model.names").write_text("dog\ncow\n")
    result = yolo_gp("data", "check", folder, "--names", folder.parent / "model.names")
    assert result.returncode == 5
    assert "only in the data: cat\nonly in the model: cow" in result.stderr


def test_data_that_cannot_be_opened_exits_with_5(yolo_gp: Run) -> None:
    result = yolo_gp("data", "check", "nowhere")
    assert result.returncode == 5
    assert result.stderr.startswith("error: there is no data set nowhere\nexpected: ")


def test_images_for_anything_but_json_is_a_usage_error(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("data", "check", folder, "--images", folder)
    assert result.returncode == 2
    assert "--images has no effect on" in result.stderr


def test_stats_prints_a_table_or_json_and_writes_pictures(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("data", "stats", folder, "--plots", folder.parent / "plots")
    assert result.returncode == 0
    assert "2 images, 1 without objects; 1 objects" in result.stdout
    written = sorted(path.name for path in (folder.parent / "plots").iterdir())
    assert written == ["boxes.png", "classes.png", "images.png"]
    assert result.stderr.count("wrote ") == 3
    found = json.loads(yolo_gp("data", "stats", folder, "--json").stdout)
    assert found["classes"][0] == {"class_id": 0, "name": "cat", "objects": 1, "images": 1}


def test_convert_writes_a_folder_and_says_what_it_left_out(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("data", "convert", folder, "new", "--to", "coco", "--split", "tiny")
    assert result.returncode == 0
    assert result.stdout == "new: 2 images, 1 objects\n"
    content = json.loads(Path("new/annotations/instances_tiny.json").read_text())
    # 25 % of 200 wide, 50 % of 100 high, about the centre (100, 50)
    assert content["annotations"][0]["bbox"] == [75, 25, 50, 50]
    again = yolo_gp("data", "convert", folder, "new", "--to", "coco")
    assert again.returncode == 2
    assert "new exists already" in again.stderr


def test_convert_to_an_unknown_format_is_a_usage_error(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("data", "convert", folder, "new", "--to", "kitti")
    assert result.returncode == 2
    assert result.stderr == ("error: --to kitti is no such format\nexpected: coco, yolo or voc\n")


def test_anchors_are_a_line_for_a_cfg(yolo_gp: Run, folder: Path) -> None:
    (folder / "labels" / "b.txt").write_text("0 .5 .5 .5 .25\n")
    # at 32 x 64: 16 x 16, 32 x 8
    result = yolo_gp("data", "anchors", folder, "--num", "2", "--size", "32x64")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "# 2 boxes at 32x64: mean best IoU 1.0000, 100.00 % above .5",
        "anchors = 16,16,  32,8",
    ]
    cfg = CFG.replace("anchors = 16,16,  30,30", result.stdout)
    ((_, head),) = compile_text(cfg, "new.cfg", strict=True).heads
    anchors = getattr(head, "anchors", None)
    assert isinstance(anchors, Anchors)
    assert anchors.all_wh == ((16, 16), (32, 8))


def test_anchors_are_set_beside_those_of_a_cfg(yolo_gp: Run, folder: Path) -> None:
    (folder / "labels" / "b.txt").write_text("0 .5 .5 .5 .25\n")
    Path("own.cfg").write_text(CFG)
    # 16 x 16 fits exactly; 32 x 8 and 16 x 16 share 16 x 8: 128 / (256 + 256 - 128) = 1/3;
    # mean 2/3, one of two above .5
    text = yolo_gp("data", "anchors", folder, "--cfg", "own.cfg").stdout
    assert text.splitlines()[-1] == (
        "# the 2 anchors of own.cfg: mean best IoU 0.6667, 50.00 % above .5"
    )
    found = json.loads(yolo_gp("data", "anchors", folder, "--cfg", "own.cfg", "--json").stdout)
    assert found["anchors_wh"] == [[16, 16], [32, 8]]
    assert found["cfg"]["mean_iou"] == pytest.approx(2 / 3)
    assert found["cfg"]["anchors_wh"] == [[16, 16], [30, 30]]


@pytest.mark.parametrize(
    ("arguments", "missing"), [(["--num", "2"], "--size"), (["--size", "64"], "--num")]
)
def test_anchors_need_number_and_size(
    yolo_gp: Run, folder: Path, arguments: list[str], missing: str
) -> None:
    result = yolo_gp("data", "anchors", folder, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {missing} is not given\nexpected: --num K and --size")


def test_a_cfg_without_anchors_is_refused(yolo_gp: Run, folder: Path) -> None:
    Path("own.cfg").write_text(CFG[: CFG.index("[yolo]")])
    result = yolo_gp("data", "anchors", folder, "--cfg", "own.cfg")
    assert result.returncode == 2
    assert "own.cfg has no anchors" in result.stderr


@pytest.mark.parametrize("name", ["list.txt", "x.JSON"])
def test_one_part_is_not_written_as_two(yolo_gp: Run, folder: Path, name: str) -> None:
    (folder / name).write_text("images/a.png\n")
    result = yolo_gp(
        "data",
        "convert",
        folder / name,
        "out",
        "--to",
        "yolo",
        "--split",
        "train",
        "--split",
        "val",
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {folder / name} is one part, so train and val would hold the same images\n"
        "expected: one --split, its name in the new data set\n"
    )
    assert not Path("out").exists()
