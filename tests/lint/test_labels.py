"""What a names file and a .data file say about the classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.errors import DataError
from yolo_gp.lint.labels import ClassCount, Labels, read_labels


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_files_there_is_nothing_to_compare() -> None:
    assert read_labels(None, None) == Labels()


def test_a_names_file_has_a_class_a_line_blank_ones_counted(folder: Path) -> None:
    Path("a.names").write_text("cat\n\ndog\n\n")
    assert read_labels(Path("a.names"), None).counts == (ClassCount(3, "a.names (a name a line)"),)


def test_a_data_file_gives_its_classes_and_those_of_its_names(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a.names").write_text("cat\ndog\n")
    (folder / "sub/a.data").write_text(
        "# a comment = 7\nclasses = 3\nclasses = 4\n train=t.txt\nnames = a.names\nnoise\n"
    )
    found = read_labels(None, Path("sub/a.data"))
    # The names stand beside the .data file, where Darknet would look in the working directory.
    assert found.counts == (
        ClassCount(3, "classes of sub/a.data"),
        ClassCount(2, f"{Path('sub/a.names')} (a name a line)"),
    )
    assert found.trains
    Path("a.names").write_text("cat\n")
    assert read_labels(None, Path("sub/a.data")).counts[1].count == 1


def test_a_data_file_without_images_to_train_on_is_for_detection(folder: Path) -> None:
    Path("a.data").write_text("classes=3\nvalid=v.txt\nlabels=\n")
    assert read_labels(None, Path("a.data")) == Labels((ClassCount(3, "classes of a.data"),))


@pytest.mark.parametrize("text", ["three", "0", "-1", "3.0", "1000001"])
def test_classes_that_are_no_number_are_refused(folder: Path, text: str) -> None:
    Path("a.data").write_text(f"classes={text}\n")
    with pytest.raises(DataError, match=rf"^a\.data: classes is {text}\nexpected: the number of"):
        read_labels(None, Path("a.data"))


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"^cannot read names a\.names: no such file or directory$"):
        read_labels(Path("a.names"), None)
    with pytest.raises(DataError, match=r"^cannot read data file a\.data: no such file"):
        read_labels(None, Path("a.data"))
    Path("a.data").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"^a\.data is no UTF-8 text, so it is no \.data file$"):
        read_labels(None, Path("a.data"))
    Path("a.data").write_text("names=gone.names\n")
    with pytest.raises(DataError, match=r"^cannot read names gone\.names"):
        read_labels(None, Path("a.data"))
