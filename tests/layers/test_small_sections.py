"""Kinds without much arithmetic: activation, logistic, history, implicit, iseg, and those that
pass their input on (darknet.md 2.8, 2.9, 2.12 to 2.14)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.rules import Rule
from yolo_gp.weights.darknet import load_weights, save_weights

NET = "[net]\nchannels=2\nheight=3\nwidth=4\n"


def compiled(sections: str) -> Graph:
    return compile_text(NET + sections, "x.cfg")


def image() -> Tensor:
    return torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(61))


@torch.no_grad()
def run(sections: str) -> Tensor:
    network = compile_network(compiled(sections))
    initialise(network, seed=0)
    (result,) = network(image())
    assert isinstance(result, Tensor)
    return result.detach()


@pytest.mark.parametrize("kind", ["empty", "silence", "blank", "contrastive", "activation"])
@pytest.mark.parametrize("before", ["", "[maxpool]\nsize=3\n"])
def test_it_passes_its_input_on(kind: str, before: str) -> None:
    expected = run(before) if before else image()
    assert torch.equal(run(f"{before}[{kind}]\n"), expected)


def test_only_a_blank_is_warned_of() -> None:
    assert not compiled("[empty]\n[silence]\n[contrastive]\nyolo_layer=-1\n").warnings
    (warning,) = compiled("[maxpool]\n[blank]\n").warnings
    assert (warning.rule, warning.span.line) == (Rule.BLANK_SECTION, 6)
    assert warning.message == (
        "no Darknet can run a [blank]; it passes its input on here, as [empty] does"
    )


def test_an_activation_section_applies_its_function() -> None:
    x = image()
    leaky = torch.where(x > 0, x, 0.1 * x)
    torch.testing.assert_close(run("[activation]\nactivation=leaky\n"), leaky)
    positive = x.clamp(min=0)
    shares = positive / (positive.sum(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(run("[activation]\nactivation=normalize_channels\n"), shares)


def test_an_activation_leaves_the_map_of_the_layer_before_alone() -> None:
    result = run("[maxpool]\nsize=1\n[activation]\nactivation=relu\n[route]\nlayers=0,1\n")
    assert torch.equal(result, torch.cat((image(), image().clamp(min=0)), 1))


def test_a_logistic_section_is_the_logistic_function() -> None:
    torch.testing.assert_close(run("[logistic]\n"), 1 / (1 + (-image()).exp()))


def test_a_history_has_the_map_first_and_then_zeros() -> None:
    result = run("[history]\nhistory_size=3\n")
    assert result.shape == (2, 6, 3, 4)
    assert torch.equal(result[:, :2], image())
    assert not result[:, 2:].any()
    assert run("[history]\n").shape[1] == 8  # four maps by default


def test_an_implicit_section_gives_its_weights_whatever_the_image(tmp_path: Path) -> None:
    graph = compiled("[maxpool]\n[implicit]\nfilters=3\natoms=2\n")
    path = tmp_path / "x.weights"
    content = struct.pack("<iiiQ6f", 0, 2, 5, 0, *range(1, 7))
    path.write_bytes(content)
    network = compile_network(graph)
    header = load_weights(path, graph, network)
    with torch.no_grad():
        (result,) = network(image())
    assert result.shape == (2, 3, 2, 1)
    assert result[0].flatten().tolist() == result[1].flatten().tolist() == [1, 2, 3, 4, 5, 6]
    save_weights(tmp_path / "again.weights", graph, network, header)
    assert (tmp_path / "again.weights").read_bytes() == content


def test_implicit_weights_start_around_their_mean() -> None:
    values = run("[implicit]\nfilters=500\nmean=3\nstd=0.5\n")[0].flatten()
    assert 2.5 <= values.min() < 2.55 and 3.45 < values.max() <= 3.5
    assert abs(float(values.mean()) - 3) < 0.05
    usual = run("[implicit]\n")[0]
    assert usual.shape == (128, 1, 1) and 0.15 < usual.abs().max() <= 0.2


def test_an_iseg_map_has_sigmoids_for_classes_and_leaves_ids_alone() -> None:
    (warning,) = compiled("[iseg]\nclasses=1\nids=1\n").warnings
    assert warning.rule is Rule.ISEG_MAP
    assert "no instances or boxes are made of it, so detect, val and train" in warning.message
    result = run("[iseg]\nclasses=1\nids=1\n")
    torch.testing.assert_close(result[:, 0], image()[:, 0].sigmoid())
    assert torch.equal(result[:, 1], image()[:, 1])


def test_an_iseg_section_says_how_many_channels_it_needs() -> None:
    with pytest.raises(CfgError) as caught:
        compiled("[convolutional]\nfilters=50\nactivation=linear\n[iseg]\n")
    (error,) = (d for d in caught.value.diagnostics if d.severity == "error")
    assert error.rule is Rule.HEAD_FILTERS
    assert error.message == (
        "[iseg] needs classes + ids = 20 + 32 = 52 channels, but layer 0 gives 50"
    )
    assert error.expected == "filters=52 in the section at line 5"
