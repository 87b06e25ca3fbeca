"""Folders of class folders: which class each image shows, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.data.class_opening import open_classified
from yolo_gp.data.classified import ClassifiedImages
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError

NAMES = ("tabby cat", "dog", "Sea_lion")


def fill(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def classes(found: ClassifiedImages) -> dict[str, int]:
    names = [Path(path).name for path in found.images.paths]
    return dict(zip(names, found.class_ids.tolist(), strict=True))


def message(folder: Path, names: tuple[str, ...] = NAMES, count: int = 3) -> str:
    with pytest.raises(DataError) as caught:
        open_classified(str(folder), names=names, count=count)
    return str(caught.value)


def test_a_folder_is_the_class_whose_name_it_bears(tmp_path: Path) -> None:
    fill(tmp_path, "dog/1.jpg", "Tabby-Cat/2.png", "sea lion/deep/er/3.webp", "dog/4.JPG")
    fill(tmp_path, "dog/notes.txt", ".hidden/5.jpg", "dog/.6.jpg")
    found = open_classified(str(tmp_path), names=NAMES, count=3)
    assert classes(found) == {"1.jpg": 1, "4.JPG": 1, "2.png": 0, "3.webp": 2}
    assert found.class_names == NAMES
    assert (found.problems, found.notes) == ((), ())
    assert found.class_of(0) == classes(found)[found.path(0).name]


def test_classes_without_a_folder_are_fine(tmp_path: Path) -> None:
    found = open_classified(str(fill(tmp_path, "dog/1.jpg")), names=NAMES, count=3)
    assert classes(found) == {"1.jpg": 1}


@pytest.mark.parametrize(("part", "split"), [("val", "val"), ("valid", "val"), ("test", "test")])
def test_the_part_that_is_asked_for_is_taken(tmp_path: Path, part: str, split: str) -> None:
    fill(tmp_path, f"{part}/dog/1.jpg", "train/dog/2.jpg")
    found = open_classified(str(tmp_path), split=split, names=NAMES, count=3)
    assert classes(found) == {"1.jpg": 1}
    assert found.name == str(tmp_path / part)


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "train/dog/1.jpg", "test/dog/1.jpg")
    assert message(tmp_path) == f"{tmp_path} has no val\nexpected: one of its parts, test, train"


def test_folders_named_by_numbers_are_classes_by_number(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{n}/{n}.jpg" for n in (0, 2, 10)))
    names = tuple(f"class {n}" for n in range(11))
    for known in (names, ()):
        found = open_classified(str(tmp_path), names=known, count=11)
        assert classes(found) == {"0.jpg": 0, "2.jpg": 2, "10.jpg": 10}
    assert found.class_names[10] == "10"


def test_a_list_of_names_in_the_folder_numbers_the_classes(tmp_path: Path) -> None:
    fill(tmp_path, "ape/1.jpg", "bee/2.jpg")
    (tmp_path / "classes.txt").write_text("bee\nape\n")
    found = open_classified(str(tmp_path), count=2)
    assert classes(found) == {"1.jpg": 1, "2.jpg": 0}
    assert found.class_names == ("bee", "ape")
    assert found.notes == ()


def test_without_any_names_folders_are_numbered_alphabetically_and_that_is_said(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "cow/3.jpg", "ape/1.jpg", "bee/2.jpg")
    found = open_classified(str(tmp_path), count=3)
    assert classes(found) == {"1.jpg": 0, "2.jpg": 1, "3.jpg": 2}
    assert found.class_names == ("ape", "bee", "cow")
    assert found.notes == (
        f"the network's classes have no names, so the folders of {tmp_path} are numbered in "
        "alphabetical order; --names FILE with the folders' names says another",
    )
    assert message(tmp_path, (), 4) == (
        f"{tmp_path} has 3 class folders, but the network tells 4 classes apart, and nothing says "
        "which they are\n"
        "expected: --names FILE with the folders' names, in the order of the network's outputs"
    )


def test_folders_that_are_no_class_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, "dog/1.jpg", "n02084071/2.jpg", "n02084072/2.jpg")
    assert message(tmp_path) == (
        f"{tmp_path} has folders that are no class of the network: n02084071, n02084072\n"
        "expected: folders named after its 3 classes: tabby cat, dog, Sea_lion\n"
        "help: --names FILE with the folders' names, in the order of the network's outputs"
    )
    fill(tmp_path, *(f"x{n:02}/1.jpg" for n in range(20)))
    assert "n02084071, n02084072, x00, " in message(tmp_path)
    assert "x07 and 12 more\n" in message(tmp_path)


def test_two_folders_of_one_class_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "sea lion/1.jpg", "sea-lion/2.jpg")
    assert message(tmp_path) == (
        f"{tmp_path} has two folders of one class: sea lion and sea-lion\nexpected: one of them"
    )


def test_a_folder_that_may_be_two_classes_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "crane/1.jpg")
    assert message(tmp_path, ("crane", "dog", "crane")) == (
        f"{tmp_path / 'crane'} may be any of 2 classes that bear its name\n"
        "help: --names FILE with the folders' names, in the order of the network's outputs"
    )


def test_images_outside_every_class_folder_are_a_problem(tmp_path: Path) -> None:
    fill(tmp_path, "dog/1.jpg", "loose.jpg", "also.png", "readme.md")
    found = open_classified(str(tmp_path), names=NAMES, count=3)
    assert classes(found) == {"1.jpg": 1}
    (problem,) = found.problems
    assert problem.render() == (
        f"{tmp_path}: problem: images in no class folder, which are left out: 2, such as also.png"
    )


def test_folders_without_classes_or_images_are_refused(tmp_path: Path) -> None:
    assert message(tmp_path) == (
        f"{tmp_path} holds no class folders\n"
        "expected: a folder for each class, named after it, with its images"
    )
    (tmp_path / "dog").mkdir()
    assert message(tmp_path) == f"the class folders of {tmp_path} hold no images"


def test_a_list_of_names_of_another_length_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "dog/1.jpg")
    (tmp_path / "animals.names").write_text("cat\ndog\n")
    assert message(tmp_path, ()) == (
        f"the list of names for {tmp_path} lists 2 classes, but the network tells 3 apart\n"
        "expected: 3 lines, in the order of the network's outputs"
    )


def test_other_data_is_refused_with_what_a_classifier_takes(tmp_path: Path) -> None:
    kinds = (
        "\nexpected, for a classifier: a folder with a folder of images for each class, a Darknet "
        ".data, or a .txt list of images whose paths hold their class"
    )
    assert message(tmp_path / "none") == f"there is no data set {tmp_path / 'none'}{kinds}"
    coco = fill(tmp_path, "coco.json") / "coco.json"
    assert message(coco) == f"{coco} is no data set of a known format{kinds}"


def test_a_detector_is_told_that_class_folders_are_not_for_it(tmp_path: Path) -> None:
    fill(tmp_path, "dog/1.jpg", "cat/2.jpg")
    with pytest.raises(DataError) as caught:
        open_dataset(str(tmp_path))
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{tmp_path} holds no data set of a known format"
    assert lines[-1] == "help: folders of images alone, such as cat, are for classifiers"
