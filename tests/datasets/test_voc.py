"""Pascal VOC: its pixels count from 1, its last pixel is inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError

from .conftest import Write

SIZE = (100, 200)
OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
  <bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>
</bndbox></object>
"""


def described(*objects: str, size: str = "<width>200</width><height>100</height>") -> str:
    return f"<annotation><size>{size}</size>\n{''.join(objects)}</annotation>\n"


def an_object(
    name: str = "cat", box: tuple[object, ...] = (11, 21, 30, 40), difficult: int = 0
) -> str:
    return OBJECT.format(name=name, box=box, difficult=difficult)


@pytest.fixture
def voc(picture: Write, text: Write, tmp_path: Path) -> Write:
    """One 100 x 200 picture, a.jpg, with an XML file."""

    def write(xml: str) -> Path:
        picture("JPEGImages/a.jpg")
        text("Annotations/a.xml", xml)
        return tmp_path

    return write


def test_pixels_11_to_30_are_the_edges_10_and_30(voc: Write) -> None:
    truth = open_dataset(str(voc(described(an_object())))).ground_truth(0, SIZE)
    assert truth.boxes_xyxy.tolist() == [[10, 20, 30, 40]]
    assert truth.areas.tolist() == [400]  # 20 x 20 pixels


def test_coordinates_may_be_fractions(voc: Write) -> None:
    folder = voc(described(an_object(box=(1.5, 1, 2.25, 3))))
    assert open_dataset(str(folder)).ground_truth(0, SIZE).boxes_xyxy.tolist() == [
        [0.5, 0, 2.25, 3]
    ]


def test_difficult_objects_are_ignored_but_no_crowds(voc: Write) -> None:
    folder = voc(described(an_object(difficult=1), an_object()))
    truth = open_dataset(str(folder)).ground_truth(0, SIZE)
    assert truth.ignored.tolist() == [True, False]
    assert not truth.crowd.any()


def test_classes_are_those_of_all_files_in_order_of_the_alphabet(voc: Write, text: Write) -> None:
    folder = voc(described(an_object("dog"), an_object("ant")))
    text("Annotations/b.xml", described(an_object("cat")))
    dataset = open_dataset(str(folder))
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [2, 0]


def test_names_inside_an_object_are_no_classes(voc: Write) -> None:
    part = "<part><name>head</name></part></object>"
    folder = voc(described(an_object().replace("</object>", part)))
    assert open_dataset(str(folder)).class_names == ("cat",)


def test_a_names_file_says_the_order_of_the_classes(voc: Write, text: Write) -> None:
    folder = voc(described(an_object("dog")))
    text("my.names", "dog\ncat\n")
    assert open_dataset(str(folder)).class_names == ("dog", "cat")


def test_the_size_is_the_one_the_file_states(voc: Write) -> None:
    assert open_dataset(str(voc(described()))).samples[0].size == SIZE


def test_a_size_of_zero_states_nothing(voc: Write) -> None:
    folder = voc(described(size="<width>0</width><height>0</height>"))
    assert open_dataset(str(folder)).samples[0].size is None


def test_a_split_is_a_list_of_names(voc: Write, picture: Write, text: Write) -> None:
    folder = voc(described())
    picture("JPEGImages/b.png")
    text("Annotations/b.xml", described())
    text("ImageSets/Main/val.txt", "b\n")
    text("ImageSets/Main/train.txt", "\na  1\n")  # as in VOC's lists for a class
    assert [s.path.name for s in open_dataset(str(folder)).samples] == ["b.png"]
    train = open_dataset(str(folder), split="train")
    assert [s.path.name for s in train.samples] == ["a.jpg"]
    assert train.place(0).line == 2
    with pytest.raises(DataError, match=r"has no test.txt\nexpected: a split; it has train, val"):
        open_dataset(str(folder), split="test")


def test_xml_files_may_lie_beside_their_images(picture: Write, text: Write) -> None:
    picture("set/a.jpg")
    file = text("set/a.xml", described(an_object()))
    assert len(open_dataset(str(file.parent)).ground_truth(0, SIZE)) == 1


@pytest.mark.parametrize(
    ("xml", "line", "message"),
    [
        ("<annotation>\n<object></annotation>", 2, "is no XML: mismatched tag"),
        (
            described(an_object(), "<object><name>cat</name></object>"),
            5,
            "an object without bndbox",
        ),
        ('<?xml version="1.0" encoding="utf-2"?><a/>', 1, "is no XML: unknown encoding: utf-2"),
        ("", 1, "is no XML: no element found"),
        (described("<object/>"), 2, "an object without a name"),
        (described(an_object(box=("x", 1, 2, 3))), 3, "xmin 'x' is no number"),
        (described(an_object(box=(1, "nan", 2, 3))), 3, "ymin nan is no pixel's number"),
        (described(an_object()).replace("<ymax>40</ymax>", ""), 3, "bndbox without ymax"),
        (
            '<!DOCTYPE a [<!ENTITY x "xxxxxxxx">]>\n<a>&x;</a>',
            1,
            "declares entities",
        ),
    ],
)
def test_an_xml_that_makes_no_sense_is_named_with_its_line(
    voc: Write, xml: str, line: int, message: str
) -> None:
    folder = voc(xml)
    with pytest.raises(DataError) as error:
        open_dataset(str(folder)).ground_truth(0, SIZE)
    file = folder / "Annotations" / "a.xml"
    assert str(error.value).startswith(f"{file}:{line}: problem: {message}")


def test_a_class_that_the_names_lack_is_named(voc: Write, text: Write) -> None:
    folder = voc(described(an_object("cow")))
    text("my.names", "dog\ncat\n")
    with pytest.raises(DataError) as error:
        open_dataset(str(folder)).ground_truth(0, SIZE)
    assert "class 'cow' is out of range\nhelp: the classes are dog, cat" in str(error.value)


def test_a_folder_of_xml_without_names_in_a_split_is_refused(voc: Write, text: Write) -> None:
    folder = voc(described())
    text("ImageSets/Main/val.txt", "\n")
    with pytest.raises(DataError, match=r"val.txt names no image"):
        open_dataset(str(folder))
