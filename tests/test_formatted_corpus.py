"""Every real cfg at hand, formatted: the same text to Darknet, the same network to us."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from yolo_gp.analysis.compared_sections import compared_network
from yolo_gp.analysis.differences import Change, difference
from yolo_gp.errors import Diagnostics, Span
from yolo_gp.formatting import canonical_layout, meaning
from yolo_gp.graph import Graph, build_graph
from yolo_gp.rules import Rule
from yolo_gp.spec import NetworkSpec, specify
from yolo_gp.syntax import CfgFile, parse_cfg

PACKAGED = Path(__file__).parent.parent / "cfg"
CORPUS_FILES = 141


@dataclass(frozen=True)
class Reading:
    """What the compiler makes of a text, as far as it comes."""

    content: bytes
    cfg: CfgFile
    spec: NetworkSpec | None
    graph: Graph | None
    diagnostics: Diagnostics


@dataclass(frozen=True)
class Case:
    name: str
    before: Reading
    after: Reading


def read(content: bytes) -> Reading:
    found = Diagnostics()
    cfg = parse_cfg(content, "x.cfg", found)
    spec = specify(cfg, found)
    return Reading(content, cfg, spec, build_graph(spec, found) if spec else None, found)


@pytest.fixture(scope="module")
def cases(shared: Path) -> list[Case]:
    corpus = sorted((shared / "data/cfg-corpus").rglob("*.cfg"))
    assert len(corpus) == CORPUS_FILES
    packaged = [PACKAGED / f"{name}.cfg" for name in ("elan-nano", "yolor-csp-seg", "yolov4-tiny")]
    return [
        Case(str(path), read(path.read_bytes()), read(canonical_layout(path.read_bytes())))
        for path in [*corpus, *packaged]
    ]


def lines_for_darknet(content: bytes) -> list[bytes]:
    """What is left of a file once Darknet's reader has deleted blanks and skipped comments.

    Source: darknet.md 1.1, steps 1 to 3.
    """
    stripped = (line.translate(None, b" \t\r\n") for line in content.split(b"\n"))
    return [line for line in stripped if line and line[:1] not in b"#;"]


def comments(content: bytes) -> list[tuple[bytes, list[bytes]]]:
    """Every comment on a line of its own, with the header or option, if any, that is behind it."""
    stripped = [line.strip() for line in content.split(b"\n")]
    shown = [line for line in stripped if line]
    return [
        (line, lines_for_darknet(following)[:1])
        for line, following in itertools.pairwise([*shown, b""])
        if line[:1] in (b"#", b";")
    ]


def test_darknet_reads_the_same_lines_and_all_comments_stay(shared: Path) -> None:
    for path in (*(shared / "data/cfg-corpus").rglob("*.cfg"), *PACKAGED.glob("*.cfg")):
        before = path.read_bytes()
        after = canonical_layout(before)
        assert lines_for_darknet(after) == lines_for_darknet(before), path
        assert comments(after) == comments(before), path
        assert canonical_layout(after) == after, path


def test_keys_values_and_findings_are_the_same(cases: list[Case]) -> None:
    for case in cases:
        assert meaning(case.after.cfg) == meaning(case.before.cfg), case.name
        assert findings(case.after) == findings(case.before), case.name


def findings(reading: Reading) -> list[tuple[Rule, str]]:
    return [(d.rule, re.sub(r"line \d+", "line N", d.message)) for d in reading.diagnostics]


def test_every_typed_layer_is_the_same_apart_from_its_position(cases: list[Case]) -> None:
    for case in cases:
        assert list(placeless(case.after.spec)) == list(placeless(case.before.spec)), case.name


def placeless(value: object) -> Iterator[object]:
    """All values in a tree of dataclasses, without spans."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        for field in dataclasses.fields(value):
            if not isinstance(getattr(value, field.name), Span):
                yield from placeless(getattr(value, field.name))
    elif isinstance(value, tuple):
        yield len(value)
        for element in value:
            yield from placeless(element)
    else:
        yield value


def test_diff_finds_nothing_between_a_network_and_its_formatted_self(cases: list[Case]) -> None:
    compiled = 0
    for case in cases:
        old, new = case.before, case.after
        assert (old.graph is None) == (new.graph is None)
        if old.graph is None or new.graph is None:
            continue
        compiled += 1
        assert new.graph.fingerprint == old.graph.fingerprint, case.name
        found = difference(
            compared_network(old.graph, old.cfg), compared_network(new.graph, new.cfg)
        )
        assert found.same_network and not found.net, case.name
        assert {row.change for row in found.rows} == {Change.SAME}, case.name
    assert compiled >= 106 + 3
