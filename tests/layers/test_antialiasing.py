"""antialiasing=1 and 2 of [convolutional] and [maxpool] (darknet.md 2.2, 2.3) by plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, fold_batch_norm, initialise, pack_for_cpu
from yolo_gp.rules import Rule

Array = NDArray[np.float64]
CHANNELS, HEIGHT, WIDTH = 2, 7, 8
NET = f"[net]\nchannels={CHANNELS}\nheight={HEIGHT}\nwidth={WIDTH}\n"
KERNELS = {
    1: (np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16, 1),  # and its padding
    2: (np.array([[1, 1], [1, 1]]) / 4, 0),
}


def blurred(maps: Array, kind: int, strides: tuple[int, int]) -> Array:
    """Each channel alone, zeros around it: (W + 2 padding - kernel) // stride + 1."""
    kernel, padding = KERNELS[kind]
    size = len(kernel)
    channels, height, width = maps.shape
    rows = (height + 2 * padding - size) // strides[0] + 1
    columns = (width + 2 * padding - size) // strides[1] + 1
    padded = np.pad(maps, ((0, 0), (padding, padding), (padding, padding)))
    result = np.zeros((channels, rows, columns))
    for c, row, column in np.ndindex(*result.shape):
        top, left = row * strides[0], column * strides[1]
        result[c, row, column] = (padded[c, top : top + size, left : left + size] * kernel).sum()
    return result


def compiled(sections: str) -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(NET + sections, "x.cfg")
    network = compile_network(graph)
    initialise(network, seed=4)
    return graph, network


def image() -> Tensor:
    return torch.randn(1, CHANNELS, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def output(network: fx.GraphModule) -> Array:
    (result,) = network(image())
    return np.asarray(result[0], dtype=float)


STRIDES = [(1, 1), (2, 2), (3, 2)]
each_kind = pytest.mark.parametrize("kind", [1, 2])
each_stride = pytest.mark.parametrize("strides", STRIDES)


@each_kind
@each_stride
def test_a_convolution_runs_at_stride_1_and_the_blur_has_the_stride(
    kind: int, strides: tuple[int, int]
) -> None:
    keys = "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    _, plain = compiled(keys)
    stride = f"stride_y={strides[0]}\nstride_x={strides[1]}\n"
    graph, network = compiled(f"{keys}{stride}antialiasing={kind}\n")
    assert not graph.warnings
    expected = blurred(output(plain), kind, strides)  # behind the activation, not before
    assert graph.nodes[0].output_shape.size == expected.shape[1:]
    np.testing.assert_allclose(output(network), expected, atol=1e-6)
    fold_batch_norm(network, graph)
    np.testing.assert_allclose(output(network), expected, atol=1e-5)
    with torch.no_grad():
        pack_for_cpu(network, graph)
    np.testing.assert_allclose(output(network), expected, atol=1e-5)


@each_kind
@each_stride
def test_a_maxpool_pools_at_stride_1_and_the_blur_has_the_stride(
    kind: int, strides: tuple[int, int]
) -> None:
    _, plain = compiled("[maxpool]\nsize=3\nstride=1\n")
    stride = f"stride_y={strides[0]}\nstride_x={strides[1]}\n"
    graph, network = compiled(f"[maxpool]\nsize=3\n{stride}antialiasing={kind}\n")
    expected = blurred(output(plain), kind, strides)
    assert graph.nodes[0].output_shape.size == expected.shape[1:]
    np.testing.assert_allclose(output(network), expected, atol=1e-6)


def test_the_size_of_a_maxpool_is_its_stride_before_the_blur_takes_that() -> None:
    graph, _ = compiled("[maxpool]\nstride=2\nantialiasing=1\n")
    # size 2: (8 + 1 - 2) // 1 + 1 = 8 columns, then (8 + 2 - 3) // 2 + 1 = 4; 7 rows, then 4.
    assert graph.nodes[0].output_shape.size == (4, 4)
    assert graph.nodes[0].layer.label() == "2x2/1 blur 3x3/2"


def test_pointwise_convolutions_with_a_blur_are_right_in_darknet_too() -> None:
    section = "[convolutional]\nactivation=linear\nstride_y=2\nstride_x=1\nantialiasing=1\n"
    assert not compile_text(NET + section, "x.cfg").warnings


@pytest.mark.parametrize("section", ["[maxpool]\n", "[convolutional]\nactivation=linear\n"])
def test_a_map_of_one_pixel_cannot_be_averaged_over_two(section: str) -> None:
    text = f"{NET}[avgpool]\n{section}"
    assert compile_text(f"{text}antialiasing=1\n", "x.cfg").nodes[1].output_shape.size == (1, 1)
    with pytest.raises(CfgError, match=r"antialiasing has a map of 1x1 to blur by 2x2 \[YG204\]"):
        compile_text(f"{text}antialiasing=2\n", "x.cfg")


def test_antialiasing_is_0_1_or_2() -> None:
    with pytest.raises(CfgError, match=r"\[maxpool\] antialiasing=3 is out of range"):
        compile_text(NET + "[maxpool]\nantialiasing=3\n", "x.cfg")


@pytest.mark.parametrize(
    "section",
    ["[convolutional]\nactivation=linear\nstride=2\nantialiasing=1\n", "[max]\nantialiasing=1\n"],
)
def test_a_section_that_names_an_antialiased_one_is_warned(section: str) -> None:
    text = f"{NET}{section}[avgpool]\n[route]\nlayers=-2\n"
    graph = compile_text(text, "x.cfg")
    (warning,) = graph.warnings
    assert warning.rule is Rule.ANTIALIASED_SOURCE
    assert warning.span.line == text.count("\n")
    assert warning.message.startswith("layer 0 has antialiasing: a section that names it gets")
    assert graph.nodes[-1].output_shape == graph.nodes[0].output_shape
