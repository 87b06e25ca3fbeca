"""What is shown of a card's published figures."""

from __future__ import annotations

from yolo_gp.zoo import find_card
from yolo_gp.zoo_tables import card_data, card_text


def test_a_card_shows_the_accuracy_that_was_published() -> None:
    lines = [" ".join(line.split()) for line in card_text(find_card("elan")).splitlines()]
    # README of WongKinYiu/yolov7, row YOLOv7
    start = lines.index("row input accuracy data table")
    assert lines[start + 1 :] == [
        "YOLOv7 640x640 AP 51.4 % COCO test-dev YOLOv7 README",
        "YOLOv7 640x640 AP50 69.7 % COCO test-dev YOLOv7 README",
        "YOLOv7 640x640 AP75 55.9 % COCO test-dev YOLOv7 README",
    ]


def test_an_accuracy_at_another_input_says_at_which() -> None:
    lines = [" ".join(line.split()) for line in card_text(find_card("yolov4-tiny")).splitlines()]
    assert lines[-1] == "yolov4-tiny 416x416 AP50 40.2 % COCO Darknet README"
    lines = [" ".join(line.split()) for line in card_text(find_card("yolov3")).splitlines()]
    assert lines[-1] == "yolov3 416x416 AP50 55.3 % COCO Darknet README"


def test_a_card_without_accuracy_has_no_such_table() -> None:
    assert "accuracy" not in card_text(find_card("elan-nano"))


def test_json_has_the_accuracy_of_each_row() -> None:
    # ELAN paper, table 7, row ELAN-{2,1}s; table 8, row YOLO-ELAN
    first, second = card_data(find_card("elan-21-seg"))["published"]
    assert [found["figure"] for found in first["accuracy"]] == [
        "AP",
        "AP75",
        "mask AP",
        "mask AP75",
    ]
    assert second["accuracy"] == [
        {"figure": "AP", "value": 51.4, "unit": "%", "data": "COCO val"},
        {"figure": "mask AP", "value": 41.5, "unit": "%", "data": "COCO val"},
    ]
    assert card_data(find_card("elan-tiny"))["published"] == []
