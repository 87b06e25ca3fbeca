"""Anchors that do not fit the input, their heads, or each other."""

from __future__ import annotations

from .detectors import DETECTOR, changed, found, said, swapped_last

LIST = "4,6, 8,9, 20,22, 40,44"


def with_anchors(numbers: str, text: str = DETECTOR) -> str:
    return text.replace(LIST, numbers)


def test_relative_anchors_are_no_pixels() -> None:
    (finding,) = found(with_anchors(".1,.1, .2,.2, .3,.3, .6,.9"))
    assert finding.render().splitlines()[0] == (
        "a.cfg:43:9: warning: [yolo] takes anchors in pixels of the input, but the largest number "
        "listed is 0.9; they look like shares of the image [YG505]"
    )
    assert finding.expected == "width,height of each anchor in pixels"


def test_anchors_in_cells_are_no_pixels() -> None:
    # at 416 the map of the first head has 13 cells, and YOLOv2's largest anchor is 11.38 of them
    text = changed(("width=64", "width=416"), ("height=64", "height=416"))
    text = with_anchors("1.08,1.19, 3.42,4.41, 6.63,11.38, 9.42,5.11", text)
    assert said(text) == [
        "43 YG505 [yolo] takes anchors in pixels of the input, but the largest number listed is "
        "11.38; they look like cells of a map, as [region] takes"
    ]


def test_small_anchors_in_pixels_are_none_of_the_linters_business() -> None:
    text = changed(("width=64", "width=416"), ("height=64", "height=416"))
    assert said(with_anchors("3,4, 5,5, 8,9, 12,11", text)) == []


def test_anchors_larger_than_the_input_are_found() -> None:
    # 1.5 * 64 = 96 pixels are the limit
    assert said(with_anchors("4,6, 8,9, 20,96, 96,44")) == []
    (finding,) = found(with_anchors("4,6, 8,9, 20,22, 40,97"))
    assert finding.render().splitlines()[0] == (
        "a.cfg:43:9: warning: 1 of the 2 anchors of this head is larger than 1.5 times the "
        "input, 64x64; anchor 3 is 97 high and 40 wide [YG506]"
    )
    assert finding.help == "make anchors from your data for this input size"
    assert said(with_anchors("4,6, 8,9, 20,122, 40,97"))[0].startswith("43 YG506 all of the 2")


YOLOV3 = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"


def published(size: int) -> str:
    text = DETECTOR.replace("=64\n", f"={size}\n", 2).replace("mask=2,3", "mask=4,5,6,7,8")
    text = text.replace("mask=0,1", "mask=0,1,2,3").replace("num=4", "num=9")
    text = text.replace("filters=12", "filters=30", 1).replace("filters=12", "filters=24")
    return with_anchors(YOLOV3, text)


def test_published_anchors_at_an_input_of_another_size_are_found() -> None:
    assert said(published(416)) == []
    assert said(published(608)) == []  # where Darknet's authors use them too
    (finding,) = found(published(832))
    assert finding.render().splitlines()[0] == (
        "a.cfg:43:9: warning: these are YOLOv3's anchors, made for COCO at 416x416; the input is "
        "832x832 [YG507]"
    )
    assert finding.help == (
        "make anchors from your data for this input size, or multiply these by 2"
    )


def test_an_anchor_in_no_mask_and_one_in_two_are_named() -> None:
    (finding,) = found(changed(("mask=0,1", "mask=1,2")))
    assert finding.render().splitlines()[0] == (
        "a.cfg:56:6: warning: anchor 0 (4,6) is in no mask, anchor 2 (20,22) is in 2 masks [YG508]"
    )
    assert finding.expected == "each anchor in one mask of the heads (lines 41, 55)"


def test_large_anchors_belong_to_the_head_with_few_cells() -> None:
    # stride 32 (2x2 cells) has anchors of 24 and 72 pixels' area, stride 16 of 440 and 1760
    text = changed(("mask=2,3", "mask=x"), ("mask=0,1", "mask=2,3"), ("mask=x", "mask=0,1"))
    (finding,) = found(text)
    assert finding.render().splitlines()[0] == (
        "a.cfg:42:6: warning: the head with 32 pixels to a cell has smaller anchors than the head "
        "at line 55 with 16 [YG509]"
    )
    assert (finding.expected, finding.help) == (
        "large anchors for heads with few cells, small ones for those with many",
        "change the masks",
    )


def test_heads_that_list_different_anchors_are_found_with_the_first_difference() -> None:
    assert said(swapped_last(LIST, "4,6, 8,10, 20,22, 40,44")) == [
        "57 YG510 [yolo] lists other anchors than the head at line 41: anchor 1 is 8,10 here, "
        "8,9 there"
    ]
    longer = swapped_last(LIST, f"{LIST}, 50,50")
    head, _, tail = longer.rpartition("num=4")
    assert said(f"{head}num=5{tail}") == [
        "57 YG510 [yolo] lists other anchors than the head at line 41: anchor 4 is 50,50 here, "
        "absent there"
    ]
