"""[deconvolutional] (darknet.md 2.14, 4.2): every pixel stamps its filters on the output."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.darknet import load_weights, save_weights

Array = NDArray[np.float64]
CHANNELS, HEIGHT, WIDTH, FILTERS = 2, 3, 4, 3


def cfg(keys: str) -> str:
    return (
        f"[net]\nchannels={CHANNELS}\nheight={HEIGHT}\nwidth={WIDTH}\n"
        f"[deconvolutional]\nfilters={FILTERS}\nactivation=relu\n{keys}"
    )


def stamped(image: Array, weights: Array, stride: int, padding: int) -> Array:
    """The sum of all stamps, (filters, (H - 1) stride + k, ...), less `padding` on each side."""
    size = weights.shape[-1]
    full = np.zeros((FILTERS, (HEIGHT - 1) * stride + size, (WIDTH - 1) * stride + size))
    for c, y, x, f, ky, kx in np.ndindex(CHANNELS, HEIGHT, WIDTH, FILTERS, size, size):
        full[f, y * stride + ky, x * stride + kx] += image[c, y, x] * weights[c, f, ky, kx]
    return full[:, padding : full.shape[1] - padding, padding : full.shape[2] - padding]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("keys", "size", "stride", "padding"),
    [
        ("size=1\n", 1, 1, 0),
        ("size=2\nstride=2\n", 2, 2, 0),
        ("size=3\nstride=2\npad=1\n", 3, 2, 1),
        ("size=4\nstride=2\npadding=1\n", 4, 2, 1),
        ("size=5\nstride=3\npadding=0\n", 5, 3, 0),
    ],
)
def test_a_file_in_darknets_order_gives_the_sum_of_the_stamps(
    keys: str, size: int, stride: int, padding: int, batch_norm: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(32)
    bias, scale, mean = rng.standard_normal((3, FILTERS)).astype("<f4")
    variance = rng.uniform(0.5, 2, FILTERS).astype("<f4")
    weights = rng.standard_normal((CHANNELS, FILTERS, size, size)).astype("<f4")
    norm = [scale, mean, variance] if batch_norm else []
    parts = (bias, *norm, weights)
    path = tmp_path / "deconvolutional.weights"
    path.write_bytes(struct.pack("<iiiQ", 0, 2, 0, 0) + b"".join(p.tobytes() for p in parts))
    text = cfg(keys + "batch_normalize=1\n" * batch_norm)
    graph = compile_text(text, "deconvolutional.cfg")
    network = compile_network(graph)
    header = load_weights(path, graph, network)
    image = rng.standard_normal((1, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    with torch.no_grad():
        (result,) = network(torch.from_numpy(image))
    expected = stamped(image[0].astype(float), weights.astype(float), stride, padding)
    if batch_norm:
        gain = scale / np.sqrt(variance + 1e-5)
        expected = (expected - mean[:, None, None]) * gain[:, None, None]
    expected = np.maximum(expected + bias[:, None, None], 0)
    np.testing.assert_allclose(result[0], expected, rtol=1e-4, atol=1e-5)
    save_weights(tmp_path / "again.weights", graph, network, header)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


def test_a_padding_that_leaves_nothing_is_refused() -> None:
    # 4 columns at stride 1 and size 1 give 4, less twice 2 is none; rows go below that.
    with pytest.raises(CfgError) as caught:
        compile_text(cfg("size=1\npadding=2\n"), "x.cfg")
    assert caught.value.diagnostics[0].message == (
        "[deconvolutional] padding=2 leaves nothing of the map that the input, which is 3x4, gives "
        "with size=1 and stride=1"
    )


def test_weights_start_within_the_bound_of_a_convolution() -> None:
    network = compile_network(compile_text(cfg("size=3\n"), "x.cfg"))
    initialise(network, seed=3)
    convolution = network.get_submodule("deconvolutional_0.convolution")
    bound = (2 / (CHANNELS * 3 * 3)) ** 0.5
    assert bound * 0.8 < float(convolution.weight.detach().abs().max()) <= bound
    assert not convolution.bias.any()
