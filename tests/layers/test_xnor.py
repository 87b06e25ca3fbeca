"""XNOR convolutions (darknet.md 2.2) against a plain loop over signs."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, fold_batch_norm, initialise

CHANNELS, HEIGHT, WIDTH, FILTERS = 3, 5, 6, 4


def compiled(keys: str, channels: int = CHANNELS) -> tuple[Graph, fx.GraphModule]:
    text = (
        f"[net]\nchannels={channels}\nheight={HEIGHT}\nwidth={WIDTH}\n"
        f"[convolutional]\nxnor=1\nfilters={FILTERS}\n{keys}"
    )
    graph = compile_text(text, "xnor.cfg")
    network = compile_network(graph)
    initialise(network, seed=22)
    return graph, network


def module_of(network: fx.GraphModule) -> Convolution:
    module = network.get_submodule("convolutional_0")
    assert isinstance(module, Convolution)
    return module


def image_of(channels: int = CHANNELS) -> Tensor:
    image = torch.randn(1, channels, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(23))
    image[0, 0, 0, :3] = torch.tensor([0.0, -0.0, 1e-30])  # the sign of 0 is -1
    return image


def leaky(value: float) -> float:
    return value if value > 0 else 0.1 * value


def expected(
    weight: list[list[list[list[float]]]],
    bias: list[float],
    image: list[list[list[float]]],
    stride: int,
    padding: int,
) -> Tensor:
    """Per filter m = mean |w|; +-m for w, +-1 for x, -1 for the padding; bias; leaky."""
    kernel = len(weight[0][0])
    height, width = len(image[0]), len(image[0][0])
    rows = (height + 2 * padding - kernel) // stride + 1
    columns = (width + 2 * padding - kernel) // stride + 1
    result = torch.empty(len(weight), rows, columns)
    taps = list(itertools.product(range(len(image)), range(kernel), range(kernel)))
    for number, filter_ in enumerate(weight):
        mean = sum(abs(filter_[c][i][j]) for c, i, j in taps) / len(taps)
        for row, column in itertools.product(range(rows), range(columns)):
            total = 0.0
            for c, i, j in taps:
                y, x = row * stride + i - padding, column * stride + j - padding
                inside = 0 <= y < height and 0 <= x < width
                sign = 1 if inside and image[c][y][x] > 0 else -1
                total += sign * (mean if filter_[c][i][j] > 0 else -mean)
            result[number, row, column] = leaky(total + bias[number])
    return result[None]


SHAPES = [
    "size=3\npad=1\n",
    "size=3\npad=0\n",
    "size=3\nstride=2\npad=1\n",
    "size=5\nstride=3\npadding=1\n",
    "size=1\n",
]


def stride_and_padding(keys: str) -> tuple[int, int]:
    values = dict(line.split("=") for line in keys.split())
    padding = int(values["size"]) // 2 if values.get("pad") == "1" else values.get("padding", 0)
    return int(values.get("stride", 1)), int(padding)


@pytest.mark.parametrize("keys", SHAPES)
@pytest.mark.parametrize("channels", [3, 32])
@torch.no_grad()
def test_signs_are_convolved_and_the_padding_is_minus_one(keys: str, channels: int) -> None:
    _, network = compiled(keys + "activation=leaky\n", channels)
    convolution = module_of(network).convolution
    convolution.weight[0, 0, 0, 0] = 0.0  # the sign of a weight of 0 is -1, too
    convolution.bias = torch.nn.Parameter(torch.tensor([0.5, -0.5, 0.0, 1.5]))
    image = image_of(channels)
    (result,) = network(image)
    reference = expected(
        convolution.weight.tolist(),
        convolution.bias.tolist(),
        image[0].tolist(),
        *stride_and_padding(keys),
    )
    torch.testing.assert_close(result, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("folded", [False, True])
@torch.no_grad()
def test_batch_norm_is_folded_before_the_signs_are_taken(folded: bool) -> None:
    graph, network = compiled("batch_normalize=1\nsize=3\npad=1\nactivation=leaky\n")
    module = module_of(network)
    norm = module.batch_norm
    assert norm is not None and norm.running_mean is not None and norm.running_var is not None
    scale, bias = [2.0, -1.5, 0.5, -0.25], [0.1, 0.2, -0.3, 0.4]  # negative: the signs flip
    mean, variance = [0.5, -1.0, 0.25, 2.0], [1e-5, 0.5, 2.0, 4.0]
    for tensor, values in (
        (norm.weight, scale),
        (norm.bias, bias),
        (norm.running_mean, mean),
        (norm.running_var, variance),
    ):
        tensor.copy_(torch.tensor(values))
    gains = [s / (v + 1e-5) ** 0.5 for s, v in zip(scale, variance, strict=True)]
    weight = module.convolution.weight.double() * torch.tensor(gains).double().view(-1, 1, 1, 1)
    shifts = [b - g * m for b, g, m in zip(bias, gains, mean, strict=True)]
    reference = expected(weight.tolist(), shifts, image_of()[0].tolist(), 1, 1)
    if folded:
        fold_batch_norm(network, graph)
    (result,) = network(image_of())
    torch.testing.assert_close(result, reference, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_uneven_strides_make_a_plain_convolution() -> None:
    _, network = compiled("size=3\npad=1\nstride_x=2\nstride_y=1\nactivation=linear\n")
    plain = module_of(network).convolution
    (result,) = network(image_of())
    torch.testing.assert_close(result, plain(image_of()))


@torch.no_grad()
def test_all_positive_signs_by_hand() -> None:
    _, network = compiled("size=3\npad=1\nactivation=linear\n", channels=1)
    module_of(network).convolution.weight.fill_(0.25)
    (result,) = network(torch.ones(1, 1, HEIGHT, WIDTH))
    # Inside nine taps of +0.25; at an edge three of them, in a corner five, are padding: -0.25.
    assert result[0, 0, 2, 2].item() == pytest.approx(9 * 0.25)
    assert result[0, 0, 0, 2].item() == pytest.approx((6 - 3) * 0.25)
    assert result[0, 0, 0, 0].item() == pytest.approx((4 - 5) * 0.25)
