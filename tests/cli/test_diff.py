"""`yolo-gp diff`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nfilters=4\nactivation=leaky\n"


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET)
    (tmp_path / "b.cfg").write_text(NET.replace("filters=4", "filters=5"))
    (tmp_path / "c.cfg").write_text(NET.replace("width=8", "width=16"))


def test_other_networks_exit_with_1(yolo_gp: Run) -> None:
    result = yolo_gp("diff", "a.cfg", "b.cfg")
    assert (result.returncode, result.stderr) == (1, "")
    # 3 x 4 weights + 4 biases, then 3 x 5 + 5
    assert result.stdout.startswith(
        "--- a.cfg\n+++ b.cfg\n\n"
        "~ 0 [convolutional] filters 4 -> 5; output 4 x 8 x 8 -> 5 x 8 x 8; params 16 -> 20\n"
    )
    assert result.stdout.endswith("\nweights: 0 of 1 layers carry over (0.0 %)\n")


def test_the_same_network_at_another_size_exits_with_0(yolo_gp: Run) -> None:
    result = yolo_gp("diff", "a.cfg", "c.cfg")
    assert result.returncode == 0
    assert "\nthe same network\n" in result.stdout
    assert "\ninput (C x H x W) " in result.stdout


def test_json_is_one_object_and_exits_the_same(yolo_gp: Run) -> None:
    result = yolo_gp("diff", "a.cfg", "b.cfg", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["sections"][0]["change"] == "settings"
    same = yolo_gp("diff", "a.cfg", "c.cfg", "--json", "--all")
    assert same.returncode == 0
    assert json.loads(same.stdout)["sections"][0]["change"] == "same"


def test_all_lists_layers_that_are_the_same(yolo_gp: Run) -> None:
    assert "  0 [convolutional]\n" in yolo_gp("diff", "a.cfg", "c.cfg", "--all").stdout


def test_a_broken_cfg_exits_with_3_and_a_missing_one_with_2(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.cfg").write_text(NET.replace("filters=4", "filters=4x"))
    broken = yolo_gp("diff", "a.cfg", "bad.cfg")
    assert (broken.returncode, broken.stdout) == (3, "")
    assert broken.stderr.startswith("bad.cfg:6:9: error: [conv] filters=4x is not an integer")
    missing = yolo_gp("diff", "a.cfg", "none.cfg")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("error: there is no cfg none.cfg\n")


def test_warnings_go_to_stderr(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "w.cfg").write_text(NET + "filterz=4\n")
    result = yolo_gp("diff", "a.cfg", "w.cfg")
    assert result.stderr.startswith("w.cfg:8:1: warning: [conv] does not know the key")
    assert "\nlayer 0 [convolutional] filterz not set -> 4\n" in result.stdout


def test_packaged_networks_go_by_name(yolo_gp: Run) -> None:
    result = yolo_gp("diff", "yolov3-tiny", "yolov3-tiny-prn.cfg")
    assert result.returncode == 1
    assert result.stdout.startswith("--- yolov3-tiny\n+++ yolov3-tiny-prn.cfg\n")
