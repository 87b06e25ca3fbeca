"""Annotated pictures and videos, YOLO txt and crops, as files on disk."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from yolo_gp.detections import Detections
from yolo_gp.errors import DataError
from yolo_gp.tasks.draw import class_color, draw
from yolo_gp.tasks.frames import Frame
from yolo_gp.tasks.writers import (
    AnnotatedWriter,
    CropWriter,
    OutputNames,
    TxtWriter,
    class_folder,
    safe_stem,
)

Make = Callable[..., Detections]
Still = Callable[..., Frame]


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def video_frame(name: str, index: int, source: int = 0, size: tuple[int, int] = (48, 64)) -> Frame:
    image = np.full((*size, 3), 90, np.uint8)
    return Frame(name, Path(name), image, source, index, Fraction(10))


def stems(*frames: Frame) -> list[str]:
    names = OutputNames()
    return [names.stem(frame) for frame in frames]


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.PNG"])
def test_an_annotated_still_holds_the_drawn_picture(
    tmp_path: Path, detections: Make, still: Still, name: str
) -> None:
    frame, found = still(name), detections([(5, 20, 60, 45, 0.9, 3)])
    AnnotatedWriter(tmp_path, OutputNames()).write(frame, found)
    with Image.open(tmp_path / name) as written:
        assert np.array_equal(np.asarray(written), draw(frame.image, found))


@pytest.mark.parametrize(
    ("name", "written", "format"),
    [
        ("x/a.jpg", "a.jpg", "JPEG"),
        ("a.JPEG", "a.JPEG", "JPEG"),
        ("a.webp", "a.webp", "WEBP"),
        ("a.tiff", "a.jpg", "JPEG"),
        ("a", "a.jpg", "JPEG"),
        ("a.b.gif", "a.b.jpg", "JPEG"),
    ],
)
def test_a_still_keeps_its_format_or_becomes_jpeg(
    tmp_path: Path, detections: Make, still: Still, name: str, written: str, format: str
) -> None:
    AnnotatedWriter(tmp_path, OutputNames()).write(still(name), detections([]))
    assert files(tmp_path) == [written]
    with Image.open(tmp_path / written) as image:
        assert image.format == format


def test_thin_lines_keep_their_colour_in_jpeg(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    frame = still("a.jpg", size=(200, 300))
    AnnotatedWriter(tmp_path, OutputNames()).write(frame, detections([(51, 61, 150, 160, 0.9, 3)]))
    with Image.open(tmp_path / "a.jpg") as written:
        line = np.asarray(written)[100, 51].astype(int)
    assert np.abs(line - class_color(3)).max() < 25


def test_a_picture_too_long_for_jpeg_becomes_png(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    writer = AnnotatedWriter(tmp_path, OutputNames())
    writer.write(still("a.tif", size=(2, 66_000)), detections([]))
    writer.write(still("b.webp", source=1, size=(2, 17_000)), detections([]))
    assert files(tmp_path) == ["a.png", "b.png"]


def test_two_files_of_one_name_get_numbers(tmp_path: Path, detections: Make, still: Still) -> None:
    writer = AnnotatedWriter(tmp_path, OutputNames())
    for source, name in enumerate(["x/a.jpg", "y/a.jpg", "z/A.jpg"]):
        writer.write(still(name, source), detections([]))
    assert files(tmp_path) == ["A-3.jpg", "a-2.jpg", "a.jpg"]


def test_every_writer_gives_a_source_the_same_stem(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    names = OutputNames()
    writers = [kind(tmp_path, names) for kind in (AnnotatedWriter, TxtWriter, CropWriter)]
    found = detections([(1, 2, 30, 40, 0.5, 0)], names=("cat",))
    for source, name in enumerate(["x/a.jpg", "x/a.png"]):
        for writer in writers:
            writer.write(still(name, source), found)
    assert files(tmp_path) == [
        "a-2.png",
        "a.jpg",
        "crops/cat/a-1.jpg",
        "crops/cat/a-2-1.jpg",
        "labels/a-2.txt",
        "labels/a.txt",
    ]


def test_a_number_that_is_taken_by_a_real_name_is_passed_over(still: Still) -> None:
    found = ["a.jpg", "a-2.jpg", "x/a.jpg", "y/a.jpg", "x/a-2.jpg"]
    assert stems(*(still(name, i) for i, name in enumerate(found))) == [
        "a",
        "a-2",
        "a-3",
        "a-4",
        "a-2-2",
    ]


def test_the_frames_of_a_video_share_a_stem() -> None:
    assert stems(
        video_frame("a.mp4", 0), video_frame("a.mp4", 1), video_frame("x/a.mp4", 0, 1)
    ) == [
        "a",
        "a",
        "a-2",
    ]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("https://x.org/pets/dog.jpg?size=1&v=../../etc", "dog"),
        ("https://x.org/a%2F..%2Fb:c.png", "a_.._b_c"),
        ("https://user:secret@x.org/", "x.org"),
        ("rtsp://user:secret@cam:554/live", "live"),
        ("https://x.org/%2e%2e", "_"),
        ("https://x.org/CON.jpg", "_CON"),
        ("0", "camera-0"),
    ],
)
def test_an_address_gets_a_safe_file_name(name: str, stem: str) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    assert stems(Frame(name, None, image, 0)) == [stem]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("traffic light", "traffic light"),
        ("汽车", "汽车"),
        ("a/b\\c:d*e\n", "a_b_c_d_e_"),
        ("..", "_"),
        ("", "_"),
        ("nul.txt", "_nul.txt"),
        ("ends. ", "ends"),
        ("x" * 300, "x" * 120),
        ("é" * 300, "é" * 60),
    ],
)
def test_a_safe_name_is_one_that_every_file_system_takes(text: str, safe: str) -> None:
    assert safe_stem(text) == safe


def test_classes_whose_safe_names_agree_have_folders_of_their_own() -> None:
    assert [class_folder(0, "a_b"), class_folder(1, "a/b"), class_folder(2, "a:b")] == [
        "a_b",
        "a_b-1",
        "a_b-2",
    ]


def test_a_very_long_file_name_still_finds_room_for_a_suffix(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    writer = AnnotatedWriter(tmp_path, OutputNames())
    for source in (0, 1):
        writer.write(still("ü" * 125 + ".jpg", source), detections([]))
    assert files(tmp_path) == ["ü" * 60 + "-2.jpg", "ü" * 60 + ".jpg"]


def test_each_video_becomes_an_mp4_of_its_own(tmp_path: Path, detections: Make) -> None:
    writer = AnnotatedWriter(tmp_path, OutputNames())
    found = detections([(100, 100, 200, 200, 0.9, 3)])
    for index in range(5):
        writer.write(video_frame("a.mkv", index, size=(400, 600)), found)
    for index in range(3):
        writer.write(video_frame("b.avi", index, source=1, size=(400, 600)), found)
    assert files(tmp_path)[-1] == "a.mp4"  # finished when the next began
    writer.close()
    assert files(tmp_path) == ["a.mp4", "b.mp4"]
    for name, count in (("a.mp4", 5), ("b.mp4", 3)):
        with av.open(tmp_path / name) as container:
            assert container.streams.video[0].average_rate == 10
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == count
        left_edge = frames[0][150, 100].astype(int)
        assert np.abs(left_edge - class_color(3)).max() < 30


def test_a_still_after_a_video_finishes_it(tmp_path: Path, detections: Make, still: Still) -> None:
    writer = AnnotatedWriter(tmp_path, OutputNames())
    writer.write(video_frame("a.mp4", 0), detections([]))
    writer.write(still("b.png", source=1), detections([]))
    assert files(tmp_path) == ["a.mp4", "b.png"]


def test_txt_lines_are_relative_with_six_decimals(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    # 64 x 48: centre (16, 24), size 32 x 12; the second reaches 16 pixels beyond the left edge
    rows = [(0, 18, 32, 30, 0.875, 2), (-16, 0, 16, 48, 1 / 3, 0)]
    TxtWriter(tmp_path, OutputNames()).write(still("in/a.jpg"), detections(rows))
    assert (tmp_path / "labels/a.txt").read_text() == (
        "2 0.250000 0.500000 0.500000 0.250000 0.875000\n"
        "0 0.000000 0.500000 0.500000 1.000000 0.333333\n"
    )


def test_an_image_without_detections_gets_an_empty_txt(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    TxtWriter(tmp_path, OutputNames()).write(still("a.jpg"), detections([]))
    assert (tmp_path / "labels/a.txt").read_bytes() == b""


def test_frames_of_a_video_get_a_folder_of_txt_files_and_crops(
    tmp_path: Path, detections: Make
) -> None:
    names = OutputNames()
    found = detections([(1, 2, 30, 40, 0.5, 0)])
    for index in (0, 11):
        TxtWriter(tmp_path, names).write(video_frame("a.mp4", index), found)
        CropWriter(tmp_path, names).write(video_frame("a.mp4", index), found)
    assert files(tmp_path) == [
        "crops/0/a/000000-1.jpg",
        "crops/0/a/000011-1.jpg",
        "labels/a/000000.txt",
        "labels/a/000011.txt",
    ]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_crop_is_what_the_box_holds(tmp_path: Path, detections: Make, channels: int) -> None:
    image = np.zeros((48, 64, channels), np.uint8)
    image[10:30, 20:50] = 200
    frame = Frame("a.jpg", Path("a.jpg"), image, 0)
    found = detections([(20, 10, 50, 30, 0.9, 1), (0, 0, 15, 9, 0.8, 0)], names=("cat", "a/b"))
    CropWriter(tmp_path, OutputNames()).write(frame, found)
    assert files(tmp_path) == ["crops/a_b-1/a-1.jpg", "crops/cat/a-2.jpg"]
    with Image.open(tmp_path / "crops/a_b-1/a-1.jpg") as crop:
        pixels = np.asarray(crop)
    assert pixels.shape[:2] == (20, 30)
    assert np.abs(pixels.astype(int) - 200).max() < 4


def test_crops_are_clipped_and_empty_ones_left_out(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    inf = float("inf")
    rows = [
        (-10, -10, 8, 6, 0.9, 0),
        (60, 40, inf, inf, 0.8, 0),
        (-9, 1, 0, 9, 0.7, 0),  # left of the image
        (70, 1, 80, 9, 0.6, 0),  # right of it
        (5, 5, 5, 9, 0.5, 0),  # no width
        (9, 5, 5, 9, 0.5, 0),  # inside out
    ]
    CropWriter(tmp_path, OutputNames()).write(still("a.jpg"), detections(rows))
    assert files(tmp_path) == ["crops/0/a-1.jpg", "crops/0/a-2.jpg"]
    sizes = [Image.open(tmp_path / f"crops/0/a-{n}.jpg").size for n in (1, 2)]
    assert sizes == [(8, 6), (4, 8)]


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    (tmp_path / "labels").touch()
    with pytest.raises(DataError, match=r"cannot write .*a\.txt: "):
        TxtWriter(tmp_path, OutputNames()).write(still("a.jpg"), detections([]))
