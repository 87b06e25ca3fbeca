"""`yolo-gp doctor`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from yolo_gp.graph import read_graph
from yolo_gp.weights.layout import float_count
from yolo_gp.zoo import packaged_cfgs

from .conftest import Run

# 4 filters on 3 channels, with batch norm: 16 + 12 floats.
SMALL = """[net]
width=16
height=16
channels=3
[convolutional]
batch_normalize=1
filters=4
activation=leaky
"""
HEADER = struct.pack("<iiiQ", 0, 2, 5, 64)


def write_small(folder: Path, floats: int) -> None:
    (folder / "small.cfg").write_text(SMALL)
    values = np.linspace(0.5, 1, floats, dtype="<f4")
    (folder / "small.weights").write_bytes(HEADER + values.tobytes())


@pytest.fixture(autouse=True)
def _few_packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of the packaged cfgs stand for all of them, which take two seconds to compile."""
    few = {name: packaged_cfgs()[name] for name in ("elan-nano", "yolov3", "yolov3-tiny-prn")}
    monkeypatch.setattr("yolo_gp.zoo.packaged_cfgs", lambda: few)


def test_weights_that_fit_are_described_and_exit_with_0(yolo_gp: Run, tmp_path: Path) -> None:
    write_small(tmp_path, 28)
    result = yolo_gp("doctor", "small.cfg", "small.weights")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "small.weights fits small.cfg\n"
        "layers with weights: 1\n"
        "floats: 28 after the 20-byte header of version 0.2.5 (132 bytes)\n"
        "images seen in training: 64\n"
        "values: 0 to 1\n"
    )


def test_weights_that_do_not_fit_exit_with_4_and_the_report_goes_to_stdout(
    yolo_gp: Run, tmp_path: Path
) -> None:
    write_small(tmp_path, 20)
    result = yolo_gp("doctor", "small.cfg", "small.weights")
    assert (result.returncode, result.stderr) == (4, "")
    assert result.stdout == (
        "small.weights does not fit small.cfg\n"
        "first layer that does not fit: layer 0 [convolutional], convolution.weight, at byte 84\n"
        "expected: 28 floats after the 20-byte header (132 bytes)\n"
        "found: 20 floats (100 bytes)\n"
        "why: it ends in layer 0 [convolutional], convolution.weight, of whose 12 floats it holds "
        "4\n"
        "  help: the file was cut off, or belongs to another cfg; fetch it again\n"
    )


def test_a_web_page_in_place_of_weights_is_named(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(SMALL)
    (tmp_path / "page.weights").write_text("<!DOCTYPE html><title>Sign in</title>")
    result = yolo_gp("doctor", "small.cfg", "page.weights")
    assert result.returncode == 4
    assert result.stdout.splitlines()[1] == 'why: it is a web page, titled "Sign in"'


def test_the_packaged_cfg_that_the_weights_fit_is_named(yolo_gp: Run, tmp_path: Path) -> None:
    floats = float_count(read_graph(packaged_cfgs()["yolov3-tiny-prn"]))
    (tmp_path / "some.weights").write_bytes(HEADER + bytes(4 * floats))
    result = yolo_gp("doctor", "yolov3", "some.weights")
    assert result.returncode == 4
    assert "why: its size is exactly that of yolov3-tiny-prn\n" in result.stdout
    assert "  help: yolo-gp doctor yolov3-tiny-prn some.weights\n" in result.stdout


def test_the_pretrained_model_whose_size_the_weights_have_is_named(
    yolo_gp: Run, tmp_path: Path
) -> None:
    (tmp_path / "some.weights").write_bytes(HEADER + bytes(1384268 - 20))
    result = yolo_gp("doctor", "yolov3", "some.weights")
    assert result.returncode == 4
    assert "why: its size is exactly that of the pretrained yolo-fastest-1.1\n" in result.stdout
    assert "  help: yolo-gp doctor yolo-fastest-1.1 some.weights\n" in result.stdout


def test_the_cfg_that_lies_beside_the_weights_is_tried(yolo_gp: Run, tmp_path: Path) -> None:
    write_small(tmp_path, 28)
    (tmp_path / "other.cfg").write_text(SMALL.replace("filters=4", "filters=5"))
    result = yolo_gp("doctor", "other.cfg", "small.weights")
    assert "why: its size is exactly that of small.cfg\n" in result.stdout
    (tmp_path / "small.cfg").write_text("[net]\nbroken\n")  # is passed over
    result = yolo_gp("doctor", "other.cfg", "small.weights")
    assert (result.returncode, result.stderr) == (4, "")
    assert "small.cfg" not in result.stdout


def test_json_holds_the_same_report(yolo_gp: Run, tmp_path: Path) -> None:
    write_small(tmp_path, 28)
    result = yolo_gp("doctor", "small.cfg", "small.weights", "--json")
    found = json.loads(result.stdout)
    assert (result.returncode, found["fits"], found["schema_version"]) == (0, True, 1)
    write_small(tmp_path, 26)
    result = yolo_gp("doctor", "small.cfg", "small.weights", "--json")
    found = json.loads(result.stdout)
    assert (result.returncode, found["fits"]) == (4, False)
    assert found["first_misfit"]["tensor"] == "convolution.weight"
    assert [guess["cause"] for guess in found["guesses"]] == ["cut_off"]


def test_a_broken_cfg_exits_with_3(yolo_gp: Run, tmp_path: Path) -> None:
    write_small(tmp_path, 28)
    (tmp_path / "small.cfg").write_text(SMALL.replace("filters=4", "filters=-4"))
    result = yolo_gp("doctor", "small.cfg", "small.weights")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("small.cfg:7:")


def test_absent_weights_are_an_error_on_stderr(yolo_gp: Run, tmp_path: Path) -> None:
    write_small(tmp_path, 28)
    result = yolo_gp("doctor", "small.cfg", "absent.weights")
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr == (
        "error: cannot read weights absent.weights: no such file or directory\n"
    )


def test_coco_weights_on_a_cfg_for_three_classes(
    yolo_gp: Run, shared: Path, tmp_path: Path
) -> None:
    weights = shared / "data/models/yolo-fastest-1.1.weights"
    text = weights.with_suffix(".cfg").read_text()
    text = text.replace("classes=80", "classes=3").replace("filters=255", "filters=24")
    (tmp_path / "three.cfg").write_text(text)
    result = yolo_gp("doctor", "three.cfg", weights)
    assert result.returncode == 4
    lines = result.stdout.splitlines()
    # 1,384,268 bytes; 255 - 24 filters fewer in the convolutions that read 96 and 120 channels.
    assert lines[1:5] == [
        "first layer that does not fit: layer 120 [convolutional], convolution.bias, "
        "at byte 1,015,028",
        f"expected: {346_062 - 231 * (97 + 121):,} floats after the 20-byte header "
        f"({1_384_268 - 4 * 231 * (97 + 121):,} bytes)",
        "found: 346,062 floats (1,384,268 bytes)",
        "why: its size is right for 80 classes; the cfg says 3 classes",
    ]
