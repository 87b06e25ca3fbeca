"""Comments that silence a finding on one line."""

from __future__ import annotations

import pytest

from yolo_gp.lint.choosing import choose_rules
from yolo_gp.lint.linting import LintSettings, lint_content

from .detectors import DETECTOR, changed, said

# line 9, max_batches: YG524
SHORT = changed(("max_batches=6000", "max_batches=5700"))
FINDING = "9 YG524 max_batches=5700 is short for 1 class"


def with_comment(above: str = "", behind: str = "") -> str:
    return changed(("max_batches=5700", f"{above}max_batches=5700{behind}"), text=SHORT)


def test_without_a_comment_the_finding_is_there() -> None:
    assert said(SHORT) == [FINDING]


@pytest.mark.parametrize(
    "above",
    [
        "# lint: ignore YG524\n",
        "; lint:ignore yg524\n",
        "# lint: ignore YG524 enough for a first look\n",
        "# lint: ignore YG524\n# another remark\n\n",
        "##   lint : ignore YG524\n",
    ],
)
def test_a_comment_before_the_line_silences_it(above: str) -> None:
    assert said(with_comment(above)) == []


@pytest.mark.parametrize("behind", [" # lint: ignore YG524", " ; lint: ignore YG524, for now"])
def test_a_comment_behind_the_value_silences_its_line(behind: str) -> None:
    assert said(with_comment(behind=behind)) == []


def test_silenced_findings_are_counted() -> None:
    linted = lint_content(with_comment("# lint: ignore YG524\n").encode(), "a", LintSettings())
    assert (linted.findings, linted.silenced) == ((), 1)


def test_a_comment_concerns_its_own_code_and_line_only() -> None:
    text = changed(("max_batches=5700", "max_batches=5700\n# lint: ignore YG524"), text=SHORT)
    assert said(text) == [FINDING, "10 YG590 there is no YG524 to silence up to line 11"]
    other = with_comment("# lint: ignore YG522\n")
    assert said(other) == [
        "9 YG590 there is no YG522 to silence up to line 10",
        FINDING.replace("9", "10", 1),
    ]


@pytest.mark.parametrize("between", [" ", ", ", ","])
def test_one_comment_takes_several_codes(between: str) -> None:
    # Two findings on line 5: batch=1 is for detection, and no multiple of 8.
    text = changed(("batch=64", "batch=1"))
    text = changed(("subdivisions=8", "subdivisions=1\nsubdivisions=8"), text=text)
    comment = f"# lint: ignore YG520{between}YG521\n"
    silenced = changed(("batch=1", f"{comment}batch=1"), text=text)
    assert [line.split()[1] for line in said(text)] == ["YG520", "YG103"]
    assert [line.split()[1] for line in said(silenced)] == ["YG590", "YG103"]


def test_errors_can_be_silenced_too() -> None:
    text = changed(("activation=leaky", "# lint: ignore YG106\nactivation=leeky"))
    assert said(text) == []


def test_a_code_that_does_not_exist_is_found_with_the_one_that_was_meant() -> None:
    (finding,) = lint_content(
        changed(("[maxpool]", "# lint: ignore YG9524\n[maxpool]")).encode(), "a", LintSettings()
    ).findings
    assert (finding.rule.code, finding.message) == ("YG591", "there is no rule YG9524")
    assert finding.expected == "a code that `yolo-gp lint --explain all` lists"
    assert finding.help == "did you mean YG524?"


@pytest.mark.parametrize("order", ["ignore", "ignore all", "disable YG524", ""])
def test_a_comment_to_lint_that_says_nothing_is_found(order: str) -> None:
    comment = f"# lint: {order}".rstrip()
    (line, finding) = said(with_comment(f"{comment}\n"))
    assert line == f"9 YG591 the comment {comment!r} silences nothing"
    assert finding.startswith("10 YG524")


def test_a_comment_about_lint_in_general_is_no_order() -> None:
    assert said(changed(("[maxpool]", "# lint would like this\n[maxpool]"))) == []


def test_silencing_a_rule_that_is_not_looked_for_is_not_unused() -> None:
    text = changed(("[maxpool]", "# lint: ignore YG404\n[maxpool]"))
    assert [line.split()[1] for line in said(text)] == ["YG590"]
    assert said(text, LintSettings(choose_rules([], ["YG404"]))) == []


def test_an_unused_comment_can_be_silenced_by_leaving_its_rule_out() -> None:
    text = changed(("[maxpool]", "# lint: ignore YG404\n[maxpool]"))
    assert said(text, LintSettings(choose_rules([], ["YG59"]))) == []


def test_a_comment_silences_a_finding_of_the_whole_file() -> None:
    text = changed(("[net]", "# lint: ignore YG401\n[net]"))
    content = b"\xef\xbb\xbf" + text.encode()
    assert lint_content(content, "a.cfg", LintSettings()).findings == ()
    assert len(lint_content(b"\xef\xbb\xbf" + DETECTOR.encode(), "a", LintSettings()).findings) == 1
