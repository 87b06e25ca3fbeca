"""[local] (darknet.md 2.11, 4.2): arithmetic and its place in a `.weights` file, by plain loops."""

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
CHANNELS, HEIGHT, WIDTH, FILTERS = 2, 5, 6, 3


def cfg(keys: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    return (
        f"[net]\nchannels={CHANNELS}\nheight={size[0]}\nwidth={size[1]}\n"
        f"[local]\nfilters={FILTERS}\nactivation=leaky\n{keys}"
    )


def by_loops(
    floats: Array, image: Array, size: int, stride: int, padding: int, out: tuple[int, int]
) -> Array:
    """The file's numbers: a bias per number of the output; then, place by place, each filter."""
    biases = floats[: FILTERS * out[0] * out[1]].reshape(FILTERS, *out)
    weights = floats[biases.size :].reshape(out[0] * out[1], FILTERS, CHANNELS, size, size)
    result = biases.copy()
    for row, column, filter_, c, ky, kx in np.ndindex(*out, FILTERS, CHANNELS, size, size):
        y, x = row * stride + ky - padding, column * stride + kx - padding
        if 0 <= y < HEIGHT and 0 <= x < WIDTH:
            factor = weights[row * out[1] + column, filter_, c, ky, kx]
            result[filter_, row, column] += factor * image[c, y, x]
    return np.where(result > 0, result, 0.1 * result)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "out"),
    [
        (3, 1, 1, (5, 6)),  # (5 - 1) // 1 + 1 = 5, (6 - 1) // 1 + 1 = 6
        (3, 2, 1, (3, 3)),  # (5 - 1) // 2 + 1 = 3, (6 - 1) // 2 + 1 = 3
        (3, 1, 0, (3, 4)),  # (5 - 3) // 1 + 1 = 3, (6 - 3) // 1 + 1 = 4
        (2, 3, 0, (2, 2)),  # (5 - 2) // 3 + 1 = 2, (6 - 2) // 3 + 1 = 2
        (5, 1, 2, (5, 6)),  # pad is a number of pixels; any pad but 0 makes (in - 1) // stride + 1
        (1, 1, 0, (5, 6)),
    ],
)
def test_each_place_has_filters_of_its_own_in_the_files_order(
    size: int, stride: int, padding: int, out: tuple[int, int], tmp_path: Path
) -> None:
    graph = compile_text(cfg(f"size={size}\nstride={stride}\npad={padding}\n"), "local.cfg")
    assert graph.nodes[0].output_shape.size == out
    rng = np.random.default_rng(31)
    count = FILTERS * out[0] * out[1] * (1 + CHANNELS * size**2)
    floats = rng.standard_normal(count).astype("<f4")
    path = tmp_path / "local.weights"
    path.write_bytes(struct.pack("<iiiQ", 0, 2, 5, 0) + floats.tobytes())
    network = compile_network(graph)
    header = load_weights(path, graph, network)
    image = rng.standard_normal((1, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    with torch.no_grad():
        (result,) = network(torch.from_numpy(image))
    expected = by_loops(floats.astype(float), image[0].astype(float), size, stride, padding, out)
    np.testing.assert_allclose(result[0], expected, atol=1e-5)
    save_weights(tmp_path / "again.weights", graph, network, header)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


def test_a_pad_that_fits_no_size_is_refused_with_the_one_that_would() -> None:
    # Declared (5 - 1) // 1 + 1 = 5 rows, computed (5 + 2 - 5) // 1 + 1 = 3.
    with pytest.raises(CfgError) as caught:
        compile_text(cfg("size=5\npad=1\n"), "local.cfg")
    assert str(caught.value) == (
        "local.cfg:9:5: error: [local] pad=1 with size=5: Darknet's declared map and its "
        "arithmetic differ in size [YG204]\n"
        "    9 | pad=1\n"
        "      |     ^\n"
        "expected: pad=2 or pad=0"
    )


def test_no_pad_fits_an_even_size() -> None:
    # Declared (5 - 1) // 1 + 1 = 5 rows, computed (5 + 4 - 4) // 1 + 1 = 6.
    with pytest.raises(CfgError, match="expected: pad=0, or an odd size"):
        compile_text(cfg("size=4\npad=2\n"), "local.cfg")


def test_a_map_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(CfgError, match=r"\[local\] of size=3 does not fit into the input, which"):
        compile_text(cfg("size=3\n", size=(2, 6)), "local.cfg")


def test_weights_start_within_the_bound_of_a_convolution_and_biases_at_zero() -> None:
    network = compile_network(compile_text(cfg("size=3\npad=1\n"), "local.cfg"))
    initialise(network, seed=3)
    module = network.get_submodule("local_0")
    bound = (2 / (CHANNELS * 3 * 3)) ** 0.5
    assert bound * 0.9 < float(module.weight.detach().abs().max()) <= bound
    assert not module.bias.any()
