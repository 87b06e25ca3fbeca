"""A data set's classes in the order of a model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError

from .conftest import Write

SIZE = (100, 200)
BOX = {"bbox": [10, 20, 30, 40]}


def test_classes_and_category_ids_follow_the_models_order(coco: Write) -> None:
    file = coco({**BOX, "category_id": 3}, {**BOX, "category_id": 5})  # cat, dog
    dataset = open_dataset(str(file), names=("dog", "cat"))
    assert dataset.class_names == ("dog", "cat")
    assert dataset.category_ids == (5, 3)
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [1, 0]
    objects = dataset.annotations(0, SIZE).objects
    assert [found.class_id for found in objects] == [1, 0]


def test_case_blanks_and_strokes_do_not_matter(coco: Write) -> None:
    categories = [{"id": 1, "name": "Traffic Light"}, {"id": 3, "name": "CAT"}]
    file = coco(BOX, categories=categories)
    dataset = open_dataset(str(file), names=("cat", "traffic_light"))
    assert dataset.class_names == ("cat", "traffic_light")
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [0]


@pytest.mark.parametrize(
    ("voc", "modern"),
    [
        ("aeroplane", "airplane"),
        ("tvmonitor", "tv"),
        ("motorbike", "motorcycle"),
        ("sofa", "couch"),
        ("pottedplant", "potted plant"),
        ("diningtable", "dining table"),
    ],
)
def test_vocs_spelling_of_cocos_classes_is_equal(coco: Write, voc: str, modern: str) -> None:
    for data, model in ((voc, modern), (modern, voc)):
        file = coco(BOX, categories=[{"id": 3, "name": data}])
        assert open_dataset(str(file), names=(model,)).class_names == (model,)


def test_names_that_disagree_are_shown_side_by_side(coco: Write) -> None:
    file = coco(BOX)
    with pytest.raises(DataError) as error:
        open_dataset(str(file), names=("cat", "horse", "cow"))
    assert str(error.value) == (
        f"the classes of {file} (2) are not the model's (3)\n"
        "       data  model\n"
        "     0 cat   cat\n"
        "     1 dog   horse\n"
        "     2       cow\n"
        "only in the data: dog\n"
        "only in the model: horse, cow\n"
        "expected: the same names, in any order"
    )


def test_a_name_that_stands_twice_cannot_be_matched(coco: Write) -> None:
    categories = [{"id": 3, "name": "cat"}, {"id": 5, "name": "Cat"}, {"id": 6, "name": "dog"}]
    file = coco(BOX, categories=categories)
    with pytest.raises(DataError, match="a name stands twice"):
        open_dataset(str(file), names=("dog", "cat", "cat"))
    assert open_dataset(str(file), names=("cat", "cat", "dog")).class_names[2] == "dog"


def test_numbered_classes_are_matched_by_number(text: Write, picture: Write) -> None:
    picture("images/a.jpg")
    text("labels/a.txt", "1 .5 .5 .1 .1")
    file = text("d.yaml", "val: images\nnc: 2\n")
    dataset = open_dataset(str(file), names=("cat", "dog"))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [1]
    with pytest.raises(DataError, match=r"(?s)\(2\) are not the model's \(1\).*as many classes"):
        open_dataset(str(file), names=("cat",))


def test_a_model_without_names_is_matched_by_number(coco: Write) -> None:
    dataset = open_dataset(str(coco(BOX)), names=("0", "1"))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (3, 5)


def test_uncounted_classes_take_the_models_names(yolo: Write) -> None:
    folder = yolo("1 .5 .5 .1 .1\n")
    (folder / "data.names").unlink()
    dataset = open_dataset(str(folder), names=("x", "y"))
    assert dataset.class_names == ("x", "y")
    assert dataset.category_ids == (1, 2)
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [1]


def test_an_uncounted_class_beyond_the_models_is_told_with_its_line(yolo: Write) -> None:
    folder = yolo("0 .5 .5 .1 .1\n2 .5 .5 .1 .1\n")
    (folder / "data.names").unlink()
    dataset = open_dataset(str(folder), names=("x", "y"))
    with pytest.raises(DataError) as error:
        dataset.ground_truth(0, SIZE)
    assert str(error.value) == (
        f"{folder / 'labels' / 'a.txt'}:2: problem: class 2 is out of range\n"
        "help: the model has 2 classes, 0 to 1"
    )


def test_voc_files_need_not_show_all_of_the_models_classes(
    text: Write, picture: Write, tmp_path: Path
) -> None:
    picture("JPEGImages/a.jpg")
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    text("Annotations/a.xml", f"<annotation><object><name>sofa</name>{box}</object></annotation>")
    dataset = open_dataset(str(tmp_path), names=("bird", "couch", "tv"))
    assert dataset.class_names == ("bird", "couch", "tv")
    assert dataset.category_ids == (1, 2, 3)
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [1]
    with pytest.raises(DataError, match="only in the data: sofa"):
        open_dataset(str(tmp_path), names=("bird", "tv"))
