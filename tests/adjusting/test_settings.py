"""Settings put into a cfg's text: where they go, what stays, what is refused."""

from __future__ import annotations

import pytest

from yolo_gp.adjusting.applying import Changed, with_settings
from yolo_gp.adjusting.settings import parse_settings
from yolo_gp.errors import CfgError, UsageError

CFG = """[net]
# the input
height = 64
width = 64
channels=3
batch=1 # of detection

[conv]
name=stem
filters=8
activation=leaky

[convolutional]
filters=16
activation=linear

[yolo]
mask = 0,1
anchors = 8,8, 16,16
classes=3
num=2
"""


def apply(*settings: str, text: str = CFG) -> Changed:
    return with_settings(text.encode(), "my.cfg", parse_settings(settings))


def new_text(*settings: str, text: str = CFG) -> str:
    return apply(*settings, text=text).content.decode()


def refusal(*settings: str, text: str = CFG) -> str:
    with pytest.raises(UsageError) as error:
        apply(*settings, text=text)
    return str(error.value)


def test_a_key_of_net_changes_in_its_line_or_gets_one_like_its_neighbours() -> None:
    assert new_text("batch=64") == CFG.replace("batch=1 #", "batch=64 #")
    spaced = CFG.replace("batch=1 #", "  batch = 1 #")
    assert new_text("subdivisions=8", text=spaced) == spaced.replace(
        "  batch = 1 # of detection\n", "  batch = 1 # of detection\n  subdivisions = 8\n"
    )


def test_a_section_is_meant_by_kind_by_number_or_by_name() -> None:
    # [conv] is [convolutional]; 0 is the first section after [net].
    assert new_text("convolutional:pad=1") == CFG.replace(
        "activation=leaky\n", "activation=leaky\npad=1\n"
    ).replace("activation=linear\n", "activation=linear\npad=1\n")
    assert new_text("1:pad=1") == CFG.replace("activation=linear\n", "activation=linear\npad=1\n")
    assert new_text("@stem:filters=4") == CFG.replace("filters=8", "filters=4")
    assert new_text("net:batch=2", "yolo:random=1") == CFG.replace("batch=1", "batch=2") + (
        "random=1\n"
    )


def test_classes_fit_what_is_set_beside_them_in_whatever_order() -> None:
    # One anchor in place of two: (5 + 7) * 1.
    expected = (
        CFG.replace("filters=16", "filters=12")
        .replace("mask = 0,1", "mask = 0")
        .replace("classes=3", "classes=7")
    )
    assert new_text("classes=7", "yolo:mask=0") == expected
    assert new_text("yolo:mask=0", "classes=7") == expected


def test_size_is_height_by_width_and_anchors_are_left_with_a_word() -> None:
    found = apply("size=32x96")
    assert found.content.decode() == CFG.replace("height = 64", "height = 32").replace(
        "width = 64", "width = 96"
    )
    assert found.graph.input_shape.size == (32, 96)
    assert found.notes == (
        "the anchors stay, in pixels of an input that was 64x64 (height x width); "
        "`yolo-gp data anchors` fits them to the new one",
    )
    assert apply("size=96").graph.input_shape.size == (96, 96)
    assert apply("size=64").notes == ()
    assert apply("size=96", "anchors=1,1,2,2").notes == ()


def test_anchors_go_into_every_head_that_has_any() -> None:
    two = CFG + CFG[CFG.index("[convolutional]") :]
    assert new_text("anchors=1, 2,3.5,4", text=two) == two.replace("8,8, 16,16", "1,2, 3.5,4")


def test_another_number_of_anchors_is_set_with_num_and_mask() -> None:
    assert new_text("anchors=1,1,2,2,3,3", "yolo:num=3") == CFG.replace(
        "8,8, 16,16", "1,1, 2,2, 3,3"
    ).replace("num=2", "num=3")


def test_line_ends_a_byte_order_mark_and_bytes_that_are_no_text_stay() -> None:
    old = b"\xef\xbb\xbf" + CFG.replace("\n", "\r\n").replace("the input", "\0").encode()
    old = old.replace(b"\0", b"caf\xe9")
    new = with_settings(old, "my.cfg", parse_settings(["classes=1", "batch=8"])).content
    assert new == old.replace(b"filters=16", b"filters=12").replace(
        b"s=3\r\nnum", b"s=1\r\nnum"
    ).replace(b"batch=1", b"batch=8")


def test_a_line_without_a_value_or_without_equals_is_completed() -> None:
    text = CFG.replace("batch=1 #", "batch= #").replace("classes=3", "classes 3 # cats")
    assert new_text("batch=4", "yolo:classes=3", text=text) == text.replace(
        "batch= #", "batch=4 #"
    ).replace("classes 3 # cats", "classes=3 # cats")


def test_what_a_file_says_wrong_can_be_set_right() -> None:
    broken = CFG.replace("filters=16", "filters=255").replace("channels=3", "channels=x")
    assert new_text("classes=3", "channels=3", text=broken) == CFG


