"""`yolo-gp classify` as a user runs it, on a network that tells seven greys apart."""

from __future__ import annotations

import csv
import io
import json
from math import exp
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.weights.darknet import save_weights

from ..tasks.classifier_sets import CFG, GREYS, NAMES, grey_network, write_grey
from .conftest import Run
from .test_detect import TINY


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A cfg, its weights and names, a white image and a folder of three."""
    (tmp_path / "greys.cfg").write_text(CFG)
    save_weights(tmp_path / "greys.weights", *grey_network())
    (tmp_path / "greys.names").write_text("\n".join(NAMES) + "\n")
    write_grey(tmp_path / "white.png", 1.0)
    for name, grey in (("a", 0.0), ("b", 0.6), ("c", 0.2)):
        write_grey(tmp_path / "photos" / f"{name}.png", grey)
    return tmp_path


MODEL = ("--cfg", "greys.cfg", "--weights", "greys.weights", "--names", "greys.names")


def probability(class_id: int, brightness: float) -> float:
    powers = [exp(2 * grey * brightness - grey**2) for grey in GREYS]
    return powers[class_id] / sum(powers)


def test_the_best_classes_are_printed_with_their_scores(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("classify", *MODEL, "white.png", "--top", "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        "file       class   score\n"
        f"white.png  white  {probability(6, 1):.4f}\n"
        f"           chalk  {probability(5, 1):.4f}\n"
    )
    assert result.stderr == ""


def test_five_classes_are_printed_by_default(yolo_gp: Run, files: Path) -> None:
    lines = yolo_gp("classify", *MODEL, "white.png").stdout.splitlines()
    assert [line.split()[-2] for line in lines[1:]] == ["white", "chalk", "ash", "steel", "lead"]


def test_json_holds_every_image_of_a_folder(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("classify", *MODEL, "photos", "--json", "--top", "1", "--batch", "2")
    found = json.loads(result.stdout)
    assert (found["schema_version"], found["failed"]) == (1, [])
    assert [image["file"] for image in found["images"]] == [f"photos/{n}.png" for n in "abc"]
    assert found["images"][1] == {
        "file": "photos/b.png",
        "width": 16,
        "height": 12,
        "classes": [
            {
                "class_id": 4,
                "name": "ash",
                "score": pytest.approx(probability(4, 153 / 255), rel=1e-4),
            }
        ],
    }


def test_csv_has_a_line_for_each_image_and_class(yolo_gp: Run, files: Path) -> None:
    text = yolo_gp("classify", *MODEL, "photos", "--csv", "--top", "2").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["file"], r["rank"], r["name"]) for r in rows] == [
        ("photos/a.png", "1", "black"),
        ("photos/a.png", "2", "coal"),
        ("photos/b.png", "1", "ash"),
        ("photos/b.png", "2", "steel"),
        ("photos/c.png", "1", "coal"),
        ("photos/c.png", "2", "lead"),
    ]
    result = yolo_gp("classify", *MODEL, "photos", "--csv", "--json")
    assert (result.returncode, result.stderr) == (
        2,
        "error: --json and --csv exclude each other; give one\n",
    )


def test_what_cannot_be_read_is_passed_over_and_named(yolo_gp: Run, files: Path) -> None:
    (files / "torn.jpg").write_bytes(b"torn")
    result = yolo_gp("classify", *MODEL, "none.jpg", "torn.jpg", "white.png", "--top", "1")
    assert result.returncode == 1
    assert "white.png  white" in result.stdout
    assert result.stderr == (
        "2 of the inputs failed:\n"
        "  none.jpg: no such file or folder\n"
        "  torn.jpg: not an image in a format that can be read\n"
    )
    result = yolo_gp("classify", *MODEL, "none.jpg")
    assert (result.returncode, result.stdout) == (5, "")


def test_a_list_of_images_comes_from_stdin(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("classify", *MODEL, "-", "--top", "1", stdin="white.png\nphotos\n")
    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == [
        "white",
        "black",
        "ash",
        "coal",
    ]


def test_names_inside_a_checkpoint_are_used(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("convert", "greys.weights", "greys.safetensors", *MODEL[:2], *MODEL[4:])
    assert result.returncode == 0, result.stderr
    result = yolo_gp("classify", "--weights", "greys.safetensors", "white.png", "--top", "1")
    assert result.stdout.splitlines()[1].split()[:2] == ["white.png", "white"]


def test_without_names_classes_go_by_their_numbers(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("classify", *MODEL[:4], "white.png", "--top", "1")
    assert result.stdout.splitlines()[1].split()[:2] == ["white.png", "6"]


def test_the_middle_of_the_image_decides(yolo_gp: Run, files: Path) -> None:
    pixels = np.full((8, 24, 3), 255, np.uint8)
    pixels[:, 8:16] = 0  # the 8 x 8 in the middle are black
    Image.fromarray(pixels).save(files / "sides.png")
    result = yolo_gp("classify", *MODEL, "sides.png", "--top", "1")
    assert result.stdout.splitlines()[1].split()[1] == "black"


def test_another_size_is_honoured(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("classify", *MODEL, "white.png", "--size", "8x24")
    assert result.returncode == 2
    assert "greys.cfg is no classifier: it ends in a map of 7 x 1 x 3\n" in result.stderr
    pooled = CFG.replace("[softmax]", "[avgpool]\n[softmax]")
    (files / "greys.cfg").write_text(pooled)
    assert yolo_gp("classify", *MODEL, "white.png", "--size", "8x24").returncode == 0


def test_a_network_can_be_tried_out_without_weights(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("classify", "--cfg", "greys.cfg", "--random-weights", "white.png")
    assert result.returncode == 0
    result = yolo_gp("classify", "--cfg", "greys.cfg", "white.png")
    assert result.returncode == 4
    assert "there are no pretrained weights for greys.cfg" in result.stderr


def test_a_detector_and_a_classifier_name_each_others_command(yolo_gp: Run, files: Path) -> None:
    (files / "tiny.cfg").write_text(TINY)
    result = yolo_gp("classify", "--cfg", "tiny.cfg", "--random-weights", "white.png")
    assert result.returncode == 2
    assert "tiny.cfg is a detector" in result.stderr
    assert result.stderr.endswith("help: `yolo-gp detect` runs detectors\n")
    result = yolo_gp("detect", *MODEL, "white.png")
    assert result.returncode == 2
    assert "greys.cfg has no detection head" in result.stderr
    assert "help: `yolo-gp classify` runs a network" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--dtype", "int8"), "dtype int8 is none of float32, float16, bfloat16", 2),
        (("--device", "cuda:99"), "device cuda:99 cannot be used", 2),
        (("--size", "big"), "--size big is no size", 2),
        (("--top", "0"), "Invalid value for '--top'", 2),
        (("--names", "greys.cfg"), "class names are given, but greys.cfg tells 7 classes apart", 5),
    ],
)
def test_wrong_arguments_are_refused(
    yolo_gp: Run, files: Path, arguments: tuple[str, ...], message: str, code: int
) -> None:
    result = yolo_gp("classify", *MODEL, *arguments, "white.png")
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
