"""The canonical layout of a cfg's text. (The corpus is formatted in test_formatted_corpus.py.)"""

from __future__ import annotations

import random

import pytest

from yolo_gp.errors import CfgError, Diagnostics
from yolo_gp.formatting import canonical_layout, format_cfg, meaning
from yolo_gp.syntax import parse_cfg

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"


def formatted(text: str) -> str:
    """The layout; it must be its own."""
    result = format_cfg(text.encode(), "a.cfg")
    assert format_cfg(result, "a.cfg") == result
    return result.decode()


def test_everything_at_once() -> None:
    ugly = (
        "\ufeff\r\n# a network\r\n\r\n\r\n\r\n  [ net ]\t\r\n\r\n width = 8\r\nhei ght=8 \r\n"
        "channels =3\r\n\r\n\r\n  # training  \r\nbatch=1\r\n[route]\r\n"
        "layers = -1 ,  0\t# both\r\n\r\n"
    )
    assert formatted(ugly) == (
        "# a network\n\n[net]\nwidth=8\nheight=8\nchannels=3\n\n# training\nbatch=1\n\n"
        "[route]\nlayers=-1,0 # both\n"
    )


def line(text: str) -> str:
    """What becomes of one line of a section."""
    result = formatted(f"[net]\n{text}\n")
    assert result.startswith("[net]\n") and result.endswith("\n")
    return result[len("[net]\n") : -1]


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("steps = 1, 2,\t3", "steps=1,2,3"),
        ("width=1 6", "width=1 6"),  # 16 to Darknet; two numbers, if in a list, to us
        ("mask = 0,1  2 , 3", "mask=0,1 2,3"),  # the comma that is missing stays missing
        ("layers = -1, -3,", "layers=-1,-3,"),  # Darknet reads one more 0
        ("activation = le aky", "activation=leaky"),
        ("anchors = 1,2,3 ,4,   5, 6", "anchors=1,2, 3,4, 5,6"),
        ("anchors=1,2, 3", "anchors=1,2, 3"),
        ("anchors=1,2, 3,", "anchors=1,2, 3,"),
        ("anchors = 1, 2 3, 4", "anchors=1,2 3,4"),
        ("a = b = c", "a=b=c"),
        ("key =", "key="),
        ("key =   # why", "key= # why"),
        ("key=#why", "key= #why"),
        ("= 5", "=5"),
        ("  hello  world ", "hello  world"),  # no option, so it is left alone
    ],
)
def test_an_option(written: str, canonical: str) -> None:
    assert line(written) == canonical


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("size = 3#three", "size=3 #three"),
        ("size=3 \t ; three = 3, [x]  ", "size=3 ; three = 3, [x]"),
        ("activation=leaky # act", "activation=leaky # act"),
        ("#size =  3", "#size =  3"),
        ("   ;;  art   *  ", ";;  art   *"),
    ],
)
def test_a_comment_keeps_its_text_and_its_place(written: str, canonical: str) -> None:
    assert line(written) == canonical


def test_a_header_keeps_the_comment_behind_it() -> None:
    assert formatted(f"{NET}[ conv ]# one\n[conv] [two]\n[conv\n") == (
        f"{NET}\n[conv] # one\n\n[conv] [two]\n\n[conv\n"
    )


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        # right above a header: with the section, in one block
        ("# stem\n# wide\n[conv]", "\n# stem\n# wide\n[conv]"),
        # apart from both: so it stays
        ("\n\n# stem\n\n\n[conv]", "\n# stem\n\n[conv]"),
        # right behind the options, apart from the header
        ("# pixels\n\n[conv]", "# pixels\n\n[conv]"),
        # options that are commented out stay with the others
        ("#batch=1\n#angle = 7\n# stem\n[conv]", "#batch=1\n#angle = 7\n\n# stem\n[conv]"),
        ("#batch=1\n[conv]", "#batch=1\n\n[conv]"),
        # but not those that an empty line sets apart
        ("\n#size=3\n[conv]", "\n#size=3\n[conv]"),
    ],
)
def test_a_comment_between_sections_stays_where_it_belongs(written: str, canonical: str) -> None:
    assert formatted(NET + written) == f"{NET}{canonical}\n"


def test_a_comment_below_a_header_is_not_drawn_to_it() -> None:
    assert formatted("[net]\n\n# size\nwidth=8\n") == "[net]\n\n# size\nwidth=8\n"
    assert formatted("[net]\n# size\n\nwidth=8\n") == "[net]\n# size\n\nwidth=8\n"


def test_repeated_keys_and_their_order_stay() -> None:
    assert (
        formatted("[net]\ndecay = 1\nwidth=8\ndecay = 2\n") == "[net]\ndecay=1\nwidth=8\ndecay=2\n"
    )


def test_bytes_that_are_no_text_survive() -> None:
    content = b"[net]\n# caf\xe9  \nwidth = 8 # \xff\xfe\nke\xe9y = 1 \n"
    # The last line is an error, outside a comment: it is left alone.
    wanted = b"[net]\n# caf\xe9\nwidth=8 # \xff\xfe\nke\xe9y = 1\n"
    assert format_cfg(content, "a.cfg") == wanted


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\xa0", "\u2003"])
def test_blanks_that_darknet_does_not_delete_stay(blank: str) -> None:
    assert line(f"size = 3{blank} 4") == f"size = 3{blank} 4"


def test_lines_that_end_in_cr_become_lines() -> None:
    assert format_cfg(b"[net]\rwidth = 8\r\r\r[conv]\r", "a.cfg") == b"[net]\nwidth=8\n\n[conv]\n"


PIECES = (
    *(
        b"[",
        b"]",
        b"=",
        b"#",
        b";",
        b" ",
        b"\t",
        b"\r",
        b"\n",
        b"\r\n",
        b"a",
        b"anchors",
        b"1",
        b"2.5",
    ),
    *(b",", b"-", b"\x0b", b"\xc2\xa0", b"\xff", b"\xef\xbf\xbd", b"\xe2\x80\xa8", b"\n[conv]\n"),
)


def test_no_text_changes_its_meaning_or_changes_twice() -> None:
    chance = random.Random(0)
    for _ in range(300):
        content = b"[net]\n" + b"".join(chance.choices(PIECES, k=20))
        before, result = (
            parse_cfg(text, "a.cfg", Diagnostics()) for text in (content, canonical_layout(content))
        )
        assert meaning(result) == meaning(before), content
        assert format_cfg(canonical_layout(content), "a.cfg") == canonical_layout(content), content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[net]\n\0", "a.cfg:2:1: error: the file contains NUL bytes, so it is no text [YG001]"),
        (b"", "a.cfg:1:1: error: the file has no section [YG001]"),
        (b"# [net]\n", "a.cfg:1:1: error: the file has no section [YG001]"),
        (b"[metadata]\n", "a.cfg:1:1: error: the first section is [metadata] [YG002]"),
        (b"classes = 80\n", "a.cfg:1:1: error: classes stands before any section [YG002]"),
        (
            b"[net]\n" + b"[a]\n" * 10_000,
            "a.cfg:10001:1: error: the file has more than 10000 sections [YG206]",
        ),
    ],
)
def test_what_is_no_cfg_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(CfgError) as caught:
        format_cfg(content, "a.cfg")
    assert str(caught.value).splitlines()[0] == message
