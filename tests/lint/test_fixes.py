"""Repairs: what changes, what stays, and what is left to the author."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.lint.fixes import fix_content
from yolo_gp.lint.linting import LintSettings, lint_content

from .detectors import DETECTOR, changed, swapped_last

SETTINGS = LintSettings()


def fixed(text: str) -> str:
    return fix_content(text.encode(), "a.cfg", SETTINGS).content.decode()


def is_left(text: str, code: str) -> bool:
    """Whether the file stays as it is, byte for byte, with a finding of that code."""
    result = fix_content(text.encode(), "a.cfg", SETTINGS)
    assert not result.mended
    return result.content == text.encode() and code in {
        finding.rule.code for finding in result.linted.findings
    }


def test_a_sound_file_stays_as_it_is() -> None:
    assert fixed(DETECTOR) == DETECTOR


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        # (1 + 5) * 2 = 12
        (("filters=12", "filters=21 # one class"), ("filters=12", "filters=12 # one class")),
        (("activation=leaky", "activation=leeky"), None),
        (("activation=leaky", "activation=Leaky"), None),
        (("activation=leaky", "activation=laeky"), None),
        (("activation=leaky", "activation=leakyy"), None),
        (("[maxpool]", "[maxpol]"), None),
        (("[convolutional]", "[Convolutional]"), None),
        (("num=4", "num=9"), None),
        (("num=4", "num=3"), None),
        (("8,9, 20,22", "8,9  20,22"), ("8,9, 20,22", "8,9,20,22")),
        (("jitter=.3", "jitter=.3\njitter=.2 # x"), ("jitter=.3", "jitter=.3\n# jitter=.2 # x")),
        (("burn_in=100", "burn_in=100\nadam="), ("burn_in=100", "burn_in=100\n# adam=")),
        (
            ("activation=leaky", "activation=leaky  # as in v3"),
            ("activation=leaky", "# as in v3\nactivation=leaky"),
        ),
        (("[maxpool]", "[maxpool] ; pool"), ("[maxpool]", "; pool\n[maxpool]")),
    ],
)
def test_what_is_mechanical_is_repaired(
    wrong: tuple[str, str], right: tuple[str, str] | None
) -> None:
    text = changed(wrong)
    wanted = changed(right) if right else DETECTOR
    assert fixed(text) == wanted
    assert fixed(wanted) == wanted
    assert not lint_content(wanted.encode(), "a.cfg", SETTINGS).findings


def test_mistakes_behind_mistakes_are_repaired_in_one_run() -> None:
    # The wrong kind hides the head's wrong filters: their shape is unknown until it is mended.
    text = changed(("filters=12", "filters=13"), ("[maxpool]", "[maxpol]"))
    result = fix_content(text.encode(), "a.cfg", SETTINGS)
    assert result.content.decode() == DETECTOR
    assert [finding.rule.code for finding in result.mended] == ["YG101", "YG301"]


def test_two_repairs_of_one_line_are_both_made() -> None:
    text = changed(("mask=2,3", "mask=2 3 ; large, small"))
    assert fixed(text) == changed(("mask=2,3", "; large, small\nmask=2,3"))


def test_line_ends_and_bytes_that_are_no_text_stay() -> None:
    text = changed(("[maxpool]", "# caf\0\n[maxpol]")).replace("\n", "\r\n")
    content = text.encode().replace(b"\0", b"\xe9")
    wanted = content.replace(b"[maxpol]", b"[maxpool]")
    assert fix_content(content, "a.cfg", SETTINGS).content == wanted


def test_a_line_with_bytes_that_are_no_text_is_left_alone() -> None:
    content = changed(("activation=leaky", "activation=leaky # caf\0, x")).encode()
    content = content.replace(b"\0", b"\xe9")
    assert fix_content(content, "a.cfg", SETTINGS).content == content


def test_filters_are_left_alone_where_the_classes_of_the_heads_disagree() -> None:
    assert is_left(swapped_last("classes=1", "classes=3"), "YG301")


def test_filters_are_left_alone_where_only_one_head_lacks_its_mask() -> None:
    assert is_left(changed(("mask=2,3\n", "")), "YG301")


def test_filters_are_left_alone_before_a_layer_that_is_no_convolution() -> None:
    assert is_left(changed(("[yolo]\n", "[route]\nlayers=-1,-1\n\n[yolo]\n")), "YG301")


def test_num_is_left_alone_where_the_list_is_of_no_whole_pairs() -> None:
    assert is_left(changed(("40,44", "40")), "YG303")


@pytest.mark.parametrize("activation", ["banana", "lea", "re"])
def test_a_name_that_is_more_than_a_letter_off_is_left_alone(activation: str) -> None:
    assert is_left(changed(("activation=leaky", f"activation={activation}")), "YG106")


def test_a_key_that_darknet_ignores_is_left_to_its_author() -> None:
    assert is_left(changed(("size=3", "size=3\npda=1")), "YG102")


def test_silenced_findings_are_not_repaired() -> None:
    text = changed(("jitter=.3", "jitter=.3\n# lint: ignore YG103\njitter=.2"))
    assert fixed(text) == text


def test_of_a_repeated_key_the_line_that_counts_stays_in_each_dialect() -> None:
    # Darknet takes the first, the YOLOR dialect the last.
    text = changed(("filters=4", "filters=4\nfilters=6"))
    assert fixed(text) == changed(("filters=4", "filters=4\n# filters=6"))
    yolor = changed(("[net]", "[net]\ndialect=yolor"), text=text)
    assert "# filters=4\nfilters=6" in fixed(yolor)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("cspx-p7-mish", ["YG411"] * 5),  # num=16 beside 20 pairs, in five heads
        ("efficientnet_b0", ["YG103"] * 2),  # momentum and decay stand twice
        ("yolo9000", ["YG103"] * 2),  # batch and subdivisions too
    ],
)
def test_published_files_are_repaired_without_a_change_of_the_network(
    shared: Path, name: str, codes: list[str]
) -> None:
    content = (shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg").read_bytes()
    before = lint_content(content, "a.cfg", SETTINGS)
    result = fix_content(content, "a.cfg", SETTINGS)
    assert [finding.rule.code for finding in result.mended] == codes
    assert not {finding.rule.code for finding in result.linted.findings} & set(codes)
    assert before.graph is not None and result.linted.graph is not None
    assert result.linted.graph.fingerprint == before.graph.fingerprint
    assert result.linted.graph.spec.net.training == before.graph.spec.net.training
    assert fix_content(result.content, "a.cfg", SETTINGS).content == result.content