def test_only_warnings_that_are_new_are_given() -> None:
    text = CFG.replace("batch=1 # of detection", "colour=3\nbatch=1")
    assert apply("batch=4", text=text).warnings == ()
    found = apply("yolo:iou_loss=fancy", text=text).warnings
    assert [warning.rule.code for warning in found] == ["YG106"]
    assert found[0].span.line == 23


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "bacth=64",
            "bacth=64: [net] does not know the key bacth\nhelp: did you mean batch?",
        ),
        (
            "clases=5",
            "clases=5: [net] does not know the key clases\nhelp: did you mean classes?",
        ),
        (
            "ignore_thresh=.6",
            "ignore_thresh=.6: [net] does not know the key ignore_thresh\n"
            "help: [yolo] knows it: yolo:ignore_thresh=.6 for all, N:ignore_thresh=.6 for number N",
        ),
        ("zzz=1", "zzz=1: [net] does not know the key zzz"),
        (
            "yolo:ignor_thresh=.6",
            "yolo:ignor_thresh=.6: [yolo] does not know the key ignor_thresh\n"
            "help: did you mean ignore_thresh?",
        ),
        (
            "yollo:random=1",
            "yollo:random=1: my.cfg has no section yollo\nexpected: one of net, conv, "
            "convolutional, yolo\nhelp: did you mean yolo?",
        ),
        (
            "@stm:filters=1",
            "@stm:filters=1: my.cfg has no section @stm\nexpected: one of @stem\n"
            "help: did you mean @stem?",
        ),
        (
            "3:random=1",
            "3:random=1: there is no section 3\nexpected: 0 to 2; 0 is the first after [net], as "
            "in `yolo-gp info`",
        ),
        (
            "batch",
            "batch is no setting\nexpected: KEY=VALUE for [net], or SECTION:KEY=VALUE, such as "
            "batch=64 or yolo:random=1",
        ),
        (
            "batch=",
            "batch= has no value\nexpected: KEY=VALUE for [net], or SECTION:KEY=VALUE, such as "
            "batch=64 or yolo:random=1",
        ),
        (
            "batch=1\n[yolo]",
            "batch=1?[yolo] holds a comment or a character that is no text\n"
            "expected: a value of one line, without # and ;",
        ),
        (
            "classes=0",
            "classes=0 is out of range\nexpected: classes=N, N from 1 to 65536",
        ),
        (
            "size=320*416",
            "size=320*416 is no size\nexpected: size=HEIGHTxWIDTH in pixels, such as "
            "size=320x416, or size=416",
        ),
        (
            "anchors=1,2,3",
            "anchors=1,2,3 is no list of anchors\nexpected: width,height, width,height ... above "
            "0, as `yolo-gp data anchors` prints",
        ),
        (
            "anchors=1,2,3,4,5,6",
            "anchors lists 6 numbers, but the [yolo] at line 17 has 2 anchors\n"
            "expected: 4 numbers, width and height of each\n"
            "help: `yolo:num=N` changes their number, and mask= of each head must follow",
        ),
    ],
)
def test_a_setting_that_cannot_be_served_says_why(setting: str, message: str) -> None:
    assert refusal(setting) == message


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert refusal("classes=3", "classes=4") == (
        "classes=3 and classes=4 exclude each other\nexpected: one of them"
    )
    assert refusal("yolo:random=1", "2:random=0") == (
        "yolo:random=1 and 2:random=0 both set random of the [yolo] at line 17\n"
        "expected: one of them"
    )


def test_classes_and_anchors_need_heads() -> None:
    text = CFG[: CFG.index("[yolo]")]
    assert refusal("classes=3", text=text) == (
        "classes=3: my.cfg has no detection head\n"
        "help: a classifier has as many classes as its last layer has outputs: SECTION:filters=N"
    )
    assert refusal("anchors=1,2", text=text) == "anchors: no section of the cfg has anchors"


def test_a_cfg_that_would_not_compile_is_refused_with_all_that_is_wrong() -> None:
    assert refusal("yolo:classes=5", "batch=6x") == (
        "my.cfg is left as it was, since it would not compile with these settings\n\n"
        "my.cfg (changed):6:7: error: [net] batch=6x is not an integer; Darknet would read 6 "
        "[YG104]\n"
        "    6 | batch=6x # of detection\n"
        "      |       ^^\n"
        "expected: an integer\n\n"
        "my.cfg (changed):17:1: error: [yolo] needs (classes + 5) * masks = (5 + 5) * 2 = 20 "
        "channels, but layer 1 gives 16 [YG301]\n"
        "   17 | [yolo]\n"
        "      | ^^^^^^\n"
        "expected: filters=20 in the section at line 13\n"
        "help: set filters=20 there, or mend classes=5 or mask here"
    )


@pytest.mark.parametrize("text", ["", "no cfg", "[yolo]\nclasses=3\n", "\0"])
def test_what_is_no_cfg_is_refused_as_such(text: str) -> None:
    with pytest.raises(CfgError):
        apply("batch=3", text=text)
