"""[connected] (darknet.md 2.11): arithmetic, and its place in a `.weights` file (4.2, 4.4)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx

from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network
from yolo_gp.weights.darknet import load_weights, save_weights

INPUTS, OUTPUTS = 12, 2
SHAPE = (3, 2, 2)  # C, H, W: flattened channel by channel, row by row
NET = "[net]\nchannels=3\nheight=2\nwidth=2\n"
BIAS = [0.5, -0.25]
WEIGHTS = [round(0.1 * number - 1, 1) for number in range(INPUTS * OUTPUTS)]
SCALE, MEAN, VARIANCE = [2.0, -1.0], [0.3, 0.1], [4.0, 1e-5]
PLAIN_HEADER = struct.pack("<iiiQ", 0, 2, 5, 0)
MARKED_HEADER = struct.pack("<iiiI", 0, 1001, 0, 0)  # as pjreddie's Darknet writes it
MARKED_WIDE_HEADER = struct.pack("<iiiQ", 1001, 0, 0, 0)  # as AlexeyAB's reads it


def floats(*groups: list[float]) -> bytes:
    return b"".join(struct.pack(f"<{len(group)}f", *group) for group in groups)


def loaded(keys: str, content: bytes, folder: Path) -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(f"{NET}[connected]\noutput={OUTPUTS}\n{keys}", "connected.cfg")
    network = compile_network(graph)
    path = folder / "connected.weights"
    path.write_bytes(content)
    header = load_weights(path, graph, network)
    save_weights(folder / "again.weights", graph, network, header)
    assert (folder / "again.weights").read_bytes() == content
    return graph, network


def image() -> NDArray[np.float32]:
    return np.random.default_rng(15).standard_normal((1, *SHAPE), dtype=np.float32)


@torch.no_grad()
def computed(network: fx.GraphModule) -> list[float]:
    (result,) = network(torch.from_numpy(image()))
    assert result.shape == (1, OUTPUTS, 1, 1)
    values: list[float] = result.flatten().tolist()
    return values


def products() -> list[float]:
    """One sum per output: its row of WEIGHTS with the flat image."""
    flat = [float(image()[0, c, y, x]) for c in range(3) for y in range(2) for x in range(2)]
    return [
        sum(WEIGHTS[row * INPUTS + column] * flat[column] for column in range(INPUTS))
        for row in range(OUTPUTS)
    ]


def test_bias_then_weights_one_row_per_output(tmp_path: Path) -> None:
    content = PLAIN_HEADER + floats(BIAS, WEIGHTS)
    _, network = loaded("activation=linear\n", content, tmp_path)
    expected = [product + bias for product, bias in zip(products(), BIAS, strict=True)]
    assert computed(network) == pytest.approx(expected, rel=1e-5)


def test_batch_norm_lies_after_the_weights(tmp_path: Path) -> None:
    content = PLAIN_HEADER + floats(BIAS, WEIGHTS, SCALE, MEAN, VARIANCE)
    _, network = loaded("batch_normalize=1\nactivation=linear\n", content, tmp_path)
    expected = [
        SCALE[i] * (products()[i] - MEAN[i]) / (VARIANCE[i] + 1e-5) ** 0.5 + BIAS[i]
        for i in range(OUTPUTS)
    ]
    assert computed(network) == pytest.approx(expected, rel=1e-4)


def test_the_default_activation_is_logistic(tmp_path: Path) -> None:
    _, network = loaded("", PLAIN_HEADER + floats(BIAS, WEIGHTS), tmp_path)
    sums = [product + bias for product, bias in zip(products(), BIAS, strict=True)]
    assert computed(network) == pytest.approx([1 / (1 + np.exp(-s)) for s in sums], rel=1e-5)


@pytest.mark.parametrize("header", [MARKED_HEADER, MARKED_WIDE_HEADER], ids=["32 bit", "64 bit"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_marked_file_holds_the_matrix_transposed(
    header: bytes, batch_norm: bool, tmp_path: Path
) -> None:
    transposed = [
        WEIGHTS[row * INPUTS + column] for column in range(INPUTS) for row in range(OUTPUTS)
    ]
    rest = (SCALE, MEAN, VARIANCE) if batch_norm else ()
    keys = f"batch_normalize={int(batch_norm)}\nactivation=linear\n"
    _, marked = loaded(keys, header + floats(BIAS, transposed, *rest), tmp_path)
    _, plain = loaded(keys, PLAIN_HEADER + floats(BIAS, WEIGHTS, *rest), tmp_path)
    assert computed(marked) == computed(plain)


def test_a_convolution_may_follow(tmp_path: Path) -> None:
    text = f"{NET}[connected]\noutput=5\nactivation=linear\n[conv]\nfilters=2\nactivation=linear\n"
    graph = compile_text(text, "connected.cfg")
    assert [str(node.output_shape) for node in graph.nodes] == ["5 x 1 x 1", "2 x 1 x 1"]
    assert graph.nodes[1].cost.params == 5 * 2 + 2
