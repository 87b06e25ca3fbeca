"""Darknet's activations against the formulas of darknet.md 2.16, written with `math`."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.graph import compile_text
from yolo_gp.layers.activation_modules import Activation
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.network import compile_network, initialise


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def plse(x: float) -> float:
    if x < -4:
        return 0.01 * (x + 4)
    return 0.01 * (x - 4) + 1 if x > 4 else 0.125 * x + 0.5


def stair(x: float) -> float:
    n = math.floor(x)
    return math.floor(x / 2) if n % 2 == 0 else (x - n) + math.floor(x / 2)


def lhtan(x: float) -> float:
    if x < 0:
        return 0.001 * x
    return 0.001 * (x - 1) + 1 if x > 1 else x


def softplus(x: float) -> float:
    if x > 20:
        return x
    return math.exp(x) if x < -20 else math.log(1 + math.exp(x))


def hard_mish(x: float) -> float:
    if x > 0:
        return x
    return x * x / 2 + x if x > -2 else 0.0


FORMULAS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "logistic": sigmoid,
    "loggy": lambda x: 2 * sigmoid(x) - 1,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507 * x if x >= 0 else 1.0507 * 1.6732 * (math.exp(x) - 1),
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(0.797885 * x + 0.035677 * x**3)),
    "relie": lambda x: x if x > 0 else 0.01 * x,
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "leaky": lambda x: x if x > 0 else 0.1 * x,
    "revleaky": lambda x: x if x > 0 else 0.1 * x,
    "tanh": lambda x: 2 / (1 + math.exp(-2 * x)) - 1,
    "plse": plse,
    "stair": stair,
    "hardtan": lambda x: min(max(x, -1.0), 1.0),
    "lhtan": lhtan,
    "swish": lambda x: x * sigmoid(x),
    "mish": lambda x: x * math.tanh(softplus(x)),
    "hard_mish": hard_mish,
}
POINTS = (
    -50.0, -25.0, -10.0, -6.5, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, -0.001,
    0.0, 0.001, 0.5, 0.75, 1.0, 1.25, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.5, 6.0, 7.0, 25.0, 50.0,
)  # fmt: skip


def over_channels(name: str, values: list[float]) -> list[float]:
    """The activations that normalise the channels of a pixel."""
    if name == "normalize_channels":
        powers = [max(value, 0.0) for value in values]
    else:
        largest = max(values) if name.endswith("maxval") else 0.0
        powers = [math.exp(value - largest) for value in values]
    return [power / (sum(powers) + 1e-4) for power in powers]


NORMALIZING = sorted(ACTIVATIONS - set(FORMULAS))


def test_all_23_names_are_tested() -> None:
    assert NORMALIZING == [
        "normalize_channels",
        "normalize_channels_softmax",
        "normalize_channels_softmax_maxval",
    ]
    assert set(FORMULAS) <= ACTIVATIONS and len(ACTIVATIONS) == 23


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_is_darknets_formula(name: str) -> None:
    result = Activation(name)(torch.tensor(POINTS))
    expected = [FORMULAS[name](x) for x in POINTS]
    assert result.tolist() == pytest.approx(expected, rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("name", NORMALIZING)
@pytest.mark.parametrize("channels", [1, 4])
def test_normalizing_activations_look_at_the_channels_of_a_pixel(name: str, channels: int) -> None:
    pixels = 4 * torch.randn(2, channels, 3, 2, generator=torch.Generator().manual_seed(16))
    result = Activation(name)(pixels)
    assert result.shape == pixels.shape
    for n in range(2):
        for y in range(3):
            for x in range(2):
                expected = over_channels(name, pixels[n, :, y, x].tolist())
                assert result[n, :, y, x].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_only_the_maxval_variant_survives_large_values() -> None:
    pixel = torch.tensor([1000.0, 999.0]).reshape(1, 2, 1, 1)
    found = Activation("normalize_channels_softmax_maxval")(pixel).flatten().tolist()
    assert found == pytest.approx(over_channels("normalize_channels_softmax_maxval", [1.0, 0.0]))
    assert Activation("normalize_channels_softmax")(pixel).isnan().any()  # as in Darknet


@pytest.mark.parametrize("name", ["stair", "hardtan", "relu", "lhtan", "mish"])
def test_not_a_number_stays_so(name: str) -> None:
    assert Activation(name)(torch.tensor([torch.nan])).isnan().all()


def network_of(section: str) -> fx.GraphModule:
    text = f"[net]\nchannels=3\nheight=6\nwidth=6\n{section}"
    network = compile_network(compile_text(text, "activations.cfg"))
    initialise(network, seed=17)
    return network


def image() -> Tensor:
    return 6 * torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(18))


SECTIONS = {
    "convolutional": "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\n",
    "shortcut": "[maxpool]\nsize=3\n[maxpool]\nsize=5\n[shortcut]\nfrom=0\n",
    "weighted": "[maxpool]\n[maxpool]\nsize=5\n[shortcut]\nfrom=0\nweights_type=per_channel\n",
    "sam": "[maxpool]\n[maxpool]\nsize=5\n[sam]\nfrom=0\n",
    "scale_channels": "[maxpool]\n[avgpool]\n[scale_channels]\nfrom=0\n",
    "connected": "[connected]\noutput=3\n",
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("section", SECTIONS)
def test_inference_without_gradients_equals_inference_with_them(section: str, name: str) -> None:
    network, source = network_of(f"{SECTIONS[section]}activation={name}\n"), image()
    (linear,) = network_of(f"{SECTIONS[section]}activation=linear\n")(source)
    expected = Activation(name)(linear)
    (tracked,) = network(source.requires_grad_())
    assert tracked.grad_fn is not None
    with torch.no_grad():
        # No tensor asks for a gradient: a map that nobody else reads may be overwritten.
        (free,) = network.requires_grad_(False)(source.detach())
    torch.testing.assert_close(free, tracked, rtol=1e-6, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(free, expected, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert torch.equal(source.detach(), image())


@pytest.mark.parametrize("name", ["relu", "leaky", "logistic", "swish", "mish"])
@torch.no_grad()
def test_maps_that_another_layer_reads_are_not_overwritten(name: str) -> None:
    network = network_of(
        "[conv]\nfilters=3\nactivation=linear\n[maxpool]\nsize=1\n"
        f"[shortcut]\nfrom=0\nactivation={name}\n"
        f"[sam]\nfrom=0\nactivation={name}\n"
        f"[conv]\nfilters=3\nactivation={name}\n"
        f"[route]\nlayers=0,1,2,3,4\n"
    )
    first = network.convolutional_0(image())
    second = network.shortcut_2(first, first)
    third = network.sam_3(second, first)
    fourth = network.convolutional_4(third)
    (joined,) = network(image())
    again = network.convolutional_0(image())
    assert torch.equal(first, again)
    torch.testing.assert_close(joined, torch.cat((again, again, second, third, fourth), 1))
    act = Activation(name)
    torch.testing.assert_close(second, act(again + again))
    torch.testing.assert_close(third, act(act(again + again) * again))
