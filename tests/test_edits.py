"""Changing a cfg's text by position."""

from __future__ import annotations

import pytest

from yolo_gp.edits import Edits
from yolo_gp.errors import Diagnostics, Source, Span
from yolo_gp.syntax import parse_cfg

NOWHERE = Source("", ())


def edit(content: bytes) -> bytes:
    """Line 2: columns 3 and 4 replaced; line 3 taken out; lines put round the last one."""
    edits = Edits(content)
    edits.replace(Span(NOWHERE, 2, 3, 2), "...")
    edits.replace(Span(NOWHERE, 2, 5), "")
    edits.remove(3)
    edits.insert_before(4, ["above"])
    edits.insert_before(4, ["and above"])
    edits.insert_after(4, ["below"])
    return edits.content()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_changes_use_the_line_ends_of_the_text(end: str) -> None:
    content = end.join(("one", "abcdef", "three", "four", "")).encode()
    wanted = ("one", "ab...f", "above", "and above", "four", "below", "")
    assert edit(content) == end.join(wanted).encode()


def test_a_last_line_without_an_end_gets_one_if_lines_follow() -> None:
    assert edit(b"one\nabcdef\nthree\nfour") == b"one\nab...f\nabove\nand above\nfour\nbelow\n"


def test_mixed_line_ends_and_a_byte_order_mark_stay() -> None:
    content = b"\xef\xbb\xbfone\r\nabcdef\nthree\r\nfour\r"
    assert edit(content) == (
        b"\xef\xbb\xbfone\r\nab...f\nabove\r\nand above\r\nfour\r\r\nbelow\r\n"
    )  # a carriage return that ends no line is part of it


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\r\nb\n\n", b"a\rb", b"\xff\n\xe9="])
def test_without_changes_the_text_stays_byte_for_byte(content: bytes) -> None:
    assert Edits(content).content() == content


def test_an_option_is_changed_where_it_stands_or_put_behind_the_others() -> None:
    content = b"[net]\nwidth = 3 # pixels\nheight=4\n\n# next\n[softmax]\n"
    net, softmax = parse_cfg(content, "", Diagnostics()).sections
    edits = Edits(content)
    edits.set_option(net, "width", "64")
    edits.set_option(net, "channels", "1")
    edits.set_option(softmax, "groups", "2")
    assert edits.content() == (
        b"[net]\nwidth = 64 # pixels\nheight=4\nchannels=1\n\n# next\n[softmax]\ngroups=2\n"
    )


def test_a_new_option_has_the_blanks_of_the_one_before_it() -> None:
    content = b"[net]\n  width = 3 # pixels\n"
    edits = Edits(content)
    edits.set_option(parse_cfg(content, "", Diagnostics()).sections[0], "height", "4")
    assert edits.content() == b"[net]\n  width = 3 # pixels\n  height = 4\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"width=", b"width=8"),
        (b"width=  # pixels", b"width=8  # pixels"),
        (b"width=#pixels", b"width=8#pixels"),
        (b"width 3  # pixels", b"width=8  # pixels"),
        (b"width=3\nwidth = 4", b"width=8\nwidth = 8"),
    ],
)
def test_a_line_without_a_value_gets_one_and_a_repeated_key_is_set_everywhere(
    old: bytes, new: bytes
) -> None:
    content = b"[net]\n" + old + b"\n"
    edits = Edits(content)
    edits.set_option(parse_cfg(content, "", Diagnostics()).sections[0], "width", "8")
    assert edits.content() == b"[net]\n" + new + b"\n"
