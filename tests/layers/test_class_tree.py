"""Class trees (darknet.md 3.6): their files, the softmax of groups, products down the tree."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.class_tree import ClassTree
from yolo_gp.rules import Rule

# Groups: animal thing | dog cat | terrier hound | cup
TREE = "animal -1\nthing -1\ndog 0\ncat 0\nterrier 2\nhound 2\ncup 1\n"
ANIMALS = ClassTree(
    tuple("animal thing dog cat terrier hound cup".split()), (-1, -1, 0, 0, 2, 2, 1)
)
CFG = """[net]
width=2
height=2
channels=3
[convolutional]
filters=12
activation=linear
[region]
anchors=1,1
classes=7
softmax=1
tree=the.tree
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree_of(graph: Graph) -> ClassTree | None:
    tree = graph.heads[0][1].tree  # type: ignore[attr-defined]
    assert tree is not None
    content = tree.content
    assert content is None or isinstance(content, ClassTree)
    return content


def errors(text: str) -> list[str]:
    with pytest.raises(CfgError) as caught:
        compile_text(text, "x.cfg")
    return [d.render() for d in caught.value.diagnostics if d.severity == "error"]


def test_a_run_of_nodes_with_one_parent_is_a_group() -> None:
    assert ANIMALS.group_sizes == (2, 2, 2, 1)
    # The same parent's nodes apart are two groups, as in Darknet.
    assert ClassTree(tuple("abcde"), (-1, 0, 0, 1, 0)).group_sizes == (1, 2, 1, 1)
    assert ANIMALS.leaves == (3, 4, 5, 6)


def test_each_group_takes_a_softmax_of_its_own() -> None:
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(1)) * 5
    found = ANIMALS.softmax(logits).numpy()
    powers = np.exp(logits.numpy().astype(np.float64))
    for group in ([0, 1], [2, 3], [4, 5], [6]):
        own = powers[..., group] / powers[..., group].sum(-1, keepdims=True)
        np.testing.assert_allclose(found[..., group], own, rtol=1e-5)


def test_large_logits_of_one_group_do_not_overflow_nor_starve_another() -> None:
    found = ANIMALS.softmax(torch.tensor([1000.0, 1000.0, -1000.0, -1000.0, 0.0, 0.0, 5.0]))
    assert found.tolist() == [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0]


def test_a_nodes_probability_is_the_product_from_the_root() -> None:
    conditional = torch.tensor([0.75, 0.25, 0.8, 0.2, 0.9, 0.1, 1.0])
    # dog .75 * .8, cat .75 * .2, terrier .75 * .8 * .9, hound .75 * .8 * .1, cup .25 * 1
    expected = [0.75, 0.25, 0.6, 0.15, 0.54, 0.06, 0.25]
    assert ANIMALS.absolute(conditional).tolist() == pytest.approx(expected)


def test_products_go_all_the_way_down_a_deep_tree() -> None:
    chain = ClassTree(tuple(str(n) for n in range(11)), tuple(range(-1, 10)))
    expected = [0.5**n for n in range(1, 12)]
    assert chain.absolute(torch.full((11,), 0.5)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("absolute", "answer"),
    [
        ([0.75, 0.25, 0.6, 0.15, 0.54, 0.06, 0.25], [4]),  # the last above 1/2, not the greatest
        ([0.75, 0.25, 0.6, 0.15, 0.5, 0.1, 0.25], [2]),  # 1/2 is not above 1/2
        ([0.3, 0.7, 0.2, 0.1, 0.1, 0.1, 0.7], [6]),
        ([0.5, 0.5, 0.4, 0.1, 0.2, 0.2, 0.5], []),
    ],
)
def test_the_answer_is_the_last_node_above_one_half(
    absolute: list[float], answer: list[int]
) -> None:
    assert ANIMALS.answers(torch.tensor(absolute)).nonzero().flatten().tolist() == answer


def test_a_file_is_sought_from_the_working_directory_then_from_the_cfg(folder: Path) -> None:
    (folder / "darknet/cfg").mkdir(parents=True)
    (folder / "darknet/data").mkdir()
    cfg = Path("darknet/cfg/x.cfg")
    cfg.write_text(CFG.replace("the.tree", "data/the.tree"))
    assert tree_of(read_graph(cfg)) is None
    for place in ("darknet/data", "darknet/cfg/data", "data"):  # each goes before the last
        (folder / place).mkdir(exist_ok=True)
        (folder / place / "the.tree").write_text(TREE.replace("dog", place))
        found = tree_of(read_graph(cfg))
        assert found is not None and found.names[2] == place


def test_a_cfg_inside_a_weights_file_seeks_beside_that_file(folder: Path) -> None:
    (folder / "runs").mkdir()
    (folder / "runs/the.tree").write_text(TREE)
    graph = compile_text(CFG, "<runs/best.safetensors>")
    assert tree_of(graph) == ANIMALS


def test_windows_line_ends_and_blank_lines_at_the_end_do_not_count(folder: Path) -> None:
    (folder / "the.tree").write_bytes(TREE.replace("\n", "\r\n").encode() + b"\r\n\n")
    assert tree_of(compile_text(CFG, "x.cfg")) == ANIMALS


