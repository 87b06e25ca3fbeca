"""Every kind of broken data is told, with file and line."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from yolo_gp.data.checking import CheckReport, check_dataset
from yolo_gp.data.opening import open_dataset

from .conftest import Write

ROW = "0 0.5 0.5 0.1 0.2\n"
BOX = [10, 20, 30, 40]


def check(spec: Path, *, decode: bool = True, split: str = "val") -> CheckReport:
    return check_dataset(open_dataset(str(spec), split=split), decode_images=decode)


def only(report: CheckReport) -> str:
    (found,) = report.found
    return found.render()


def replace_image(folder: Path, image: Image.Image, format: str = "PNG", **options: object) -> Path:
    file = folder / "images" / "a.jpg"
    content = io.BytesIO()
    image.save(content, format, **options)
    file.write_bytes(content.getvalue())
    return file


@pytest.mark.parametrize("decode", [True, False])
def test_sound_data_has_no_findings(yolo: Write, decode: bool) -> None:
    report = check(yolo(ROW), decode=decode)
    assert report.found == ()
    assert (report.images, report.objects) == (1, 1)


# -- images


@pytest.mark.parametrize("decode", [True, False])
def test_a_missing_image_is_a_problem_at_the_line_that_lists_it(
    yolo: Write, text: Write, decode: bool
) -> None:
    folder = yolo(ROW)
    list_file = text("list.txt", "images/a.jpg\nimages/b.jpg\n")
    assert only(check(list_file, decode=decode)) == (
        f"{list_file}:2: problem: there is no image {folder}/images/b.jpg"
    )


@pytest.mark.parametrize("decode", [True, False])
def test_a_missing_image_of_a_json_is_named_by_its_id(coco: Write, decode: bool) -> None:
    images = [
        {"id": 7, "file_name": "a.jpg", "height": 100, "width": 200},
        {"id": 8, "file_name": "b.jpg", "height": 100, "width": 200},
    ]
    file = coco({"bbox": BOX}, images=images)
    assert only(check(file, decode=decode)) == (
        f"{file}: problem: image 8: there is no image {file.parent}/images/b.jpg"
    )


def test_an_image_cut_short_is_a_problem(yolo: Write) -> None:
    folder = yolo(ROW)
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)
    file = replace_image(folder, Image.fromarray(pixels), "JPEG")
    file.write_bytes(file.read_bytes()[:-2000])
    text = only(check(folder))
    assert text.startswith(f"{file}: problem: the image is damaged or cut short: ")


def test_a_file_that_is_no_image_is_a_problem(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    file = text("images/a.jpg", "not an image")
    expected = f"{file}: problem: not an image in a format that can be read"
    assert only(check(folder)) == expected
    text = only(check(folder, decode=False))
    assert (
        text
        == f"{file}: problem: cannot read image {file}: not an image in a format that can be read"
    )


def test_an_empty_image_file_is_a_problem(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    file = text("images/a.jpg", "")
    assert only(check(folder)) == f"{file}: problem: the file is empty"


def with_exif(size: tuple[int, int], orientation: int) -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.new("RGB", (size[1], size[0])), exif


def test_annotations_of_a_picture_before_exif_turns_it_are_a_problem(coco: Write) -> None:
    # stored 100 x 200, which the JSON states; upright it is 200 x 100
    file = coco({"bbox": BOX})
    image, exif = with_exif((100, 200), 6)
    picture = replace_image(file.parent, image, "JPEG", exif=exif)
    assert only(check(file)) == (
        f"{file}: problem: image 7: {picture} is 200x100 after EXIF orientation 6, but 100x200 is "
        "stated: the annotations are those of the picture before it is turned\n"
        "help: remove the EXIF orientation, or annotate the upright picture"
    )


def test_annotations_of_the_upright_picture_are_only_noted(coco: Write) -> None:
    # stored 200 x 100, upright 100 x 200 as the JSON states
    file = coco({"bbox": BOX})
    image, exif = with_exif((200, 100), 8)
    picture = replace_image(file.parent, image, "JPEG", exif=exif)
    assert only(check(file)) == (
        f"{file}: note: image 7: {picture} has EXIF orientation 8; annotations must be those of "
        "the upright picture"
    )


def test_a_stated_size_that_is_not_the_files_is_a_problem(coco: Write, picture: Write) -> None:
    file = coco({"bbox": [1, 2, 3, 4]})
    image = picture("images/a.jpg", (50, 100))
    assert only(check(file)) == (
        f"{file}: problem: image 7: 100x200 is stated, but {image} is 50x100\n"
        "help: height x width; scale the annotations, or put back the picture they belong to"
    )


@pytest.mark.parametrize(
    ("image", "format", "note"),
    [
        (Image.new("CMYK", (200, 100)), "JPEG", "CMYK colours; converted to RGB without regard"),
        (Image.new("P", (200, 100)), "PNG", "palette colours; converted to RGB"),
        (Image.new("RGBA", (200, 100)), "PNG", "has transparency; it is dropped"),
        (Image.new("LA", (200, 100)), "PNG", "has transparency; it is dropped"),
        (Image.new("I;16", (200, 100)), "PNG", "16 bits a channel; the low 8 are dropped"),
        (Image.new("YCbCr", (200, 100)), "TIFF", "YCbCr pixels; converted to RGB"),
    ],
)
def test_pixel_formats_that_are_converted_are_noted(
    yolo: Write, image: Image.Image, format: str, note: str
) -> None:
    folder = yolo(ROW)
    file = replace_image(folder, image, format)
    assert only(check(folder)).startswith(f"{file}: note: {note}")


def test_sixteen_bit_colour_is_noted(yolo: Write) -> None:
    folder = yolo(ROW)
    file = folder / "images" / "a.jpg"
    pixels = np.full((100, 200, 3), 40_000, np.uint16)
    file.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    assert only(check(folder)) == f"{file}: note: 16 bits a channel; the low 8 are dropped"


def test_a_header_is_read_without_decoding_the_pixels(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)
    for format in ("PNG", "JPEG"):
        file = replace_image(folder, Image.fromarray(pixels), format)
        file.write_bytes(file.read_bytes()[:-9000])
        assert check(folder, decode=False).found == ()
        assert len(check(folder).problems) == 1


def test_an_image_listed_twice_is_a_problem(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    list_file = text("list.txt", "images/a.jpg\nimages/a.jpg\n")
    assert only(check(list_file)) == (
        f"{list_file}:2: problem: {folder}/images/a.jpg stands here again; first at line 1"
    )


def test_two_entries_for_one_file_are_a_problem(coco: Write) -> None:
    size = {"height": 100, "width": 200}
    images = [{"id": i, "file_name": "a.jpg", **size} for i in (7, 8)]
    file = coco({"bbox": BOX}, images=images)
    assert only(check(file, decode=False)).endswith("a.jpg stands here again; first at image 7")


def test_the_same_picture_under_two_names_is_noted(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    copy = folder / "images" / "b.jpg"
    copy.write_bytes((folder / "images" / "a.jpg").read_bytes())
    text("labels/b.txt", ROW)
    assert only(check(folder)) == (
        f"{copy}: note: {copy} is the same file as {folder}/images/a.jpg, byte for byte"
    )


# -- labels


def test_a_missing_label_is_a_note(yolo: Write, picture: Write) -> None:
    folder = yolo(ROW)
    image = picture("images/b.jpg")
    assert only(check(folder)) == (
        f"{folder}/labels/b.txt: note: does not exist, so {image} counts as without objects"
    )


def test_an_empty_label_says_that_there_is_nothing(
    yolo: Write, picture: Write, text: Write
) -> None:
    folder = yolo(ROW)
    picture("images/b.jpg")
    text("labels/b.txt", "")
    assert check(folder).found == ()


def test_a_label_without_an_image_is_a_problem(yolo: Write, text: Write) -> None:
    folder = yolo(ROW)
    label = text("labels/c.txt", ROW)
    text("labels/classes.txt", "cat\ndog\n")  # as LabelImg writes it
    assert only(check(folder)) == (
        f"{label}: problem: labels without an image; there is no c with an image's suffix in "
        f"{folder}/images"
    )


def test_a_label_of_an_image_that_a_list_leaves_out_is_none(
    yolo: Write, picture: Write, text: Write
) -> None:
    yolo(ROW)
    picture("images/b.jpg")
    text("labels/b.txt", ROW)
    assert check(text("list.txt", "images/a.jpg\n")).found == ()


def test_an_annotation_of_an_image_that_is_not_listed_is_a_problem(coco: Write) -> None:
    file = coco({"bbox": BOX}, {"bbox": BOX, "image_id": 99})
    assert only(check(file)) == (
        f"{file}: problem: annotation 2: belongs to image 99, which the file does not list"
    )


def test_an_annotation_id_that_stands_twice_is_a_problem(coco: Write) -> None:
    file = coco({"bbox": BOX}, {"bbox": [1, 2, 3, 4], "id": 1})
    assert only(check(file)).startswith(f"{file}: problem: annotation 1: its id stands twice")


def test_an_xml_without_an_image_is_a_problem(picture: Write, text: Write, tmp_path: Path) -> None:
    picture("JPEGImages/a.jpg")
    text("ImageSets/Main/val.txt", "a\n")
    text("Annotations/a.xml", "<annotation/>")
    orphan = text("Annotations/b.xml", "<annotation/>")
    assert only(check(tmp_path)).startswith(f"{orphan}: problem: annotations without an image; ")


# -- objects: rows of labels/a.txt after a sound one, in a picture of 100 x 200


@pytest.mark.parametrize(
    ("row", "what"),
    [
        # centre (190, 50), 40 wide: 170 to 210
        (
            "0 .95 .5 .2 .2",
            "the box 170, 40, 210, 60 reaches 10 pixels beyond the right edge of the 100x200 image",
        ),
        (
            "0 .5 .05 .2 .2",
            "the box 80, -5, 120, 15 reaches 5 pixels beyond the top edge of the 100x200 image",
        ),
        ("0 .5 .5 0 .2", "the box is 0 wide and 20 high, so it holds no pixel"),
        ("0 .5 .5 .1 -.2", "the box is 20 wide and -20 high, so it holds no pixel"),
        ("2 .5 .5 .1 .1", "class 2 is out of range"),
        ("0 .5 .5 .1 .2", "a second 'cat' with the same box as line 1"),
        ("0 .5 .5 .1", "4 columns"),
        ("0 .5 .5 .1 .2 .3", "6 columns"),
        ("0 .5 .5 .1 nan", "'nan' is no finite number"),
        ("0 .5 .5 .1 .2,", "'.2,' is no number"),
        ("0 100 50 20 20", "coordinate 100 is not normalised"),
    ],
)
@pytest.mark.parametrize("decode", [True, False])
def test_a_bad_row_is_a_problem_with_its_line(
    yolo: Write, row: str, what: str, decode: bool
) -> None:
    folder = yolo(f"{ROW}{row}\n")
    first = only(check(folder, decode=decode)).splitlines()[0]
    assert first == f"{folder}/labels/a.txt:2: problem: {what}"


def test_a_box_may_touch_the_edge_and_pass_it_by_rounding(yolo: Write) -> None:
    # 200.4 and 99.9 pixels wide: 0.2 pixels beyond either side; and all of the image
    assert check(yolo("0 .5 .5 1.002 .999\n1 .5 .5 1 1\n")).found == ()


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        ({"bbox": [180, 20, 30, 40]}, "reaches 10 pixels beyond the right edge"),
        ({"bbox": [10, 20, 0, 40]}, "the box is 0 wide and 40 high"),
        ({"bbox": [10, 20, -3, 40]}, "the box is -3 wide and 40 high"),
        ({"bbox": BOX, "category_id": 4}, "category 4 is out of range: it is not listed"),
        ({"bbox": BOX}, "a second 'cat' with the same box as annotation 1"),
        ({"bbox": [1, 2, 3]}, "bbox [1, 2, 3] is not four finite numbers"),
    ],
)
def test_a_bad_annotation_is_a_problem_with_its_id(
    coco: Write, annotation: dict[str, object], what: str
) -> None:
    file = coco({"bbox": BOX}, annotation)
    text = only(check(file))
    assert text.startswith(f"{file}: problem: annotation 2: ")
    assert what in text


def test_a_voc_box_that_counts_from_zero_lies_outside(
    picture: Write, text: Write, tmp_path: Path
) -> None:
    picture("JPEGImages/a.jpg")
    box = "<bndbox><xmin>0</xmin><ymin>5</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    file = text("Annotations/a.xml", f"<a>\n<object><name>x</name>{box}</object></a>")
    assert only(check(tmp_path)).startswith(
        f"{file}:2: problem: the box -1, 4, 9, 9 reaches 1 pixels beyond the left edge"
    )


def test_everything_is_told_at_once(yolo: Write, picture: Write, text: Write) -> None:
    folder = yolo("0 1\n0 .5 .5 0 0\n")
    picture("images/b.jpg")
    text("images/c.jpg", "")
    text("labels/d.txt", "")
    report = check(folder)
    assert len(report.problems) == 4
    assert len(report.notes) == 1


def test_many_images_are_decoded_by_workers_and_told_in_order(
    picture: Write, text: Write, tmp_path: Path
) -> None:
    for number in range(260):
        picture(f"images/{number:03}.png", (4, 4))
        text(f"labels/{number:03}.txt", "")
    for number in (7, 201, 259):
        text(f"images/{number:03}.png", "")
    done: list[int] = []
    report = check_dataset(open_dataset(str(tmp_path)), decode_images=True, advance=done.append)
    names = [Path(found.file).stem for found in report.problems]
    assert names == ["007", "201", "259"]
    assert sum(done) == report.images == 260


@pytest.mark.parametrize("name", ["coco-mini", "bccd"])
def test_real_data_is_sound(shared: Path, name: str) -> None:
    report = check(shared / "data" / name / "annotations" / "instances_val.json", decode=False)
    assert report.found == ()
