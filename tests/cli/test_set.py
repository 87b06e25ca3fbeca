"""`yolo-gp set`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from .conftest import Run

CFG = """\
[net]
width=64
height=64
channels=3

# the head
[convolutional]
filters=255
activation=linear

[yolo]
mask=0,1,2
anchors=8,8, 16,16, 32,32
classes=80
num=3
"""
PATCH = """\
--- my.cfg
+++ my.cfg (changed)
@@ -5,11 +5,11 @@
~
 # the head
 [convolutional]
-filters=255
+filters=24
 activation=linear
~
 [yolo]
 mask=0,1,2
 anchors=8,8, 16,16, 32,32
-classes=80
+classes=3
 num=3
""".replace("~", " ")


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "my.cfg"
    path.write_text(CFG)
    return path


def test_classes_change_in_place_with_the_convolution_before(yolo_gp: Run, cfg: Path) -> None:
    cfg.chmod(0o640)
    result = yolo_gp("set", "my.cfg", "classes=3")
    assert (result.returncode, result.stdout) == (0, "changed: my.cfg, 2 lines\n")
    # 3 anchors of 4 coordinates, objectness and 3 classes: 3 * 8
    assert cfg.read_text() == CFG.replace("=255", "=24").replace("=80", "=3")
    assert stat.S_IMODE(cfg.stat().st_mode) == 0o640


def test_a_cfg_that_says_so_already_is_not_touched(yolo_gp: Run, cfg: Path) -> None:
    os.utime(cfg, (1000, 1000))
    result = yolo_gp("set", "my.cfg", "classes=80", "size=64")
    assert (result.returncode, result.stdout) == (0, "my.cfg says so already\n")
    assert cfg.stat().st_mtime == 1000


@pytest.mark.parametrize("flag", ["--diff", "--dry-run"])
def test_a_diff_is_shown_and_nothing_written(yolo_gp: Run, cfg: Path, flag: str) -> None:
    result = yolo_gp("set", "my.cfg", "classes=3", flag)
    assert (result.returncode, result.stdout) == (0, PATCH)
    assert result.stderr == "would change: my.cfg, 2 lines\n"
    assert cfg.read_text() == CFG


def test_a_copy_is_written_elsewhere_also_of_a_packaged_cfg(
    yolo_gp: Run, cfg: Path, tmp_path: Path
) -> None:
    result = yolo_gp("set", "my.cfg", "size=32x96", "-o", "new.cfg")
    assert result.stdout == "new.cfg: 2 lines changed from my.cfg\n"
    assert "an input that was 64x64" in result.stderr
    assert cfg.read_text() == CFG
    assert (tmp_path / "new.cfg").read_text() == CFG.replace("width=64", "width=96").replace(
        "height=64", "height=32"
    )
    assert yolo_gp("set", "yolov3-tiny", "classes=3", "-o", "tiny.cfg").returncode == 0
    assert yolo_gp("info", "tiny.cfg").returncode == 0
    result = yolo_gp("set", "yolov3-tiny", "classes=3")
    assert (result.returncode, result.stderr) == (
        2,
        "error: yolov3-tiny is no file here, but a cfg that yolo-gp knows by name\n"
        "expected: the path of a cfg file, or -o FILE for a changed copy\n",
    )


def test_a_cfg_is_untouched_where_one_setting_is_wrong(
    yolo_gp: Run, cfg: Path, tmp_path: Path
) -> None:
    result = yolo_gp("set", "my.cfg", "classes=3", "net:channels=0")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "error: my.cfg is left as it was, since it would not compile with these settings\n\n"
        "my.cfg (changed):4:10: error: [net] has no channels"
    )
    assert cfg.read_text() == CFG
    assert list(tmp_path.iterdir()) == [cfg]


def test_warnings_that_the_change_brings_are_printed(yolo_gp: Run, cfg: Path) -> None:
    result = yolo_gp("set", "my.cfg", "yolo:iou_loss=soft")
    assert result.returncode == 0
    assert "my.cfg (changed):16:10: warning: [yolo] iou_loss=soft" in result.stderr
    assert cfg.read_text() == CFG + "iou_loss=soft\n"


def test_a_cfg_that_is_not_there_is_an_error(yolo_gp: Run) -> None:
    result = yolo_gp("set", "mine.cfg", "classes=3")
    assert result.returncode == 2
    assert result.stderr.startswith("error: there is no cfg mine.cfg\n")
