"""What lint says of real files: of ours nothing, of published ones what is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.graph import read_graph
from yolo_gp.lint.linting import Linted, LintSettings, lint_content
from yolo_gp.zoo import packaged_cfgs


def linted(path: Path) -> Linted:
    return lint_content(path.read_bytes(), path.name, LintSettings())


def test_our_own_files_give_no_finding_and_silence_only_what_the_published_ones_have() -> None:
    silenced = {}
    for name, path in packaged_cfgs().items():
        result = linted(path)
        assert not result.findings, [finding.render() for finding in result.findings]
        if result.silenced:
            silenced[name] = result.silenced
    # Anchor 0 in no mask and anchor 3 in two, as in Darknet's yolov4-tiny.cfg.
    assert silenced == dict.fromkeys(
        ("efficientnet-b0-prn", "pelee-prn", "yolov3-tiny-prn", "yolov4-tiny"), 1
    )


NEED_448 = {"csresnet50-elastic-panet-spp.cfg", "csresnext50-elastic-panet-spp.cfg"}

FOUND = {
    # An anchor of 31,25 stands in the masks 0,1 and 1,2,3.
    ("cspx-p7-mish_hp.cfg", 2611, "YG508"),
    # Masks 3,4,5 and 1,2,3 of six anchors.
    ("enet-coco.cfg", 1064, "YG508"),
    ("yolov3-tiny-prn.cfg", 192, "YG508"),
    ("yolov4-tiny.cfg", 278, "YG508"),
    # Three heads; the first lists ...,59,119, 80,80,... where the others have ...,64,64, 59,119,...
    ("resnet152_trident.cfg", 1821, "YG510"),
    ("resnet152_trident.cfg", 2168, "YG510"),
    # jitter=.2, .2, .1
    ("yolov4-sam-mish-csp-reorg-bfm.cfg", 1147, "YG527"),
    ("yolov4-sam-mish-csp-reorg-bfm.cfg", 1281, "YG527"),
    # A head of 7x13 cells at 416x416: 13 rows halved
    ("yolov3-spp-matrix.cfg", 9, "YG504"),
}


def test_the_corpus_compiles_and_has_exactly_these_findings_of_lint_alone(shared: Path) -> None:
    paths = sorted((shared / "data/cfg-corpus").rglob("*.cfg"))
    results = {path: linted(path) for path in paths}
    assert len(results) == 141
    assert {path.name for path, result in results.items() if result.graph is None} == NEED_448
    found = [
        (path.name, finding.span.line, finding.rule.code)
        for path, result in results.items()
        for finding in result.findings
        if finding.rule.lint_only
    ]
    assert sorted(found) == sorted(FOUND)


@pytest.mark.parametrize("name", sorted(NEED_448))
def test_the_two_files_that_do_not_fit_at_their_own_size_compile_at_448(
    shared: Path, name: str
) -> None:
    path = shared / "data/cfg-corpus/WongKinYiu-CrossStagePartialNetworks" / name
    assert [f.rule.code for f in linted(path).findings if f.severity == "error"] == ["YG202"]
    assert read_graph(path, input_size=(448, 448)).nodes
