"""Rules as a whole: each is explained, listed, found somewhere, and chosen by its code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yolo_gp.errors import UsageError
from yolo_gp.lint.choosing import choose_rules, find_rule
from yolo_gp.lint.explanations import EXPLANATIONS, explanation_text
from yolo_gp.lint.fixes import FIXABLE
from yolo_gp.lint.page import rules_page
from yolo_gp.rules import Rule

PROJECT = Path(__file__).parent.parent.parent


def test_every_rule_has_a_code_of_its_own() -> None:
    codes = [rule.code for rule in Rule]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"YG[0-9]{3}", code) for code in codes)


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.code)
def test_every_rule_is_explained_in_one_paragraph(rule: Rule) -> None:
    text = EXPLANATIONS[rule]
    assert len(text.split()) >= 12 and "\n" not in text and text.endswith(".")
    assert text != rule.summary


def test_an_explanation_names_the_rule_and_what_it_is_about() -> None:
    lines = explanation_text(Rule.HEAD_FILTERS).splitlines()
    assert lines[0] == "YG301 head_filters: channels before a head are not what the head needs"
    assert lines[2].startswith("A head splits the channels of its map")


def test_what_an_explanation_says_about_fix_is_so() -> None:
    """Paragraphs name --fix exactly where a repair exists, the general one on silencing aside."""
    assert {rule for rule in Rule if "--fix" in EXPLANATIONS[rule]} == FIXABLE


def test_docs_lint_is_what_the_rules_say() -> None:
    page = (PROJECT / "docs/lint.md").read_text(encoding="utf-8")
    assert page == rules_page(), "write it anew: yolo-gp lint --explain all > docs/lint.md"


def test_the_page_lists_every_rule_once() -> None:
    listed = re.findall(r"^### (YG\d{3}) ", rules_page(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(rule.code for rule in Rule)


def test_every_rule_of_lint_alone_is_exercised_by_a_test() -> None:
    here = Path(__file__).parent
    texts = "".join(path.read_text() for path in here.glob("test_*.py") if path != Path(__file__))
    assert {rule.code for rule in Rule if rule.lint_only} <= set(re.findall(r"YG\d{3}", texts))


def codes(rules: frozenset[Rule]) -> list[str]:
    return sorted(rule.code for rule in rules)


def test_rules_are_selected_by_codes_and_by_their_beginnings() -> None:
    assert choose_rules([], []) == frozenset(Rule)
    assert codes(choose_rules(["YG301,yg302", "YG59"], [])) == [
        "YG301",
        "YG302",
        "YG590",
        "YG591",
    ]
    assert codes(choose_rules(["YG59"], ["YG590"])) == ["YG591"]
    assert codes(choose_rules([], ["YG1,YG2,YG3,YG4,YG5"])) == [
        f"YG00{number}" for number in range(1, 7)
    ]


@pytest.mark.parametrize("word", ["YG999", "E501", "", "YG301,"])
def test_a_code_that_does_not_exist_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"--select .*is no rule\nexpected: codes such as YG301"):
        choose_rules([word], [])
    with pytest.raises(UsageError, match="--ignore"):
        choose_rules([], [word])


def test_a_rule_is_found_by_code_or_name() -> None:
    assert find_rule("yg301") is find_rule("head_filters") is Rule.HEAD_FILTERS
    with pytest.raises(UsageError, match=r"there is no rule YG3O1\nexpected: all, or one of YG001"):
        find_rule("YG3O1")
    with pytest.raises(UsageError, match=r"help: did you mean head_filters\?"):
        find_rule("head_filter")
