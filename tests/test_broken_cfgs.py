"""yolov4-tiny.cfg with one change each: one precise message, or the same network as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.errors import CfgError, Diagnostic
from yolo_gp.graph import Graph, read_graph
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.lint.fixes import fix_content
from yolo_gp.lint.linting import LintSettings, lint_content


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data" / "broken-cfg"


@pytest.fixture(scope="module")
def good(folder: Path) -> Graph:
    graph = read_graph(folder / "good.cfg")
    assert not graph.warnings
    return graph


def parts(diagnostic: Diagnostic) -> tuple[str, str | None, str | None]:
    """First line without the folder, expected, help."""
    first = diagnostic.render().splitlines()[0]
    return first[first.index(".cfg:") + 5 :], diagnostic.expected, diagnostic.help


def network_of(graph: Graph) -> list[object]:
    return [graph.input_shape] + [
        (node.layer.kind, node.layer.label(), node.inputs, node.output_shape, node.cost)
        for node in graph.nodes
    ]


ERRORS = {
    # "[maxpool]" lost an o; the list of kinds is compared below.
    "unknown_section": (
        "93:1: error: there is no layer kind [maxpol] [YG101]",
        None,
        "did you mean maxpool?",
    ),
    # (80 + 5) * 3 = 255, the file says 250
    "filters_wrong": (
        "277:1: error: [yolo] needs (classes + 5) * masks = (80 + 5) * 3 = 255 channels, "
        "but layer 36 gives 250 [YG301]",
        "filters=255 in the section at line 270",
        "set filters=255 there, or mend classes=80 or mask here",
    ),
    # classes=3 in the first head: (3 + 5) * 3 = 24
    "classes_changed_one_head": (
        "226:1: error: [yolo] needs (classes + 5) * masks = (3 + 5) * 3 = 24 channels, "
        "but layer 29 gives 255 [YG301]",
        "filters=24 in the section at line 217",
        "set filters=24 there, or mend classes=3 or mask here",
    ),
    "mask_oob": (
        "227:12: error: [yolo] mask names anchor 9, but anchors lists 6 (counted from 0) [YG302]",
        "indices from 0 to 5",
        None,
    ),
    # without a mask Darknet takes all num=6 anchors: (80 + 5) * 6 = 510
    "no_mask": (
        "226:1: error: [yolo] needs (classes + 5) * masks = (80 + 5) * 6 = 510 channels "
        "(no mask: all anchors count), but layer 29 gives 255 [YG301]",
        "filters=510 in the section at line 217",
        "set filters=510 there, or mend classes=80 or mask here",
    ),
    "anchors_short": (
        "228:11: error: [yolo] anchors lists 11 numbers, which is 5 pairs and a half, "
        "but num=6 [YG303]",
        "12 numbers: width,height for each of num=6 anchors",
        "complete the list, or set num=5",
    ),
    "num_wrong": (
        "228:11: error: [yolo] anchors lists 12 numbers, which is 6 pairs, but num=9 [YG303]",
        "18 numbers: width,height for each of num=9 anchors",
        "complete the list, or set num=6",
    ),
    "bad_int": (
        "36:9: error: [convolutional] filters=3x2 is not an integer; Darknet would read 3 [YG104]",
        "an integer",
        None,
    ),
    "bad_activation": (
        "40:12: error: [convolutional] activation=leeky is no activation that exists [YG106]",
        "one of " + ", ".join(sorted(ACTIVATIONS)),
        "did you mean leaky?",
    ),
    "route_oob": (
        "59:8: error: [route], which is layer 3, refers to -99, no layer [YG201]",
        "0 to 2, or -1 to -3",
        "layers count from 0, [net] not included; negative numbers count back",
    ),
    # The [upsample] after layer 32 is gone: 13x13 meets 26x26.
    "upsample_missing": (
        "258:14: error: [route] joins maps of different size: layer 32 is 13x13, "
        "layer 23 is 26x26 [YG202]",
        "sources of equal height and width",
        "layer 25 is 13x13; or put a [maxpool] with stride=2 after layer 23, "
        "or an [upsample] with stride=2 after layer 32",
    ),
    # width 400 -> 200 -> 100 -> 50 -> 25 -> 13, and 13 doubled is 26
    "width_not_32": (
        "260:14: error: [route] joins maps of different size: layer 33 is 26x26, "
        "layer 23 is 26x25 [YG202]",
        "sources of equal height and width",
        "the input, 416x400, is no multiple of 32, so maps that were halved and doubled again "
        "differ",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_broken_cfg_gives_one_precise_error(folder: Path, name: str) -> None:
    with pytest.raises(CfgError) as caught:
        read_graph(folder / f"{name}.cfg")
    (diagnostic,) = caught.value.diagnostics
    first, expected, help = parts(diagnostic)
    wanted_first, wanted_expected, wanted_help = ERRORS[name]
    assert first == wanted_first
    if wanted_expected is None:
        assert expected is not None and {"maxpool", "route", "yolo"} <= set(expected.split(", "))
    else:
        assert expected == wanted_expected
    assert help == wanted_help


WARNINGS = {
    "unknown_key": (
        "37:1: warning: [convolutional] does not know the key filterz; Darknet ignores it [YG102]",
        None,
        "did you mean filters?",
    ),
    "garbage_line": (
        "37:1: warning: the line 'hello world' has no =; Darknet ignores it [YG004]",
        "key=value, [kind] or a comment that starts with #",
        None,
    ),
    "dup_key": (
        "37:1: warning: filters=48 repeats the key of line 36; filters=32 counts, "
        "as in Darknet [YG103]",
        None,
        "remove line 37 or line 36",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_darknet_ignores_gives_one_warning_and_the_same_network(
    folder: Path, good: Graph, name: str
) -> None:
    graph = read_graph(folder / f"{name}.cfg")
    assert [parts(warning) for warning in graph.warnings] == [WARNINGS[name]]
    assert network_of(graph) == network_of(good)


@pytest.mark.parametrize("name", ["crlf", "inline_comment"])
def test_a_legal_variant_gives_the_same_network_without_a_word(
    folder: Path, good: Graph, name: str
) -> None:
    graph = read_graph(folder / f"{name}.cfg")
    assert not graph.warnings
    assert network_of(graph) == network_of(good)


def test_a_missing_activation_is_logistic_as_in_darknet_and_a_warning_says_so(
    folder: Path, good: Graph
) -> None:
    graph = read_graph(folder / "no_activation.cfg")
    assert [parts(warning) for warning in graph.warnings] == [
        (
            "34:1: warning: [convolutional] has no activation; Darknet takes logistic, "
            "OpenCV linear; logistic is used here [YG110]",
            None,
            "write activation=linear or activation=logistic",
        )
    ]
    assert graph.nodes[0].layer.label() == "3x3/2 logistic"
    assert [n.output_shape for n in graph.nodes] == [n.output_shape for n in good.nodes]
    assert network_of(graph)[2:] == network_of(good)[2:]


OF_THE_GOOD_FILE = "YG508"  # its masks, 3,4,5 and 1,2,3, never use anchor 0


@pytest.mark.parametrize("name", [*ERRORS, *WARNINGS, "no_activation"])
def test_lint_finds_that_one_mistake_beside_what_it_says_of_the_good_file(
    folder: Path, name: str
) -> None:
    content = (folder / f"{name}.cfg").read_bytes()
    codes = {f.rule.code for f in lint_content(content, name, LintSettings()).findings}
    mistake = {**ERRORS, **WARNINGS, "no_activation": ("[YG110]",)}[name][0]
    expected = mistake[mistake.rindex("[") + 1 : -1]
    assert codes == ({expected} if name in ERRORS else {expected, OF_THE_GOOD_FILE})


@pytest.mark.parametrize("name", ["good", "crlf", "inline_comment"])
def test_lint_says_nothing_more_of_a_legal_variant(folder: Path, name: str) -> None:
    content = (folder / f"{name}.cfg").read_bytes()
    findings = lint_content(content, name, LintSettings()).findings
    assert [finding.rule.code for finding in findings] == [OF_THE_GOOD_FILE]


REPAIRABLE = {"unknown_section", "filters_wrong", "num_wrong", "bad_activation", "dup_key"}


@pytest.mark.parametrize("name", sorted(REPAIRABLE))
def test_a_repair_gives_the_good_network(folder: Path, good: Graph, name: str) -> None:
    fixed = fix_content((folder / f"{name}.cfg").read_bytes(), name, LintSettings())
    assert [finding.rule.code for finding in fixed.linted.findings] == [OF_THE_GOOD_FILE]
    assert fixed.linted.graph is not None
    assert network_of(fixed.linted.graph) == network_of(good)


@pytest.mark.parametrize("name", sorted({*ERRORS, *WARNINGS} - REPAIRABLE))
def test_what_leaves_a_choice_is_not_repaired(folder: Path, name: str) -> None:
    content = (folder / f"{name}.cfg").read_bytes()
    assert fix_content(content, name, LintSettings()).content == content


def test_every_broken_cfg_is_judged_here(folder: Path) -> None:
    judged = {*ERRORS, *WARNINGS, "good", "crlf", "inline_comment", "no_activation"}
    assert {path.stem for path in folder.glob("*.cfg")} == judged
