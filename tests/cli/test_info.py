"""`yolo-gp info`."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run

SMALL = """[net]
width=16
height=8
channels=3
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[connected]
output=5
activation=linear
"""


def test_json_holds_each_layers_output_params_macs_and_bflops(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(SMALL)
    found = json.loads(yolo_gp("info", "small.cfg", "--json").stdout)
    # convolution: 3*4*9 = 108 weights on 8x4 pixels, 2 numbers a filter for batch norm;
    # pool: 2*2 taps on 4 channels of 4x2; connected: 4*4*2 = 32 inputs, which Darknet counts 0.
    assert [
        tuple(layer[key] for key in ("index", "written", "kind", "output", "params", "macs"))
        for layer in found["layers"]
    ] == [
        (0, 0, "convolutional", [4, 4, 8], 116, 3456),
        (1, 1, "maxpool", [4, 2, 4], 0, 0),
        (2, 2, "connected", [5, 1, 1], 165, 160),
    ]
    assert [layer["bflops"] for layer in found["layers"]] == [6912e-9, 128e-9, 0.0]
    assert (found["params"], found["macs"]) == (281, 3616)
    assert found["bflops"] == 7040e-9
    assert found["schema_version"] == 1


def test_the_table_shows_shapes_and_totals(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(SMALL)
    lines = yolo_gp("info", "small.cfg").stdout.splitlines()
    assert lines[1].split() == [
        "0", "convolutional", "3x3/2", "leaky", "4", "x", "4", "x", "8", "116", "3,456", "0.000",
    ]  # fmt: skip
    assert "input 8x16 (height x width), 3 channels; 3 layers" in lines
    assert "parameters 281; MACs 3,616; BFLOPs as Darknet counts them 0.000" in lines


def test_size_changes_the_input(yolo_gp: Run) -> None:
    result = yolo_gp("info", "elan-nano", "--size", "64x96", "--json")
    assert json.loads(result.stdout)["input"] == [3, 64, 96]


def test_a_size_that_does_not_fit_is_a_cfg_error(yolo_gp: Run) -> None:
    result = yolo_gp("info", "elan-nano", "--size", "100x100")
    assert result.returncode == 3
    assert "the input, 100x100, is no multiple of 32" in result.stderr


def test_a_size_that_is_none_is_a_usage_error(yolo_gp: Run) -> None:
    result = yolo_gp("info", "elan-nano", "--size", "64by96")
    assert result.returncode == 2
    assert result.stderr == (
        "error: --size 64by96 is no size\n"
        "expected: HEIGHTxWIDTH in pixels, such as 320x416, or 416\n"
    )


def test_warnings_go_to_stderr_and_strict_makes_them_errors(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.cfg").write_text(SMALL + "filterz=3\n")
    lenient = yolo_gp("info", "odd.cfg", "--json")
    assert lenient.returncode == 0
    assert json.loads(lenient.stdout)["params"] == 281
    assert "odd.cfg:18:1: warning: " in lenient.stderr
    strict = yolo_gp("info", "odd.cfg", "--strict")
    assert strict.returncode == 3
    assert strict.stdout == ""
    assert "odd.cfg:18:1: warning: " in strict.stderr
