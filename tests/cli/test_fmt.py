"""`yolo-gp fmt`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

UGLY = "[net]\nwidth = 8\n[conv]\nsize=3\n"
PRETTY = "[net]\nwidth=8\n\n[conv]\nsize=3\n"
PATCH = """\
--- a.cfg
+++ a.cfg (formatted)
@@ -1,4 +1,5 @@
 [net]
-width = 8
+width=8
+
 [conv]
 size=3
"""


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "a.cfg"
    path.write_text(UGLY)
    return path


def test_files_are_rewritten_and_named(yolo_gp: Run, ugly: Path, tmp_path: Path) -> None:
    (tmp_path / "b.cfg").write_text(PRETTY)
    result = yolo_gp("fmt", "a.cfg", "b.cfg")
    assert (result.returncode, result.stdout, result.stderr) == (0, "formatted: a.cfg\n", "")
    assert ugly.read_text() == PRETTY
    again = yolo_gp("fmt", "a.cfg", "b.cfg")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_file_in_the_right_layout_is_not_touched(yolo_gp: Run, tmp_path: Path) -> None:
    path = tmp_path / "b.cfg"
    path.write_text(PRETTY)
    os.utime(path, (1000, 1000))
    before = path.stat()
    assert yolo_gp("fmt", "b.cfg").returncode == 0
    after = path.stat()
    assert (after.st_mtime, after.st_ino) == (before.st_mtime, before.st_ino)


def test_check_names_what_would_change_and_exits_with_1(
    yolo_gp: Run, ugly: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.cfg").write_text(PRETTY)
    result = yolo_gp("fmt", "--check", "b.cfg", "a.cfg")
    assert (result.returncode, result.stdout) == (1, "would change: a.cfg\n")
    assert ugly.read_text() == UGLY
    fine = yolo_gp("fmt", "--check", "b.cfg")
    assert (fine.returncode, fine.stdout) == (0, "")


def test_diff_shows_a_patch_and_writes_nothing(yolo_gp: Run, ugly: Path) -> None:
    result = yolo_gp("fmt", "--diff", "a.cfg")
    assert (result.returncode, result.stdout) == (0, PATCH)
    assert result.stderr == "would change: a.cfg\n"
    assert ugly.read_text() == UGLY
    assert yolo_gp("fmt", "--diff", "--check", "a.cfg").returncode == 1


def test_diff_shows_only_lines_that_change_however_often_they_occur(
    yolo_gp: Run, tmp_path: Path
) -> None:
    # difflib alone takes lines that make up more than 1 % of 200 or more for noise.
    section = "[conv]\nsize=3\nstride=1\npad = 1\n\n"
    (tmp_path / "a.cfg").write_text("[net]\nwidth=8\n\n" + section * 60)
    shown = yolo_gp("fmt", "--diff", "a.cfg").stdout.splitlines()
    changed = [line for line in shown[2:] if line[0] in "+-"]
    assert changed == ["-pad = 1", "+pad=1"] * 59 + ["-pad = 1", "-", "+pad=1"]


def test_diff_says_that_the_last_line_has_no_end(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\nwidth=8")
    shown = yolo_gp("fmt", "--diff", "a.cfg").stdout.splitlines()
    assert shown[3:] == [" [net]", "-width=8", "\\ No newline at end of file", "+width=8"]


def test_a_file_that_is_no_cfg_is_left_alone_and_the_others_are_done(
    yolo_gp: Run, ugly: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "net.weights"
    weights.write_bytes(b"\0\1\2\3" * 9)
    result = yolo_gp("fmt", "net.weights", "a.cfg")
    assert (result.returncode, result.stdout) == (3, "formatted: a.cfg\n")
    assert result.stderr == (
        "net.weights:1:1: error: the file contains NUL bytes, so it is no text [YG001]\n"
        "expected: a cfg in plain text\n"
        "help: if this is a .weights file, pass it as --weights\n"
    )
    assert weights.read_bytes() == b"\0\1\2\3" * 9
    assert ugly.read_text() == PRETTY


def test_a_file_that_is_not_there_is_named(yolo_gp: Run, ugly: Path) -> None:
    result = yolo_gp("fmt", "--check", "none.cfg", "a.cfg")
    assert (result.returncode, result.stdout) == (2, "would change: a.cfg\n")
    assert result.stderr == "error: cannot read cfg none.cfg: no such file or directory\n"


def test_a_cfg_with_mistakes_is_formatted_all_the_same(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\nwidht = 8x\n[convv]\n")
    assert yolo_gp("fmt", "a.cfg").returncode == 0
    assert (tmp_path / "a.cfg").read_text() == "[net]\nwidht=8x\n\n[convv]\n"


@pytest.mark.skipif(os.name == "nt", reason="links and modes are those of POSIX")
def test_a_link_and_the_files_mode_stay(yolo_gp: Run, ugly: Path, tmp_path: Path) -> None:
    ugly.chmod(0o640)
    link = tmp_path / "link.cfg"
    link.symlink_to(ugly)
    assert yolo_gp("fmt", "link.cfg").returncode == 0
    assert link.is_symlink() and ugly.read_text() == PRETTY
    assert stat.S_IMODE(ugly.stat().st_mode) == 0o640


def test_a_file_that_cannot_be_written_stays_whole(
    yolo_gp: Run, ugly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    result = yolo_gp("fmt", "a.cfg")
    assert (result.returncode, result.stdout) == (5, "")
    assert result.stderr == "error: cannot write a.cfg: permission denied\n"
    assert ugly.read_text() == UGLY
    assert list(ugly.parent.iterdir()) == [ugly]


def test_a_dash_stands_alone(yolo_gp: Run, ugly: Path) -> None:
    result = yolo_gp("fmt", "-", "a.cfg")
    assert result.returncode == 2
    assert result.stderr == (
        "error: - stands beside other files\nexpected: either - alone, or files\n"
    )
    assert ugly.read_text() == UGLY


def test_standard_input_goes_to_standard_output(tmp_path: Path) -> None:
    content = UGLY.encode() + b"# caf\xe9\r\n"  # bytes, which the fixture's stdin does not take
    done = subprocess.run(
        [sys.executable, "-m", "yolo_gp", "fmt", "-"],
        input=content,
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == PRETTY.encode() + b"# caf\xe9\n"
