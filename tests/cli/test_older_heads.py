"""Networks with [region], [detection] and [Gaussian_yolo] heads, as a user runs them.

Their weights are 0, so that every image gives the numbers that the biases are.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Run

NET = "[net]\nwidth=64\nheight=32\nchannels=3\n"
LAST = "[convolutional]\nfilters={}\nsize=32\nstride=32\nactivation=linear\n"
TREE = "animal -1\nthing -1\ndog 0\ncat 0\nterrier 2\nhound 2\ncup 1\n"
LN3 = math.log(3.0)
# two cells, each with a box of 1/4 of the image's width around its centre, objectness 3/4
REGION = "[region]\nanchors=.5,.5\nclasses=2\nsoftmax=1\n"
IN_TREE = "[region]\nanchors=.5,.5\nclasses=7\nsoftmax=1\ntree=the.tree\nmap=the.map\n"
BOX = (0.0, 0.0, 0.0, 0.0, LN3)
# animal 3/4, thing 1/4; dog 4/5, cat 1/5; terrier 9/10, hound 1/10; cup 1
CLASSES = (LN3, 0.0, math.log(4), 0.0, math.log(9), 0.0, -3.0)
CELLS = [[25.0, 25.0, 75.0, 75.0], [125.0, 25.0, 175.0, 75.0]]  # of an image of 200 x 100


def write(
    folder: Path, sections: str, biases: tuple[float, ...], inputs: int = 3 * 32 * 32
) -> None:
    """A network of one layer with weights, all 0, and those biases; and an image to try it on."""
    (folder / "net.cfg").write_text(NET + sections)
    floats = [*biases, *[0.0] * (len(biases) * inputs)]
    content = struct.pack("<iiiQ", 0, 2, 5, 0) + struct.pack(f"<{len(floats)}f", *floats)
    (folder / "net.weights").write_bytes(content)
    (folder / "images").mkdir()
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(folder / "images/a.png")


@pytest.fixture
def in_tree(tmp_path: Path) -> Path:
    write(tmp_path, LAST.format(12) + IN_TREE, (*BOX, *CLASSES))
    (tmp_path / "the.tree").write_text(TREE)
    (tmp_path / "the.map").write_text("2\n6\n")
    (tmp_path / "two.names").write_text("dog\ncup\n")
    return tmp_path


DETECT = ("detect", "--cfg", "net.cfg", "--weights", "net.weights", "images", "--json", "--no-save")


def detected(yolo_gp: Run, *flags: str) -> list[tuple[str, float, list[float]]]:
    result = yolo_gp(*DETECT, *flags)
    assert result.returncode == 0, result.stderr
    (image,) = json.loads(result.stdout)["images"]
    return [(d["name"], d["confidence"], d["box_xyxy"]) for d in image["detections"]]


def test_detect_finds_the_boxes_of_yolov2(yolo_gp: Run, tmp_path: Path) -> None:
    write(tmp_path, LAST.format(7) + REGION, (*BOX, LN3, 0.0))
    # objectness 3/4 times softmax(ln 3, 0) = 3/4, 1/4, of which the second is below .25
    found = detected(yolo_gp)
    assert [box for _, _, box in found] == CELLS
    assert [(name, score) for name, score, _ in found] == [("0", 0.5625)] * 2


def test_detect_finds_the_boxes_of_yolov1(yolo_gp: Run, tmp_path: Path) -> None:
    head = "[connected]\noutput=28\nactivation=linear\n[detection]\nside=2\nclasses=2\ncoords=4\n"
    classes = (0.9, 0.1, 0, 0, 0, 0, 0.1, 0.5)
    confidences = (0.8, 0.0, 0.0, 1.0)
    boxes = (0.5, 0.5, 0.5, 0.5, *[0.0] * 8, 0.5, 0.0, 0.5, 1.0)
    write(tmp_path, head + "sqrt=1\n", (*classes, *confidences, *boxes), 3 * 32 * 64)
    (first, one, box), (second, other, last) = detected(yolo_gp)
    # .8 * .9, and 1 * .5 in the last cell, row 1, column 1
    assert (first, second) == ("0", "1")
    assert (one, other) == (pytest.approx(0.72), pytest.approx(0.5))
    # x = .5 / 2 +- .5^2 / 2 of 200, y likewise of 100; x = 1.5 / 2 +- .125, y = 1 / 2 +- .5
    assert box == pytest.approx([25, 12.5, 75, 37.5])
    assert last == pytest.approx([125, 0, 175, 100])


def test_detect_finds_the_boxes_of_a_gaussian_head(yolo_gp: Run, tmp_path: Path) -> None:
    head = "[Gaussian_yolo]\nanchors=16,16\nclasses=2\nyolo_point=center\n"
    sure = -100.0
    entries = (0.0, sure, 0.0, sure, 0.0, 0.0, 0.0, 0.0, LN3, 100.0, -100.0)
    write(tmp_path, LAST.format(11) + head, entries)
    found = detected(yolo_gp)
    # objectness 3/4, class 1, less the mean of the sigmas 0, 0, 1/2, 1/2
    assert [score for _, score, _ in found] == [pytest.approx(0.75 * 0.75)] * 2
    assert [box for _, _, box in found] == CELLS


def test_detect_answers_with_a_node_of_the_tree(yolo_gp: Run, in_tree: Path) -> None:
    # terrier: 3/4 * 4/5 * 9/10
    expected = [("4", pytest.approx(0.54), box) for box in CELLS]
    assert detected(yolo_gp) == expected
    assert detected(yolo_gp, "--conf", "0.74") == expected  # objectness is what it compares
    assert detected(yolo_gp, "--conf", "0.76") == []


def test_names_of_the_map_make_detect_and_val_use_it(yolo_gp: Run, in_tree: Path) -> None:
    names = ("--names", "two.names")
    # dog: objectness 3/4 times 3/4 * 4/5; cup, 3/4 * 1/4, is below .25
    assert detected(yolo_gp, *names) == [("dog", pytest.approx(0.45), box) for box in CELLS]
    box = {"image_id": 1, "category_id": 1, "iscrowd": 0, "area": 2500}
    boxes = [
        {**box, "id": number, "bbox": [left, top, 50, 50]}
        for number, (left, top, _, _) in enumerate(CELLS, 1)
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cup"}]
    images = [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}]
    coco = {"images": images, "categories": categories, "annotations": boxes}
    (in_tree / "set.json").write_text(json.dumps(coco))
    val = ("val", "--cfg", "net.cfg", "--weights", "net.weights", "--data", "set.json")
    result = yolo_gp(*val, *names, "--json", "--workers", "0")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["box"]["ap"] == pytest.approx(1.0)
    result = yolo_gp(*val, "--workers", "0")  # the classes of the tree are not those of the data
    assert result.returncode == 5
    (in_tree / "three.names").write_text("a\nb\nc\n")
    result = yolo_gp(*DETECT, "--names", "three.names")
    assert result.returncode == 5
    assert "3 class names are given, but net.cfg has classes=7" in result.stderr


def test_without_its_tree_info_reports_and_detect_stops(yolo_gp: Run, in_tree: Path) -> None:
    (in_tree / "the.tree").unlink()
    result = yolo_gp("info", "net.cfg")
    assert result.returncode == 0
    assert "7 classes in a tree, 1 anchors" in result.stdout
    assert "net.cfg:14:6: warning: the file the.tree is not there" in result.stderr
    result = yolo_gp("detect", *DETECT[1:5], "images", "--save-dir", "out")
    assert result.returncode == 3
    assert "net.cfg:14:6: error: the file the.tree is not there" in result.stderr
    assert not (in_tree / "out").exists()


@pytest.mark.parametrize(
    ("sections", "kind"),
    [
        (LAST.format(7) + REGION, "[region]"),
        (LAST.format(11) + "[Gaussian_yolo]\nanchors=9,9\nclasses=2\n", "[Gaussian_yolo]"),
        (
            "[connected]\noutput=28\nactivation=linear\n[detection]\nside=2\nclasses=2\ncoords=4\n",
            "[detection]",
        ),
    ],
)
def test_train_refuses_heads_without_a_loss(
    yolo_gp: Run, tmp_path: Path, sections: str, kind: str
) -> None:
    (tmp_path / "net.cfg").write_text(NET + sections)
    for recipe in ("darknet", "modern"):
        result = yolo_gp("train", "--cfg", "net.cfg", "--data", "no.data", "--recipe", recipe)
        assert result.returncode == 2
        assert f"{kind} cannot be trained: yolo-gp has no loss for it" in result.stderr
        assert "expected: [yolo] or [anchor_free] heads" in result.stderr


def test_an_exported_network_of_all_three_gives_what_torch_gives(
    yolo_gp: Run, in_tree: Path
) -> None:
    # convert compares every output in onnxruntime, for one image and for two.
    head = IN_TREE.replace("map=the.map\n", "")
    (in_tree / "all.cfg").write_text(
        NET
        + LAST.format(12)
        + head
        + LAST.format(16).replace("32", "1")
        + "[Gaussian_yolo]\nanchors=20,20\nclasses=7\n[route]\nlayers=0\n"
        + "[connected]\noutput=48\nactivation=linear\n"
        + "[detection]\nside=2\nclasses=7\ncoords=4\nsoftmax=1\nsqrt=1\n"
    )
    count = 12 + 12 * 3 * 32 * 32 + 16 + 16 * 12 + 48 + 48 * 24
    floats = np.random.default_rng(0).normal(size=count).astype("<f4") / 8
    content = struct.pack("<iiiQ", 0, 2, 5, 0) + floats.tobytes()
    (in_tree / "all.weights").write_bytes(content)
    result = yolo_gp("convert", "all.weights", "all.onnx", "--cfg", "all.cfg")
    assert result.returncode == 0, result.stderr
    assert "boxes (N x 8 x 4)" in result.stdout  # 2 cells, 2 cells, 2 * 2 cells
    assert "scores (N x 8 x 7)" in result.stdout
    (in_tree / "the.tree").unlink()
    result = yolo_gp("convert", "all.weights", "again.onnx", "--cfg", "all.cfg")
    assert result.returncode == 3
    assert not (in_tree / "again.onnx").exists()
