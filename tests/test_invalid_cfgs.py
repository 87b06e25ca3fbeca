"""Each cfg of data/invalid gives exactly the diagnostics that stand in the .txt beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from yolo_gp.errors import CfgError, Diagnostic, Severity
from yolo_gp.graph import compile_text
from yolo_gp.layers import LAYERS
from yolo_gp.rules import Rule
from yolo_gp.syntax import MAX_BYTES, MAX_SECTIONS
from yolo_gp.values import MAX_LIST

FOLDER = Path(__file__).parent / "data" / "invalid"
CASES = sorted(path.stem for path in FOLDER.glob("*.cfg"))

NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
CONVOLUTION = "[convolutional]\nfilters=8\nactivation=linear\n"


def found(content: bytes | str, name: str) -> list[Diagnostic]:
    """Errors and warnings of a cfg, in file order, whether it compiles or not."""
    try:
        return list(compile_text(content, name).warnings)
    except CfgError as error:
        return error.diagnostics


def every_kind() -> str:
    """What a message lists as known kinds: texts hold `{every kind}`, as the list will grow."""
    (unknown,) = found(NET + "[swin_block]\n", "x.cfg")
    assert unknown.expected and unknown.expected.startswith("one of ")
    kinds = unknown.expected.removeprefix("one of ").split(", ")
    assert kinds == sorted(kinds) and {kind.kind for kind in LAYERS.values()} <= set(kinds)
    return unknown.expected


@pytest.mark.parametrize("name", CASES)
def test_the_diagnostics_are_exactly_the_expected_text(name: str) -> None:
    content = (FOLDER / f"{name}.cfg").read_bytes()
    expected = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    expected = expected.replace("{every kind}", every_kind())
    rendered = "\n\n".join(diagnostic.render() for diagnostic in found(content, f"{name}.cfg"))
    assert rendered + "\n" == expected


def test_every_cfg_has_its_text_and_every_text_its_cfg() -> None:
    assert len(CASES) >= 70
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == CASES


def test_every_rule_is_exercised_by_at_least_one_case() -> None:
    texts = [(FOLDER / f"{name}.txt").read_text(encoding="utf-8") for name in CASES]
    codes = {code for text in texts for code in re.findall(r"\[(YG\d{3})\]$", text, re.MULTILINE)}
    not_here = {Rule.NOT_PLAIN, *(rule for rule in Rule if rule.lint_only)}  # expand, tests/lint
    assert codes == {rule.code for rule in set(Rule) - not_here}


@pytest.mark.parametrize("name", CASES)
def test_every_message_names_an_existing_place_and_every_error_what_was_expected(
    name: str,
) -> None:
    content = (FOLDER / f"{name}.cfg").read_bytes()
    for diagnostic in found(content, f"{name}.cfg"):
        span = diagnostic.span
        line = span.source.line(span.line)
        assert not line or span.column + span.length - 1 <= len(line)
        assert diagnostic.message[0] != " " and not diagnostic.message.endswith(".")
        if diagnostic.severity is Severity.ERROR:
            assert diagnostic.expected


def test_three_mistakes_at_three_stages_give_exactly_three_errors() -> None:
    content = (FOLDER / "three_mistakes_three_stages.cfg").read_bytes()
    diagnostics = found(content, "x.cfg")
    assert [d.severity for d in diagnostics] == [Severity.ERROR] * 3
    rules = [Rule.BAD_NUMBER, Rule.BAD_REFERENCE, Rule.HEAD_FILTERS]
    assert [d.rule for d in diagnostics] == rules


def too_many_bytes() -> str:
    return NET + "#" * (MAX_BYTES + 1 - len(NET))


def too_many_sections() -> str:
    return NET + "[cost]\n" * MAX_SECTIONS


def too_long_a_list() -> str:
    return NET + CONVOLUTION + "[route]\nlayers=" + ",".join(["-1"] * (MAX_LIST + 1)) + "\n"


def too_many_masks() -> str:
    head = "[yolo]\nclasses=1\nanchors=10,13\nmask=" + ",".join(["0"] * 1025) + "\n"
    return NET + CONVOLUTION + head


@pytest.mark.parametrize(
    ("make", "position", "message", "expected"),
    [
        (
            too_many_bytes,
            "1:1",
            f"the file has {MAX_BYTES + 1} bytes, which is no cfg [YG001]",
            f"text of at most {MAX_BYTES} bytes",
        ),
        (
            too_many_sections,
            f"{4 + MAX_SECTIONS}:1",
            f"the file has more than {MAX_SECTIONS} sections [YG206]",
            f"at most {MAX_SECTIONS} sections",
        ),
        (
            too_long_a_list,
            "9:8",
            f"[route] layers lists {MAX_LIST + 1} values [YG206]",
            f"at most {MAX_LIST}",
        ),
        (too_many_masks, "11:6", "[yolo] mask names 1025 anchors [YG206]", "at most 1024"),
    ],
)
def test_what_is_too_large_for_a_case_file_is_an_error_with_its_limit(
    make: Callable[[], str], position: str, message: str, expected: str
) -> None:
    with pytest.raises(CfgError) as caught:
        compile_text(make().encode(), "large.cfg")
    lines = [
        (d.render().splitlines()[0], d.expected)
        for d in caught.value.diagnostics
        if d.severity is Severity.ERROR
    ]
    assert lines == [(f"large.cfg:{position}: error: {message}", expected)]


def test_text_and_bytes_are_read_alike() -> None:
    for name in CASES:
        content = (FOLDER / f"{name}.cfg").read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            continue
        assert [d.render() for d in found(text, "x.cfg")] == [
            d.render() for d in found(content, "x.cfg")
        ], name


def test_strict_makes_an_error_of_a_cfg_that_has_only_warnings() -> None:
    content = (FOLDER / "key_misspelt.cfg").read_bytes()
    assert compile_text(content, "x.cfg").warnings
    with pytest.raises(CfgError) as caught:
        compile_text(content, "x.cfg", strict=True)
    assert [d.rule for d in caught.value.diagnostics] == [Rule.UNKNOWN_KEY]


def test_a_hundred_mistakes_of_each_severity_are_shown_and_the_rest_counted() -> None:
    bad = "[convolutional]\nfilters=x\ncolour=red\nactivation=linear\n"
    with pytest.raises(CfgError) as caught:
        compile_text(NET + bad * 130, "x.cfg")
    severities = [d.severity for d in caught.value.diagnostics]
    assert severities.count(Severity.ERROR) == severities.count(Severity.WARNING) == 100
    assert str(caught.value).endswith("\n\n... and 60 more")