def test_a_network_compiles_without_its_tree_and_says_so(folder: Path) -> None:
    graph = compile_text(CFG, "x.cfg")
    assert [warning.render() for warning in graph.warnings] == [
        "x.cfg:12:6: warning: the file the.tree is not there; shapes and costs can do without, "
        "results cannot [YG112]\n"
        "   12 | tree=the.tree\n"
        "      |      ^^^^^^^^\n"
        "expected: tree=FILE, relative to the working directory, to the cfg's folder or to the one "
        "above"
    ]
    (folder / "the.tree").write_text(TREE)
    with_tree = compile_text(CFG, "x.cfg")
    assert with_tree.warnings == ()
    assert with_tree.total == graph.total
    assert with_tree.fingerprint == graph.fingerprint  # weights are known by it
    without = compile_text(CFG.replace("tree=the.tree\n", ""), "x.cfg")
    assert without.fingerprint != graph.fingerprint


@pytest.mark.parametrize(
    ("lines", "place", "message", "expected"),
    [
        (
            "animal -1\ndog\n",
            "the.tree:2:1",
            "a line of a class tree is a name and a number; this one is 'dog'",
            "NAME PARENT, the parent's line counted from 0, or -1 for none",
        ),
        (
            "animal -1\n\ndog 0\n",
            "the.tree:2:1",
            "a line of a class tree is a name and a number; this one is ''",
            "NAME PARENT, the parent's line counted from 0, or -1 for none",
        ),
        (
            "animal -1\n  dog 0 x\n",
            "the.tree:2:3",
            "a line of a class tree is a name and a number; this one is '  dog 0 x'",
            "NAME PARENT, the parent's line counted from 0, or -1 for none",
        ),
        (
            "animal -1\ndog 2\nterrier 1\n",
            "the.tree:2:1",
            "node 1 of the class tree, dog, has parent 2",
            "the number of an earlier line, counted from 0, or -1 for none",
        ),
        (
            "animal 0\n",
            "the.tree:1:1",
            "node 0 of the class tree, animal, has parent 0",
            "the number of an earlier line, counted from 0, or -1 for none",
        ),
    ],
)
def test_a_malformed_tree_is_an_error_at_its_line(
    folder: Path, lines: str, place: str, message: str, expected: str
) -> None:
    (folder / "the.tree").write_text(lines)
    (found,) = errors(CFG)
    assert found.startswith(f"{place}: error: {message} [YG113]\n")
    assert found.endswith(f"expected: {expected}\nhelp: line 12 of x.cfg names it")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "[region] tree=the.tree is empty"),
        (b"\n\r\n", "[region] tree=the.tree is empty"),
        (b"\xff\xfe", "[region] tree=the.tree is no UTF-8 text"),
        (b"a -1\n" * 2**22, f"[region] tree=the.tree has {5 * 2**22} bytes, more than the {2**24}"),
    ],
)
def test_what_is_no_list_of_classes_is_an_error_at_the_key(
    folder: Path, content: bytes, message: str
) -> None:
    (folder / "the.tree").write_bytes(content)
    (found,) = errors(CFG)
    assert found.startswith(f"x.cfg:12:6: error: {message}")
    assert found.endswith("expected: the name of a text file")


def test_a_folder_or_a_device_is_no_file(folder: Path) -> None:
    (found,) = errors(CFG.replace("the.tree", "."))
    assert found.startswith("x.cfg:12:6: error: [region] tree=. is a folder [YG113]")
    (found,) = errors(CFG.replace("the.tree", "/dev/null"))
    assert found.startswith(
        "x.cfg:12:6: error: [region] tree=/dev/null is no ordinary file [YG113]"
    )


@pytest.mark.parametrize("name", ["x" * 5000, "~", "../" * 500 + "x"])
def test_a_name_that_no_file_can_have_is_one_that_is_not_there(folder: Path, name: str) -> None:
    graph = compile_text(CFG.replace("the.tree", name), "x.cfg")
    assert Rule.MISSING_FILE in [warning.rule for warning in graph.warnings]


def test_a_tree_of_other_classes_is_an_error_that_counts_both(folder: Path) -> None:
    (folder / "the.tree").write_text(TREE + "mug 1\n")
    (found,) = errors(CFG)
    assert found == (
        "x.cfg:12:6: error: [region] tree=the.tree has 8 nodes, but classes=7 [YG113]\n"
        "   12 | tree=the.tree\n"
        "      |      ^^^^^^^^\n"
        "expected: a line for each class\n"
        "help: set classes=8, and the filters before to match, if the tree is right"
    )


def test_an_endless_tree_is_refused(folder: Path) -> None:
    (folder / "the.tree").write_text("a -1\n" * 65_537)
    (found,) = errors(CFG)
    assert found.startswith("the.tree:65537:1: error: the class tree has 65537 nodes [YG113]")


@pytest.mark.parametrize("line", ["7", "-1", "dog", "1 2", ""])
def test_a_map_names_classes_of_the_tree(folder: Path, line: str) -> None:
    (folder / "the.tree").write_text(TREE)
    (folder / "the.map").write_text(f"6\n{line}\n0\n")
    (found,) = errors(CFG + "map=the.map\n")
    assert found.startswith(
        "the.map:2:1: error: a line of a class map is the number of a class; this one is "
        f"{line!r} [YG113]\n"
    )
    assert found.endswith("expected: 0 to 6\nhelp: line 13 of x.cfg names it")


def test_a_group_of_one_is_certain() -> None:
    assert ANIMALS.softmax(torch.full((7,), -50.0))[6] == 1.0
    assert math.isclose(float(ANIMALS.softmax(torch.zeros(7))[0]), 0.5)
