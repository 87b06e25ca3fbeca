"""Darknet's data for classifiers: labels that occur in the paths of listed images."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.data.class_opening import open_classified
from yolo_gp.data.classified import ClassifiedImages
from yolo_gp.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: str, *lines: str) -> str:
    Path(file).write_text("".join(f"{line}\n" for line in lines))
    return file


def write_data(*lines: str, labels: tuple[str, ...] = ("n01", "n02", "n03")) -> str:
    write("labels.list", *labels)
    write("short.names", "tench", "shark", "ray")
    write("val.list", "val/a_n02.JPEG", "val/n03/b.jpg", "val/c_n01.JPEG")
    return write("set.data", *lines)


def message(spec: str, names: tuple[str, ...] = (), count: int = 3) -> str:
    with pytest.raises(DataError) as caught:
        open_classified(spec, names=names, count=count)
    return str(caught.value)


def ids(found: ClassifiedImages) -> list[int]:
    return [int(class_id) for class_id in found.class_ids]


DATA = ("classes = 3", "valid = val.list", "labels = labels.list", "names = short.names")


def test_the_class_is_the_label_that_occurs_in_the_path(folder: Path) -> None:
    found = open_classified(write_data(*DATA), count=3)
    assert ids(found) == [1, 2, 0]
    assert found.class_names == ("tench", "shark", "ray")
    assert found.path(0) == Path("val/a_n02.JPEG")
    assert found.name == "set.data (val)"
    assert (found.problems, found.notes) == ((), ())


def test_a_models_own_names_outrank_those_of_the_data_file(folder: Path) -> None:
    found = open_classified(write_data(*DATA), names=("a", "b", "c"), count=3)
    assert found.class_names == ("a", "b", "c")
    assert ids(found) == [1, 2, 0]  # the labels are still the file's


def test_without_labels_the_names_are_looked_for(folder: Path) -> None:
    write_data("valid = val.list", "names = labels.list")
    assert ids(open_classified("set.data", count=3)) == [1, 2, 0]
    write_data("valid = val.list")
    assert ids(open_classified("set.data", names=("n01", "n02", "n03"), count=3)) == [1, 2, 0]
    assert message("set.data") == (
        "set.data names no labels\n"
        "expected: labels = FILE, with a line for each class that occurs in its images' paths"
    )


def test_of_several_labels_in_a_path_the_first_listed_counts_and_that_is_said(
    folder: Path,
) -> None:
    write("v.txt", "dog/catfish.jpg", "dog/1.jpg")
    found = open_classified("v.txt", names=("fish", "cat", "dog"), count=3)
    assert ids(found) == [0, 2]
    assert found.notes == (
        "paths with several labels, of which as in Darknet the first listed counts: 1, such as "
        "dog/catfish.jpg, which is fish, not cat",
    )


def test_the_folder_that_a_list_lies_in_says_nothing_of_classes(folder: Path) -> None:
    place = folder / "cat"
    place.mkdir()
    (place / "dog1.jpg").touch()
    (place / "v.txt").write_text("dog1.jpg\n")
    found = open_classified(str(place / "v.txt"), names=("cat", "dog"), count=2)
    assert ids(found) == [1]
    assert found.path(0) == place / "dog1.jpg"


def test_an_image_without_a_label_is_a_problem_of_its_line(folder: Path) -> None:
    write("v.txt", "dog/1.jpg", "", "cow/2.jpg")
    found = open_classified("v.txt", names=("cat", "dog"), count=2)
    assert ids(found) == [1, -1]
    (problem,) = found.problems
    assert problem.render() == "v.txt:3: problem: none of the 2 labels occurs in this path"
    with pytest.raises(DataError) as caught:
        found.class_of(1)
    assert str(caught.value) == "v.txt:3: problem: the class of this image is not known"


def test_a_list_none_of_whose_images_has_a_label_is_refused(folder: Path) -> None:
    write("v.txt", "cow/1.jpg", "cow/2.jpg")
    assert message("v.txt", ("cat", "dog"), 2) == (
        "no image of v.txt has one of the 2 labels in its path\n"
        "expected: paths with labels such as cat in them; the first is cow/1.jpg"
    )


def test_a_list_for_classes_without_names_is_refused(folder: Path) -> None:
    write("v.txt", "cow/1.jpg")
    assert message("v.txt") == (
        "v.txt lists images, but the network's classes have no names to find in their paths\n"
        "expected: --names FILE with a line for each class that occurs in its images' paths"
    )


def test_a_blank_label_is_refused(folder: Path) -> None:
    write_data(*DATA, labels=("n01", "", "n03"))
    assert message("set.data") == (
        "label 1 of set.data (val) is blank, so that every path holds it"
    )


def test_numbers_of_classes_that_disagree_are_refused(folder: Path) -> None:
    write_data(*DATA)
    assert message("set.data", count=4) == (
        "set.data: classes is 3, but the network tells 4 apart\n"
        "expected: the data set that the network was trained for"
    )
    write_data(*DATA[1:])
    assert message("set.data", count=4) == (
        "set.data lists 3 classes, but the network tells 4 apart\n"
        "expected: 4 lines, in the order of the network's outputs"
    )
    write_data(*DATA, labels=("n01", "n02"))
    assert message("set.data") == "set.data: classes is 3, but labels.list lists 2 names"


def test_a_list_that_the_data_file_does_not_name_is_refused(folder: Path) -> None:
    write_data("classes = 3", "labels = labels.list", "train = val.list")
    assert message("set.data") == (
        "set.data has no valid\nexpected: valid = LIST; it has classes, labels, train"
    )
    found = open_classified("set.data", split="train", count=3)
    assert ids(found) == [1, 2, 0]
