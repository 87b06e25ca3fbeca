"""Run folders, atomic files, and the report as JSON and as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from yolo_gp.detections import Detections
from yolo_gp.errors import UsageError
from yolo_gp.files import write_atomically
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.results import (
    Report,
    claim_folder,
    new_run_folder,
    shorten,
)

Make = Callable[..., Detections]
Still = Callable[..., Frame]


def test_run_folders_count_up_from_one(tmp_path: Path) -> None:
    base = tmp_path / "runs" / "detect"
    assert [new_run_folder(base) for _ in range(3)] == [base / "1", base / "2", base / "3"]
    assert all((base / number).is_dir() for number in "123")


def test_a_number_is_never_used_again(tmp_path: Path) -> None:
    new_run_folder(tmp_path)
    new_run_folder(tmp_path)
    (tmp_path / "1").rmdir()
    assert new_run_folder(tmp_path) == tmp_path / "3"


def test_other_names_in_the_base_do_not_matter(tmp_path: Path) -> None:
    for name in ("exp", "12a", "-7", "٩"):
        (tmp_path / name).mkdir()
    (tmp_path / "4").touch()  # a file takes its number too
    assert new_run_folder(tmp_path) == tmp_path / "5"


def test_the_default_is_runs_detect_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_run_folder() == Path("runs/detect/1")


def test_many_at_once_never_get_the_same_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: new_run_folder(tmp_path), range(64)))
    assert sorted(int(folder.name) for folder in folders) == list(range(1, 65))


def test_a_folder_made_between_look_and_make_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1").mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))  # as it was a moment ago
    assert new_run_folder(tmp_path) == tmp_path / "2"


def test_a_base_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match=r"cannot create a folder in .*runs: file exists"):
        new_run_folder(tmp_path / "runs")


def test_a_folder_given_is_made_if_absent_and_taken_if_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert claim_folder(folder) == folder
    assert folder.is_dir()
    assert claim_folder(folder) == folder


def test_a_folder_given_that_holds_something_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    with pytest.raises(UsageError) as caught:
        claim_folder(tmp_path)
    assert str(caught.value) == f"{tmp_path} is not empty; name a new folder, or empty it first"


def test_a_file_given_as_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match=r"cannot use .*a for the results: file exists"):
        claim_folder(tmp_path / "a")


def test_the_json_has_exactly_the_keys_that_are_promised(detections: Make, still: Still) -> None:
    report = Report("darknet")
    rows = [(1.23456, 2, 30.5, 40.00049, 0.87654321, 1), (-5, 0, 3, 4, 0.25, 7)]
    report.add(still("in/a.jpg"), detections(rows, names=("cat", "dog")))
    report.add(still("b.jpg", source=1, size=(5, 6)), detections([]))
    report.fail(Failure("c.jpg", "the file is empty"))
    assert json.loads(report.to_json()) == {
        "schema_version": 1,
        "preset": "darknet",
        "images": [
            {
                "file": "in/a.jpg",
                "width": 64,
                "height": 48,
                "detections": [
                    {
                        "class_id": 1,
                        "name": "dog",
                        "confidence": 0.876543,
                        "box_xyxy": [1.235, 2.0, 30.5, 40.0],
                    },
                    {
                        "class_id": 7,
                        "name": "7",
                        "confidence": 0.25,
                        "box_xyxy": [-5.0, 0.0, 3.0, 4.0],
                    },
                ],
            },
            {"file": "b.jpg", "width": 6, "height": 5, "detections": []},
        ],
        "failed": [{"file": "c.jpg", "reason": "the file is empty"}],
    }


def test_the_json_of_a_run_without_images_is_whole() -> None:
    assert json.loads(Report("coco").to_json()) == {
        "schema_version": 1,
        "preset": "coco",
        "images": [],
        "failed": [],
    }


def test_a_frame_of_a_video_carries_its_number(detections: Make) -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    report = Report("darknet")
    for index in (0, 1):
        report.add(Frame("a.mp4", Path("a.mp4"), image, 0, index, Fraction(25)), detections([]))
    assert [(i["file"], i["frame"]) for i in json.loads(report.to_json())["images"]] == [
        ("a.mp4", 0),
        ("a.mp4", 1),
    ]


def test_infinite_boxes_are_still_json(detections: Make, still: Still) -> None:
    inf = float("inf")
    report = Report("darknet")
    report.add(still("a.jpg"), detections([(-inf, -0.0001, inf, 4, 0.5, 0)]))

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    text = report.to_json()
    (image,) = json.loads(text, parse_constant=refuse)["images"]
    assert image["detections"][0]["box_xyxy"] == [-1e9, 0.0, 1e9, 4.0]
    assert "-0.0," not in text


def test_a_file_name_that_is_no_unicode_is_still_utf_8_json(
    tmp_path: Path, detections: Make, still: Still
) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    report = Report("darknet")
    report.add(still(name), detections([]))
    write_atomically(tmp_path / "a.json", report.to_json())
    read = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert read["images"][0]["file"] == name


def test_the_table_is_aligned(detections: Make, still: Still) -> None:
    report = Report("darknet")
    rows = [(1.2, 2, 30.5, 40, 0.876, 1), (-5.4, 0, 113.6, 4, 0.25, 0)]
    report.add(still("a.jpg"), detections(rows, names=("cat", "traffic light")))
    report.add(still("longer.jpg", 1), detections([]))
    image = np.zeros((2, 3, 3), np.uint8)
    video_frame = Frame("v.mp4", Path("v.mp4"), image, 2, 12)
    report.add(video_frame, detections([(0, 0, 1, 1, 1, 5)]))
    assert report.to_table() == "\n".join(
        [
            "file        class          confidence  left  top  right  bottom",
            "a.jpg       traffic light        0.88     1    2     30      40",
            "a.jpg       cat                  0.25    -5    0    114       4",
            "longer.jpg  no detections",
            "v.mp4 #12   5                    1.00     0    0      1       1",
        ]
    )


def test_wide_letters_count_twice_in_the_table(detections: Make, still: Still) -> None:
    report = Report("darknet")
    report.add(still("a.jpg"), detections([(0, 0, 1, 1, 0.5, 0)], names=("汽车",)))
    report.add(still("b.jpg"), detections([(0, 0, 1, 1, 0.5, 0)], names=("cars",)))
    _, wide, narrow = report.to_table().splitlines()
    assert wide.replace("a.jpg", "b.jpg").replace("汽车", "cars") == narrow


def test_a_name_with_control_characters_cannot_break_the_table(
    detections: Make, still: Still
) -> None:
    report = Report("darknet")
    report.add(still("a\n\x1b[31m.jpg"), detections([]))
    assert report.to_table().splitlines()[1] == "a??[31m.jpg  no detections"


def test_a_long_file_name_loses_its_middle_in_the_table(detections: Make, still: Still) -> None:
    report = Report("darknet")
    report.add(still("folder/" * 20 + "picture.jpg"), detections([]))
    line = report.to_table().splitlines()[1]
    assert line.startswith("folder/folder/")
    assert "…" in line
    assert line.endswith("picture.jpg  no detections")
    assert len(line) == 40 + len("  no detections")


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…fg"),
        ("abcdefg", 5, "ab…fg"),
        ("汽车汽车", 7, "汽车…车"),
        ("汽车汽车", 8, "汽车汽车"),
        ("", 5, ""),
    ],
)
def test_shortening_keeps_both_ends(text: str, width: int, expected: str) -> None:
    assert shorten(text, width) == expected
