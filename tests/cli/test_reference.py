"""`yolo-gp reference`: the page as a whole, and the part about one kind of section."""

from __future__ import annotations

import pytest

from yolo_gp.layers import LAYERS
from yolo_gp.macros import MACROS

from .conftest import Run


def test_the_page_has_a_chapter_for_every_kind(yolo_gp: Run) -> None:
    result = yolo_gp("reference")
    assert (result.returncode, result.stderr) == (0, "")
    heads = [line for line in result.stdout.splitlines() if line.startswith("### [")]
    kinds = {kind.kind for kind in (*LAYERS.values(), *MACROS.values())}
    assert sorted(heads) == sorted(f"### [{kind}]" for kind in kinds)


@pytest.mark.parametrize("name", ["maxpool", "max", "[maxpool]"])
def test_one_kind_is_found_by_any_of_its_names(yolo_gp: Run, name: str) -> None:
    result = yolo_gp("reference", name)
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "### [maxpool]"
    (row,) = (line for line in lines if line.startswith("| `size` "))
    # darknet.md 2.3: size is stride by default
    assert row.split(" | ")[1:3] == ["integer, 1 to 4096", "`stride`"]


def test_net_is_a_kind_too(yolo_gp: Run) -> None:
    result = yolo_gp("reference", "net")
    assert result.stdout.startswith("## [net]\n")
    assert "| `momentum` | number | 0.9 |" in result.stdout


def test_an_unknown_kind_is_refused_with_the_nearest_one(yolo_gp: Run) -> None:
    result = yolo_gp("reference", "maxpol")
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0] == "error: there is no kind of section [maxpol]"
    assert lines[1].startswith("expected: one of net, ")
    assert lines[2] == "help: did you mean maxpool?"
