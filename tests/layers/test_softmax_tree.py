"""[softmax] over a class tree (darknet.md 2.9)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network
from yolo_gp.rules import Rule

TREE = "animal -1\nthing -1\ndog 0\ncat 0\nterrier 2\nhound 2\ncup 1\n"
GROUPS = ([0, 1], [2, 3], [4, 5], [6])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "the.tree").write_text(TREE)
    return tmp_path


def compiled(keys: str = "", size: tuple[int, int, int] = (7, 1, 1)) -> Graph:
    channels, height, width = size
    net = f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n"
    return compile_text(f"{net}[softmax]\ntree=the.tree\n{keys}", "x.cfg")


def test_each_group_of_the_tree_sums_to_one(folder: Path) -> None:
    image = 3 * torch.randn(2, 7, 1, 1, generator=torch.Generator().manual_seed(8))
    (found,) = compile_network(compiled("temperature=2\n"))(image)
    assert found.shape == image.shape
    powers = np.exp(image.flatten(1).numpy().astype(np.float64) / 2)
    for group in GROUPS:
        expected = powers[:, group] / powers[:, group].sum(1, keepdims=True)
        np.testing.assert_allclose(found.flatten(1)[:, group], expected, rtol=1e-5)


def test_the_nodes_are_the_numbers_of_the_flat_map(folder: Path) -> None:
    image = torch.randn(1, 1, 1, 7, generator=torch.Generator().manual_seed(8))
    (flat,) = compile_network(compiled())(image.reshape(1, 7, 1, 1))
    (found,) = compile_network(compiled(size=(1, 1, 7)))(image)
    assert torch.equal(found.flatten(), flat.flatten())


def test_gradients_are_those_of_the_softmax_of_each_group(folder: Path) -> None:
    image = torch.randn(1, 7, 1, 1, generator=torch.Generator().manual_seed(9), requires_grad=True)
    (found,) = compile_network(compiled())(image)
    found.flatten()[4].backward()
    assert image.grad is not None
    p, q = found.flatten()[[4, 5]].tolist()
    expected = [0, 0, 0, 0, p * (1 - p), -p * q, 0]
    np.testing.assert_allclose(image.grad.flatten(), expected, atol=1e-6)


def test_other_keys_have_no_effect_beside_a_tree(folder: Path) -> None:
    graph = compiled("groups=2\nspatial=1\n")
    found = [warning.message for warning in graph.warnings if warning.rule is Rule.NO_EFFECT]
    assert found == [
        "[softmax] groups has no effect beside tree, as in Darknet",
        "[softmax] spatial has no effect beside tree, as in Darknet",
    ]
    image = torch.randn(1, 7, 1, 1)
    (with_keys,), (without,) = compile_network(graph)(image), compile_network(compiled())(image)
    assert torch.equal(with_keys, without)


def test_a_tree_of_another_size_is_an_error(folder: Path) -> None:
    with pytest.raises(CfgError) as caught:
        compiled(size=(8, 1, 1))
    text = str(caught.value)
    assert "x.cfg:6:6: error: [softmax] tree has 7 nodes, but the input gives 8 numbers" in text
    assert "expected: a node for each number" in text


def test_without_its_tree_the_network_compiles_but_does_not_run(folder: Path) -> None:
    (folder / "the.tree").unlink()
    graph = compiled()
    assert Rule.MISSING_FILE in [warning.rule for warning in graph.warnings]
    assert graph.nodes[0].output_shape.elements == 7
    with pytest.raises(CfgError, match=r"the file the\.tree is not there"):
        compile_network(graph)(torch.zeros(1, 7, 1, 1))
