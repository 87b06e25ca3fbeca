"""What is printed of many classified images."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np

from yolo_gp.tasks.classifier import ClassScore
from yolo_gp.tasks.classify_report import ClassifyReport
from yolo_gp.tasks.frames import Failure, Frame

CAT, DOG = ClassScore(3, "cat, or so", 0.91), ClassScore(0, "dog", 0.0123456789)


def frame(name: str, number: int | None = None) -> Frame:
    return Frame(name, Path(name), np.zeros((48, 64, 3), np.uint8), 0, number)


def report() -> ClassifyReport:
    made = ClassifyReport()
    made.add(frame("a.jpg"), (CAT, DOG))
    made.fail(Failure("b.jpg", "no such file"))
    made.add(frame("clip.mp4", 7), (DOG, ClassScore(1, "cow", math.nan)))
    return made


def test_json_holds_classes_and_failures_and_no_number_that_json_lacks() -> None:
    assert json.loads(report().to_json()) == {
        "schema_version": 1,
        "images": [
            {
                "file": "a.jpg",
                "width": 64,
                "height": 48,
                "classes": [
                    {"class_id": 3, "name": "cat, or so", "score": 0.91},
                    {"class_id": 0, "name": "dog", "score": 0.0123457},
                ],
            },
            {
                "file": "clip.mp4",
                "frame": 7,
                "width": 64,
                "height": 48,
                "classes": [
                    {"class_id": 0, "name": "dog", "score": 0.0123457},
                    {"class_id": 1, "name": "cow", "score": None},
                ],
            },
        ],
        "failed": [{"file": "b.jpg", "reason": "no such file"}],
    }


def test_csv_has_a_line_for_each_image_and_class() -> None:
    text = report().to_csv()
    assert not text.endswith("\n")  # print adds it
    assert list(csv.reader(io.StringIO(text))) == [
        ["file", "frame", "rank", "class_id", "name", "score"],
        ["a.jpg", "", "1", "3", "cat, or so", "0.91"],
        ["a.jpg", "", "2", "0", "dog", "0.0123457"],
        ["clip.mp4", "7", "1", "0", "dog", "0.0123457"],
        ["clip.mp4", "7", "2", "1", "cow", "nan"],
    ]


def test_the_table_names_each_file_once() -> None:
    assert report().to_table() == (
        "file         class        score\n"
        "a.jpg        cat, or so  0.9100\n"
        "             dog         0.0123\n"
        "clip.mp4 #7  dog         0.0123\n"
        "             cow            nan"
    )


def test_a_name_cannot_send_orders_to_the_terminal() -> None:
    made = ClassifyReport()
    made.add(frame("a.jpg"), (ClassScore(0, "re\x1b[31md", 0.5),))
    assert "re?[31md" in made.to_table()
