"""Files that appear whole or not at all, and lists of names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yolo_gp import files
from yolo_gp.errors import DataError
from yolo_gp.files import read_names, replacing, write_atomically


def test_text_is_written_as_utf_8_and_bytes_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.txt", "grün\n")
    write_atomically(tmp_path / "new" / "b", b"\0\xff")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"gr\xc3\xbcn\n"
    assert (tmp_path / "new" / "b").read_bytes() == b"\0\xff"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.txt", "b"]


def test_an_old_file_is_replaced_and_keeps_the_usual_rights(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    path = tmp_path / "a"
    path.write_text("old and longer")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode == usual.stat().st_mode


def test_the_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(number: int) -> None:
        events.append("fsync")
        real_fsync(number)

    def replace(self: Path, target: Path) -> Path:
        events.append("replace")
        assert self.parent == target.parent
        return real_replace(self, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_atomically(tmp_path / "a", b"data")
    assert events == ["fsync", "replace"]


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError) as caught:
        write_atomically(path, "new")
    assert str(caught.value) == f"cannot write {path}: no space left on device"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_a_target_that_cannot_be_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write .*: (not a directory|file exists)"):
        write_atomically(tmp_path / "file" / "a", b"")


def test_an_error_in_the_middle_of_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"ha")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_names_are_lines_and_a_blank_line_between_them_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.names"
    path.write_bytes(b"\xef\xbb\xbfcat\r\n\r\nsea lion\r\n\r\n")
    assert read_names(path) == ("cat", "", "sea lion")


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.names"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no UTF-8 text"):
        read_names(path)
