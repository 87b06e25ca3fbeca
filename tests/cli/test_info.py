"""`yolo-gp info`."""

from __future__ import annotations

import json
import subprocess
import sys
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


def test_the_totals_give_memory_in_mebibytes(yolo_gp: Run, tmp_path: Path) -> None:
    # One 1x1 convolution of one channel on 512x512 pixels of 4 bytes: a map is 1 MiB.
    text = "[net]\nwidth=512\nheight=512\nchannels=1\n[convolutional]\nactivation=linear\n"
    (tmp_path / "one.cfg").write_text(text)
    assert (
        "memory at batch 1, float32: weights 0.00 MiB, maps 2.00 MiB at their peak (layer 0), "
        "read and written by all layers 2.00 MiB"
    ) in yolo_gp("info", "one.cfg").stdout.splitlines()


def test_the_table_ends_with_every_convention_and_who_uses_it(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(SMALL)
    rows = [line.split() for line in yolo_gp("info", "small.cfg").stdout.splitlines()[-9:]]
    assert rows[0] == "count value what it counts used by".split()
    # 268 weights; 4 + 5 biases once folded; 8 numbers of batch norm and 5 biases; 16 and 5.
    # Operations: 2 * 3616; Darknet leaves out the connected layer's 320, adds the pool's 128.
    assert [row[:2] for row in rows[1:]] == [
        ["P_w", "268"], ["P_fused", "277"], ["P_train", "281"], ["P_file", "289"],
        ["F0", "7,232"], ["D1", "7,040"], ["D2", "7,040"], ["T2", "7,744"],
    ]  # fmt: skip
    assert " ".join(rows[1]).endswith("ELAN paper, table 2; CSPNet's README")
    assert " ".join(rows[7]).endswith("AlexeyAB's Darknet today, as BFLOPs")


def test_json_holds_every_count_and_the_memory_in_bytes(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(SMALL)
    found = json.loads(yolo_gp("info", "small.cfg", "--json").stdout)
    assert found["counts"] == {
        "p_w": 268, "p_fused": 277, "p_train": 281, "p_file": 289,
        "f0": 7232, "d1": 7040, "d2": 7040, "t2": 7232 + 4 * 128,
    }  # fmt: skip
    assert found["memory"] == {
        "weights_bytes": 4 * 289,
        "peak_activation_bytes": 4 * (384 + 128),
        "peak_index": 0,
        "peak_written": 0,
        "access_bytes": 4 * ((384 + 112 + 128) + (128 + 32) + (32 + 165 + 5)),
    }


MACRO = """[net]
width=8
height=8
channels=3
[convolutional]
filters=8
activation=linear
[elan]
hidden=4
blocks=1
convs=1
[route]
layers=-1,0
"""


def test_a_macros_layers_share_their_number_and_have_an_index(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "macro.cfg").write_text(MACRO)
    lines = yolo_gp("info", "macro.cfg").stdout.splitlines()
    assert lines[0].split()[:6] == ["layer", "index", "kind", "settings", "from", "index"]
    # [elan] is section 1: cross, back to the input, main, one 3x3, join. The join reads the 3x3
    # (4), main (3) and cross (1); the [route] that is written as section 2 has index 6.
    assert [line.split()[:3] for line in lines[1:8]] == [
        ["0", "0", "convolutional"],
        ["1", "1", "convolutional"],
        ["1", "2", "route"],
        ["1", "3", "convolutional"],
        ["1", "4", "convolutional"],
        ["1", "5", "route"],
        ["2", "6", "route"],
    ]
    assert lines[6].split()[3:6] == ["4,", "3,", "1"]
    assert lines[7].split()[3:5] == ["5,", "0"]
    # Join and first layer live beside their join: 12 + 8 + 20 channels.
    assert f"maps {40 * 64 * 4 / 2**20:.2f} MiB at their peak (layer 2, index 6)" in lines[11]
    found = json.loads(yolo_gp("info", "macro.cfg", "--json").stdout)
    assert [layer["written"] for layer in found["layers"]] == [0, 1, 1, 1, 1, 1, 2]
    assert (found["memory"]["peak_index"], found["memory"]["peak_written"]) == (6, 2)


def test_a_large_network_loads_neither_torch_nor_numpy(shared: Path) -> None:
    code = (
        "import sys, atexit\n"
        "loaded = lambda: [name for name in ('torch', 'numpy') if name in sys.modules]\n"
        "atexit.register(lambda: print(loaded(), file=sys.stderr))\n"
        "from yolo_gp.cli.main import run; run()"
    )
    cfg = shared / "data/cfg-corpus/AlexeyAB-darknet/yolov4.cfg"
    command = [sys.executable, "-c", code, "info", str(cfg)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


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
