"""[scale_channels] and [sam] (darknet.md 2.6): products of an earlier map with the previous one."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network
from yolo_gp.rules import Rule

CHANNELS, HEIGHT, WIDTH = 3, 2, 4
NET = f"[net]\nchannels={CHANNELS}\nheight={HEIGHT}\nwidth={WIDTH}\n[maxpool]\n"
PREVIOUS = {
    "per channel": "[avgpool]\n",
    "per pixel": "[convolutional]\nfilters=1\nactivation=linear\n",
    "element": "[maxpool]\n",
}


def module_of(previous: str, section: str) -> nn.Module:
    graph = compile_text(NET + PREVIOUS[previous] + section, "attention.cfg")
    shape = graph.nodes[-1].output_shape
    assert (shape.channels, *shape.size) == (CHANNELS, HEIGHT, WIDTH)
    return compile_network(graph).get_submodule(f"{graph.nodes[-1].layer.kind}_2")


def source_map() -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.randint(-9, 10, (1, CHANNELS, HEIGHT, WIDTH), generator=generator).float()


def everywhere() -> list[tuple[int, int, int]]:
    return list(itertools.product(range(CHANNELS), range(HEIGHT), range(WIDTH)))


def test_scale_channels_multiplies_each_channel_by_its_own_number() -> None:
    module = module_of("per channel", "[scale_channels]\nfrom=0\n")
    factors = torch.tensor([0.5, -2.0, 3.0]).reshape(1, 3, 1, 1)
    source, result = source_map(), module(factors, source_map())
    for c, y, x in everywhere():
        assert result[0, c, y, x].item() == source[0, c, y, x].item() * factors[0, c].item()


def test_scale_channels_with_scale_wh_multiplies_each_pixel_by_its_own_number() -> None:
    module = module_of("per pixel", "[scale_channels]\nfrom=0\nscale_wh=1\n")
    factors = (torch.arange(8.0) - 3).reshape(1, 1, HEIGHT, WIDTH)
    source, result = source_map(), module(factors, source_map())
    assert result.shape == source.shape
    for c, y, x in everywhere():
        assert result[0, c, y, x].item() == source[0, c, y, x].item() * factors[0, 0, y, x].item()


def test_sam_multiplies_element_by_element() -> None:
    module = module_of("element", "[sam]\nfrom=0\n")
    factors = (torch.arange(24.0) - 11).reshape(1, CHANNELS, HEIGHT, WIDTH)
    source, result = source_map(), module(factors, source_map())
    for c, y, x in everywhere():
        assert result[0, c, y, x].item() == source[0, c, y, x].item() * factors[0, c, y, x].item()


@pytest.mark.parametrize(
    ("previous", "section"),
    [
        ("per channel", "[scale_channels]\nfrom=0\n"),
        ("per pixel", "[scale_channels]\nfrom=0\nscale_wh=1\n"),
        ("element", "[sam]\nfrom=0\n"),
    ],
)
def test_the_activation_is_applied_to_the_product(previous: str, section: str) -> None:
    module = module_of(previous, f"{section}activation=logistic\n")
    source = source_map()
    factors = {"per channel": (3, 1, 1), "per pixel": (1, 2, 4), "element": (3, 2, 4)}[previous]
    result = module(torch.full((1, *factors), -2.0), source)
    for place in everywhere():
        product = -2 * source[0][place].item()
        assert result[0][place].item() == pytest.approx(1 / (1 + math.exp(-product)), rel=1e-5)
    assert torch.equal(source, source_map())


@pytest.mark.parametrize(
    ("previous", "section"),
    [
        ("element", "[scale_channels]\nfrom=0\n"),
        ("per channel", "[scale_channels]\nfrom=0\nscale_wh=1\n"),
        ("per pixel", "[scale_channels]\nfrom=0\n"),
        ("per channel", "[sam]\nfrom=0\n"),
        ("per pixel", "[sam]\nfrom=0\n"),
    ],
)
def test_factors_of_another_shape_are_refused(previous: str, section: str) -> None:
    with pytest.raises(CfgError) as caught:
        compile_text(NET + PREVIOUS[previous] + section, "attention.cfg")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.rule in (Rule.CHANNEL_MISMATCH, Rule.SIZE_MISMATCH)


@pytest.mark.parametrize("kind", ["sam", "scale_channels"])
def test_a_second_source_is_a_warning_and_has_no_effect(kind: str) -> None:
    pool = "[avgpool]\n" if kind == "scale_channels" else ""
    text = (
        "[net]\nwidth=4\nheight=4\nchannels=2\n"
        "[convolutional]\nfilters=2\nactivation=linear\n"
        "[convolutional]\nfilters=2\nactivation=linear\n"
        f"{pool}[{kind}]\nfrom=1,0\n"
    )
    graph = compile_text(text, "x.cfg")
    (warning,) = graph.warnings
    assert warning.message == f"[{kind}] from lists 2 layers; 1 counts, as in Darknet"
    assert [edge.source for edge in graph.nodes[-1].inputs][1:] == [1]
