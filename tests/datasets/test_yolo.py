"""YOLO txt labels, and the yaml, folder, .data and list that lead to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.data.opening import open_dataset
from yolo_gp.data.yolo_txt import label_candidates
from yolo_gp.errors import DataError

from .conftest import Write

SIZE = (100, 200)
ROW = "0 0.5 0.5 0.1 0.2\n"


def read(folder: Path) -> GroundTruth:
    return open_dataset(str(folder)).ground_truth(0, SIZE)


def test_a_row_of_five_is_a_box_around_its_centre(yolo: Write) -> None:
    # 200 wide, 100 high: centre (100, 25), 40 wide, 10 high
    truth = read(yolo("1 0.5 0.25 0.2 0.1\n"))
    assert truth.boxes_xyxy[0].tolist() == pytest.approx([80, 20, 120, 30])
    assert truth.class_ids.tolist() == [1]
    assert truth.areas[0] == pytest.approx(400)
    assert truth.masks is None


def test_a_longer_row_is_an_outline_whose_extent_is_the_box(yolo: Write) -> None:
    # corners (20, 10), (60, 10), (60, 50), (20, 50): 40 x 40 pixels
    truth = read(yolo("0 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5"))
    assert truth.boxes_xyxy[0].tolist() == pytest.approx([20, 10, 60, 50])
    assert truth.masks is not None
    assert truth.masks[0].size == SIZE
    assert truth.areas[0] == pytest.approx(1600)


def test_boxes_and_outlines_may_stand_in_one_file(yolo: Write) -> None:
    truth = read(yolo("0 0.1 0.1 0.3 0.1 0.3 0.5\n1 0.5 0.25 0.2 0.1"))
    assert truth.masks is not None
    assert len(truth.masks) == 2
    assert truth.areas[1] == pytest.approx(400)  # of the box, which counts as its mask


@pytest.mark.parametrize("labels", [f"\ufeff{ROW}", ROW.replace("\n", "\r\n"), f"\n\n{ROW}\n"])
def test_byte_order_marks_line_ends_and_blank_lines_do_no_harm(yolo: Write, labels: str) -> None:
    assert len(read(yolo(labels))) == 1


def test_a_class_may_be_written_as_a_float(yolo: Write) -> None:
    assert read(yolo("1.0 0.5 0.25 0.2 0.1")).class_ids.tolist() == [1]


@pytest.mark.parametrize("labels", [None, ""])
def test_no_labels_are_no_objects(yolo: Write, picture: Write, text: Write, labels: str) -> None:
    folder = yolo(labels)
    picture("images/b.jpg")
    text("labels/b.txt", ROW)
    assert len(read(folder)) == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0.5 0.5 0.1", "4 columns"),
        ("0 0.5 0.5 0.1 0.2 0.9", "6 columns\nhelp: a sixth column, such as the confidence"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "8 columns\nhelp: 5 columns for a box"),
        ("0 0.5 x 0.1 0.2", "'x' is no number\nhelp: one object a line"),
        ("0 0.5 nan 0.1 0.2", "'nan' is no finite number"),
        ("0 inf 0.5 0.1 0.2", "'inf' is no finite number"),
        ("0.5 0.5 0.5 0.1 0.2", "class 0.5 is no whole number"),
        ("2 0.5 0.5 0.1 0.2", "class 2 is out of range\nhelp: the data set has 2 classes, 0 to 1"),
        ("-1 0.5 0.5 0.1 0.2", "class -1 is out of range"),
        ("99999999999999999999 0.5 0.5 0.1 0.2", "class 99999999999999999999 is out of range"),
        (
            "0 100 50 20 20",
            "coordinate 100 is not normalised\nhelp: divide x and w by the image's width",
        ),
    ],
)
def test_a_row_that_makes_no_sense_is_named_with_its_line(
    yolo: Write, row: str, message: str
) -> None:
    folder = yolo(f"{ROW}{row}\n")
    with pytest.raises(DataError) as error:
        read(folder)
    file = folder / "labels" / "a.txt"
    assert str(error.value).startswith(f"{file}:2: problem: {message}")


def test_all_bad_rows_of_a_file_are_told_at_once(yolo: Write) -> None:
    folder = yolo("0 1\n" * 12)
    with pytest.raises(DataError) as error:
        read(folder)
    assert str(error.value).count("2 columns") == 10
    assert str(error.value).endswith("... and 2 more")


def test_labels_that_are_no_text_are_refused(yolo: Write) -> None:
    folder = yolo("")
    (folder / "labels" / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"a.txt: problem: is no UTF-8 text"):
        read(folder)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        # Darknet 7.2: /images/val2017/ to /labels/val2017/, /JPEGImages/ to /labels/
        ("/data/images/val2017/a.jpg", "/data/labels/val2017/a.txt"),
        ("/voc/JPEGImages/a.jpg", "/voc/labels/a.txt"),
        # everybody but Darknet: a plain images
        ("/data/images/a.png", "/data/labels/a.txt"),
        ("images/val/a.jpg", "labels/val/a.txt"),
        ("/images/set/images/a.jpg", "/images/set/labels/a.txt"),
        ("/data/pictures/a.JPEG", "/data/pictures/a.txt"),
        ("/data/images/a.b.webp", "/data/labels/a.b.txt"),
    ],
)
def test_labels_lie_where_the_path_of_the_image_says(image: str, label: str) -> None:
    assert label_candidates(Path(image))[0] == Path(label)


def test_labels_beside_the_image_are_found_as_darknet_finds_them(
    picture: Write, text: Write, tmp_path: Path
) -> None:
    picture("images/a.jpg")
    text("images/a.txt", ROW)
    assert len(read(tmp_path)) == 1


def test_image_ids_are_the_files_numbers_where_all_are_numbers(
    picture: Write, text: Write, tmp_path: Path
) -> None:
    for number in ("000000000285", "12"):
        picture(f"images/{number}.jpg")
        text(f"labels/{number}.txt", ROW)
    assert [s.image_id for s in open_dataset(str(tmp_path)).samples] == [285, 12]
    picture("images/x.jpg")
    assert [s.image_id for s in open_dataset(str(tmp_path)).samples] == [1, 2, 3]


def test_opening_reads_no_label(yolo: Write) -> None:
    folder = yolo("garbage")
    dataset = open_dataset(str(folder))
    assert dataset.samples[0].path == folder / "images" / "a.jpg"
    assert dataset.samples[0].size is None


# -- yaml


def test_a_yaml_names_root_splits_and_classes(picture: Write, text: Write) -> None:
    picture("root/images/val/a.jpg")
    text("root/labels/val/a.txt", "1 0.5 0.5 0.1 0.1")
    file = text("d.yaml", "path: root\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n")
    dataset = open_dataset(str(file))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (1, 2)
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [1]


def test_a_yaml_may_number_its_names_and_list_folders_and_files(
    picture: Write, text: Write, tmp_path: Path
) -> None:
    picture("a/images/1.jpg")
    picture("b/images/2.jpg")
    picture("b/images/3.jpg")
    text("b/list.txt", "./images/3.jpg\n\n./images/2.jpg\n")
    file = text("d.yaml", "val: [b/list.txt, a/images]\nnames:\n  1: dog\n  0: cat\n")
    dataset = open_dataset(str(file))
    assert dataset.class_names == ("cat", "dog")
    paths = [sample.path.resolve() for sample in dataset.samples]
    expected = [tmp_path / p for p in ("b/images/3.jpg", "b/images/2.jpg", "a/images/1.jpg")]
    assert paths == expected
    assert str(dataset.place(1).file).endswith("list.txt")
    assert dataset.place(1).line == 3
    assert dataset.place(2).line is None


def test_roboflows_paths_are_understood(picture: Write, text: Write, tmp_path: Path) -> None:
    picture("set/valid/images/a.jpg")
    file = text("set/data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 2\n")
    dataset = open_dataset(str(file))
    assert dataset.samples[0].path == tmp_path / "set/valid/images/a.jpg"
    assert dataset.class_names == ("0", "1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("val: [images\n", "d.yaml:2 is no yaml: "),
        ("val: 2024-13-45", "d.yaml is no yaml: month must be in 1..12"),
        ("3", "d.yaml is no description of a data set\nexpected: keys train, val, names"),
        ("train: images", "d.yaml has no val\nexpected: train, val or test; it has train"),
        ("val: nowhere", "d.yaml names nowhere, which does not exist; looked for\n  "),
        ("val: images\nnc: 3\nnames: [a]", "d.yaml: nc is 3, but names lists 1"),
        ("val: images\nnc: none", "d.yaml: nc is none\nexpected: the number of classes"),
        ("val: images\nnames: {0: a, 2: b}", "names skips classes\nexpected: keys 0 to 1"),
        ("val: images\nnames: 5", "d.yaml: names is no list"),
        ("val: empty", "d.yaml: val holds no image: empty"),
    ],
)
def test_a_yaml_that_makes_no_sense_is_refused(
    picture: Write, text: Write, tmp_path: Path, content: str, message: str
) -> None:
    picture("images/a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as error:
        open_dataset(str(text("d.yaml", content)))
    assert message in str(error.value)


def test_a_yaml_runs_no_code(text: Write, tmp_path: Path) -> None:
    file = text("d.yaml", f"val: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(DataError, match="is no yaml"):
        open_dataset(str(file))
    assert not (tmp_path / "made").exists()


# -- folders


def test_a_folder_of_splits_opens_the_one_asked_for(picture: Write, text: Write) -> None:
    for split in ("train", "val"):
        picture(f"set/images/{split}/{split}.jpg")
        path = text(f"set/labels/{split}/{split}.txt", ROW)
    folder = str(path.parent.parent.parent)
    assert [s.path.stem for s in open_dataset(folder, split="train").samples] == ["train"]
    assert [s.path.stem for s in open_dataset(folder).samples] == ["val"]
    with pytest.raises(
        DataError, match="images has no test\nexpected: one of its parts, train, va"
    ):
        open_dataset(folder, split="test")


def test_a_folder_may_hold_its_splits_the_other_way_round(picture: Write, text: Write) -> None:
    picture("set/val/images/a.jpg")
    folder = text("set/val/labels/a.txt", ROW).parent.parent.parent
    assert len(read(folder)) == 1


def test_a_folder_with_one_yaml_is_what_the_yaml_says(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    text("any.yaml", "val: images\nnames: [x, y, z]\n")
    assert open_dataset(str(folder)).class_names == ("x", "y", "z")


def test_a_folder_without_names_leaves_its_classes_uncounted(yolo: Write) -> None:
    folder = yolo("7 0.5 0.5 0.1 0.2")
    (folder / "data.names").unlink()
    dataset = open_dataset(str(folder))
    assert dataset.class_names == ()
    assert dataset.ground_truth(0, SIZE).class_ids.tolist() == [7]


def test_images_are_in_order_of_their_paths_and_hidden_ones_are_left_out(
    yolo: Write, picture: Write
) -> None:
    folder = yolo(ROW)
    for name in ("c.jpg", "b/z.png", ".hidden.jpg", ".cache/d.jpg"):
        picture(f"images/{name}")
    names = [str(s.path.relative_to(folder / "images")) for s in open_dataset(str(folder)).samples]
    assert names == ["a.jpg", "b/z.png", "c.jpg"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no data set of a known format\nexpected: a COCO .json"),
        (["images/a.jpg"], "holds images without labels; looked for "),
        (["images/a.jpg", "a.names", "b.names"], "several lists of names: a.names, b.names"),
        (["annotations/x.json"], "is a folder of COCO data\nexpected: "),
        (["images/val/a.jpg", "annotations/x.json"], "is a folder of COCO data\nexpected: "),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(
    picture: Write, text: Write, tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        picture(name) if name.endswith("jpg") else text(name, "")
    with pytest.raises(DataError) as error:
        open_dataset(str(tmp_path))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.json"])
def test_what_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"there is no data set {name}\nexpected: a COCO .json"):
        open_dataset(name)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(DataError, match=r"cannot read x+: file name too long"):
        open_dataset("x" * 1000)


def test_a_file_of_another_kind_is_refused(text: Write) -> None:
    with pytest.raises(DataError, match=r"x.csv is no data set of a known format\nexpected: "):
        open_dataset(str(text("x.csv", "")))


# -- Darknet's .data and lists


def test_a_darknet_data_file_names_lists_and_classes(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    text("valid.txt", f"{folder}/images/a.jpg\n")
    file = text(
        "x.data",
        "# a comment\nclasses = 2\nvalid= valid.txt\nvalid=other.txt\nnames =data.names\n",
    )
    dataset = open_dataset(str(file))
    assert dataset.class_names == ("cat", "dog")
    assert len(dataset.ground_truth(0, SIZE)) == 1


def test_darknets_paths_are_relative_to_the_working_directory_first(
    yolo: Write, text: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = yolo(ROW)
    text("work/valid.txt", "images/b.jpg\n")
    text("work/images/b.jpg", "")
    text("valid.txt", "images/a.jpg\n")
    file = text("x.data", "valid = valid.txt\n")
    assert open_dataset(str(file)).samples[0].path == folder / "images/a.jpg"
    monkeypatch.chdir(folder / "work")
    assert open_dataset(str(file)).samples[0].path == Path("images/b.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("valid list.txt", "x.data:1: 'valid list.txt' has no =\nexpected: key = value"),
        ("train = list.txt", "x.data has no valid\nexpected: valid = LIST; it has train"),
        (
            "valid = nowhere.txt",
            "names nowhere.txt, which does not exist; looked for\n  nowhere.txt",
        ),
        (
            "valid = list.txt\nclasses = 3\nnames = data.names",
            "classes is 3, but data.names lists 2",
        ),
        ("valid = list.txt\nclasses = many", "classes is many\nexpected: the number of classes"),
        ("valid = empty.txt", "empty.txt names no image"),
    ],
)
def test_a_darknet_data_file_that_makes_no_sense_is_refused(
    yolo: Write, text: Write, content: str, message: str
) -> None:
    yolo(ROW)
    text("list.txt", "images/a.jpg")
    text("empty.txt", "\n")
    with pytest.raises(DataError) as error:
        open_dataset(str(text("x.data", content)))
    assert message in str(error.value)


def test_a_plain_list_is_a_data_set(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    dataset = open_dataset(str(text("list.txt", "images/a.jpg\n")))
    assert dataset.samples[0].path == folder / "images/a.jpg"
    assert np.allclose(dataset.ground_truth(0, SIZE).boxes_xyxy, [[90, 40, 110, 60]])
