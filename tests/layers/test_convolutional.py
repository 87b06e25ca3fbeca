"""[convolutional] against a plain loop over the taps (darknet.md 2.2)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.layers.convolution_modules import Convolution, PackedConvolution
from yolo_gp.network import compile_network, fold_batch_norm, initialise, pack_for_cpu
from yolo_gp.rules import Rule
from yolo_gp.weights.layout import file_layout

Array = NDArray[np.float64]


def compiled(section: str, shape: tuple[int, int, int]) -> tuple[Graph, fx.GraphModule]:
    channels, height, width = shape
    net = f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n[convolutional]\n"
    graph = compile_text(net + section, "convolutional.cfg")
    network = compile_network(graph)
    initialise(network, seed=5)
    return graph, network


def module_of(network: fx.GraphModule) -> Convolution:
    module = network.get_submodule("convolutional_0")
    assert isinstance(module, Convolution)
    return module


def image_of(shape: tuple[int, int, int]) -> Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(6))


@torch.no_grad()
def computed(network: fx.GraphModule, image: Tensor) -> Array:
    (result,) = network(image)
    return np.asarray(result[0], dtype=np.float64)


def correlate(
    image: Array,
    weight: Array,
    stride: tuple[int, int],
    padding: int,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """Zero-padded cross-correlation, tap by tap; the size formula knows no dilation."""
    (_, height, width), (filters, in_group, kernel, _) = image.shape, weight.shape
    out_height = (height + 2 * padding - kernel) // stride[0] + 1
    out_width = (width + 2 * padding - kernel) // stride[1] + 1
    result = np.zeros((filters, out_height, out_width))
    for filter_, row, column in np.ndindex(*result.shape):
        first = filter_ // (filters // groups) * in_group
        total = 0.0
        for channel, ky, kx in np.ndindex(in_group, kernel, kernel):
            y = row * stride[0] + (ky - padding) * dilation
            x = column * stride[1] + (kx - padding) * dilation
            if 0 <= y < height and 0 <= x < width:
                total += image[first + channel, y, x] * weight[filter_, channel, ky, kx]
        result[filter_, row, column] = total
    return result


PADDINGS = ("pad=1", "padding=0", "padding=1", "padding=3")


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    list(itertools.product((1, 2, 3, 4, 5), ((1, 1), (2, 2), (1, 2), (3, 2)), PADDINGS)),
)
def test_output_is_the_sum_over_the_taps(size: int, strides: tuple[int, int], padding: str) -> None:
    shape = (2, 6, 7)
    section = (
        f"filters=3\nsize={size}\nstride_y={strides[0]}\nstride_x={strides[1]}\n{padding}\n"
        "activation=linear\n"
    )
    _, network = compiled(section, shape)
    module, image = module_of(network).convolution, image_of(shape)
    module.bias.data = torch.tensor([0.5, -1.0, 2.0])
    pixels = size // 2 if padding == "pad=1" else int(padding.removeprefix("padding="))
    expected = correlate(
        image[0].double().numpy(), module.weight.detach().double().numpy(), strides, pixels
    )
    expected += np.array([0.5, -1.0, 2.0])[:, None, None]
    np.testing.assert_allclose(computed(network, image), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "dilation"), [(3, 2), (3, 3), (5, 2), (1, 4)])
@pytest.mark.parametrize("stride", [1, 2])
def test_dilation_spreads_the_taps_and_keeps_the_map(size: int, dilation: int, stride: int) -> None:
    shape = (2, 8, 9)
    section = (
        f"filters=2\nsize={size}\nstride={stride}\npad=1\ndilation={dilation}\nactivation=linear\n"
    )
    _, network = compiled(section, shape)
    weight = module_of(network).convolution.weight.detach().double().numpy()
    image = image_of(shape)
    expected = correlate(image[0].double().numpy(), weight, (stride, stride), size // 2, dilation)
    np.testing.assert_allclose(computed(network, image), expected, atol=1e-5)


@pytest.mark.parametrize(("filters", "groups"), [(4, 2), (6, 3), (6, 6), (12, 6)])
def test_each_group_reads_its_own_channels(filters: int, groups: int) -> None:
    shape = (6, 4, 5)
    _, network = compiled(
        f"filters={filters}\nsize=3\npad=1\ngroups={groups}\nactivation=linear\n", shape
    )
    weight = module_of(network).convolution.weight.detach().double().numpy()
    assert weight.shape == (filters, 6 // groups, 3, 3)
    image = image_of(shape)
    expected = correlate(image[0].double().numpy(), weight, (1, 1), 1, groups=groups)
    np.testing.assert_allclose(computed(network, image), expected, atol=1e-5)


def test_it_correlates_and_does_not_flip_the_kernel() -> None:
    _, network = compiled("filters=1\nsize=3\npad=1\nactivation=linear\n", (1, 3, 3))
    module_of(network).convolution.weight.data = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 0, 1] = 1.0
    # The only 1 lies above the centre, so the centre sees the tap of the first row: 2.
    assert computed(network, image)[0].tolist() == [[6, 5, 4], [3, 2, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("size", "expected"), [(2, 11), (3, 10), (4, 11), (5, 10)], ids=lambda n: f"{n}"
)
def test_pad_with_an_even_kernel_enlarges_the_map_by_one(size: int, expected: int) -> None:
    graph, _ = compiled(f"filters=1\nsize={size}\npad=1\nactivation=linear\n", (1, 10, 10))
    assert graph.nodes[0].output_shape.size == (expected, expected)


def test_pad_overrides_padding_and_says_so() -> None:
    graph, _ = compiled("filters=1\nsize=3\npad=7\npadding=2\nactivation=linear\n", (1, 5, 6))
    assert graph.nodes[0].output_shape.size == (5, 6)
    assert [str(warning.message) for warning in graph.warnings] == [
        "[convolutional] padding=2 has no effect beside pad=1, which sets size // 2 = 1"
    ]


@pytest.mark.parametrize("key", ["batch_normalize=1", "batch_normalize=2", "cbn=1"])
@pytest.mark.parametrize("folded", [False, True])
def test_batch_norm_scales_after_the_convolution_and_before_the_activation(
    key: str, folded: bool
) -> None:
    shape = (2, 4, 5)
    graph, network = compiled(f"filters=3\nsize=3\npad=1\n{key}\nactivation=leaky\n", shape)
    module = module_of(network)
    assert module.batch_norm is not None
    mean, variance = [0.3, -0.2, 0.1], [2e-5, 0.5, 4.0]  # the first feels epsilon
    scale, bias = [0.01, -1.5, 2.0], [0.4, 0.0, -0.6]
    module.batch_norm.load_state_dict(
        {
            "weight": torch.tensor(scale),
            "bias": torch.tensor(bias),
            "running_mean": torch.tensor(mean),
            "running_var": torch.tensor(variance),
            "num_batches_tracked": torch.tensor(0),
        }
    )
    image = image_of(shape)
    expected = correlate(
        image[0].double().numpy(), module.convolution.weight.detach().double().numpy(), (1, 1), 1
    )
    for channel in range(3):
        root = (variance[channel] + 1e-5) ** 0.5
        expected[channel] = (
            scale[channel] * (expected[channel] - mean[channel]) / root + bias[channel]
        )
    expected = np.where(expected > 0, expected, 0.1 * expected)
    if folded:
        fold_batch_norm(network, graph)
        assert module.batch_norm is None
    np.testing.assert_allclose(computed(network, image), expected, rtol=1e-5, atol=1e-5)


def test_training_normalises_by_the_batch_and_keeps_running_statistics() -> None:
    shape = (2, 4, 5)
    _, network = compiled("filters=3\nbatch_normalize=1\nactivation=linear\n", shape)
    network.train()
    images = 5 * torch.randn(4, *shape, generator=torch.Generator().manual_seed(7)) + 3
    (result,) = network(images)
    torch.testing.assert_close(result.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    # Within 2 %: whether the variance of the 80 numbers is divided by 80 or 79 is training's rule.
    torch.testing.assert_close(result.var((0, 2, 3)), torch.ones(3), atol=0, rtol=0.02)
    norm = module_of(network).batch_norm
    assert norm is not None and norm.running_mean is not None
    assert norm.running_mean.abs().min() > 0


def test_without_an_activation_it_is_logistic_and_the_cfg_is_warned() -> None:
    graph, network = compiled("filters=1\n", (1, 2, 2))
    module_of(network).convolution.weight.data.fill_(1.0)
    image = torch.tensor([[[[0.0, 1.0], [-1.0, 2.0]]]])
    expected = [[0.5, 1 / (1 + np.e**-1)], [1 / (1 + np.e), 1 / (1 + np.e**-2)]]
    np.testing.assert_allclose(computed(network, image)[0], expected, rtol=1e-6)
    assert len(graph.warnings) == 1 and "Darknet takes logistic" in graph.warnings[0].message


def test_xnor_ignores_groups() -> None:
    graph, network = compiled("filters=4\nxnor=1\ngroups=2\nactivation=linear\n", (6, 3, 3))
    assert module_of(network).convolution.weight.shape == (4, 6, 1, 1)
    assert graph.nodes[0].cost.params == 4 * 6 + 4


# -- shared weights --------------------------------------------------------------------------------

SHARED = "filters=2\nsize=3\npad=1\nbatch_normalize=1\nactivation=linear\n"


def sharing(channels: int) -> Graph:
    """Layer 2 shares the weights of layer 0, which reads 2 channels; layer 2 reads so many."""
    return compile_text(
        f"[net]\nchannels=2\nheight=4\nwidth=4\n[convolutional]\n{SHARED}"
        f"[convolutional]\nfilters={channels}\nactivation=linear\n"
        f"[convolutional]\nshare_index=0\n{SHARED}",
        "x.cfg",
    )


def test_a_shared_convolution_has_no_weights_of_its_own() -> None:
    graph = sharing(channels=2)
    assert not graph.warnings
    assert graph.nodes[2].weights_of == 0 and graph.nodes[2].cost.params == 0
    assert [block.node.index for block in file_layout(graph)].count(2) == 0


def test_one_that_reads_other_channels_has_and_says_so() -> None:
    graph = sharing(channels=3)
    (warning,) = graph.warnings
    assert (warning.rule, warning.span.line) == (Rule.UNSHARED_WEIGHTS, 15)
    assert warning.message == (
        "[convolutional] cannot share the weights of layer 0 (line 5): input channels 2 there, "
        "3 here; Darknet refuses the file, here the section has weights of its own"
    )
    node = graph.nodes[2]
    # 2 filters of 3 x 3 x 3, with a scale and a shift each; the file has mean and variance, too.
    assert node.weights_of is None and node.cost.params == 2 * 27 + 2 * 2
    own = [block for block in file_layout(graph) if block.node is node]
    assert [block.block.tensor for block in own] == [
        "batch_norm.bias", "batch_norm.weight", "batch_norm.running_mean", "batch_norm.running_var",
        "convolution.weight",
    ]  # fmt: skip
    assert own[-1].block.shape == (2, 3, 3, 3)
    network = compile_network(graph)
    initialise(network, seed=1)
    first, last = (network.get_submodule(f"convolutional_{i}.convolution") for i in (0, 2))
    assert first.weight.shape == (2, 2, 3, 3) and last.weight.shape == (2, 3, 3, 3)


# -- packed for the CPU ----------------------------------------------------------------------------

packed_only = pytest.mark.skipif(
    not PackedConvolution.is_available(), reason="this torch has no packed convolutions"
)
GEOMETRIES = (
    "size=1\n",
    "size=3\npad=1\n",
    "size=3\nstride=2\npad=1\ngroups=2\n",
    "size=3\npad=1\ngroups=6\n",
    "size=5\nstride_y=1\nstride_x=2\npadding=1\n",
    "size=3\npad=1\ndilation=2\n",
    "size=4\nstride=2\npad=1\n",
)


@torch.no_grad()
def packed_and_not(section: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The same folded network twice, the second with packed convolutions."""
    networks = []
    for _ in range(2):
        graph, network = compiled(f"filters=6\nbatch_normalize=1\n{section}", (6, 9, 11))
        norm = module_of(network).batch_norm
        assert norm is not None and norm.running_var is not None
        norm.bias.copy_(torch.linspace(-1, 1, 6))
        norm.running_var.copy_(torch.linspace(0.1, 3, 6))
        fold_batch_norm(network, graph)
        networks.append(network)
    pack_for_cpu(networks[1], graph)
    assert isinstance(networks[1].get_submodule("convolutional_0"), PackedConvolution)
    return networks[0], networks[1]


@packed_only
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@torch.no_grad()
def test_a_packed_convolution_computes_the_same(geometry: str, activation: str) -> None:
    plain, packed = packed_and_not(f"{geometry}activation={activation}\n")
    for size in ((9, 11), (16, 7)):  # the size it was packed for, and another
        images = torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(8))
        before = images.clone()
        for layout in (torch.contiguous_format, torch.channels_last):
            (found,) = packed(images.contiguous(memory_format=layout))
            torch.testing.assert_close(found, plain(images)[0], rtol=1e-5, atol=1e-5)
        assert torch.equal(images, before)


@packed_only
def test_an_xnor_convolution_is_not_packed() -> None:
    graph, network = compiled("filters=4\nxnor=1\nactivation=leaky\n", (6, 3, 3))
    pack_for_cpu(network, graph)
    assert isinstance(module_of(network), Convolution)
