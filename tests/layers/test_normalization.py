"""[normalization], [batchnorm] and [l2norm] (darknet.md 2.8, 2.10, 2.14) by hand and by loops."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network
from yolo_gp.weights.darknet import load_weights, save_weights


def run(section: str, image: Tensor) -> Tensor:
    _, channels, height, width = image.shape
    net = f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n"
    (result,) = compile_network(compile_text(net + section, "x.cfg"))(image)
    assert isinstance(result, Tensor)
    return result


def running_sums(
    pixel: list[float], size: int, alpha: float, beta: float, kappa: float
) -> list[float]:
    """darknet.md 2.10, step by step over one pixel's channels."""
    squares = [x * x for x in pixel]
    n = kappa + alpha * sum(squares[: size // 2])
    result = [pixel[0] * n**-beta]
    for k in range(1, len(pixel)):
        leaving, entering = k - (size - 1) // 2 - 1, k + size // 2
        if leaving >= 0:
            n -= alpha * squares[leaving]
        if entering < len(pixel):
            n += alpha * squares[entering]
        result.append(pixel[k] * n**-beta)
    return result


@pytest.mark.parametrize("kind", ["normalization", "lrn"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 20])
def test_squares_are_counted_as_darknet_counts_them(kind: str, size: int) -> None:
    image = torch.randn(2, 7, 3, 4, generator=torch.Generator().manual_seed(41))
    result = run(f"[{kind}]\nsize={size}\nalpha=0.05\nbeta=0.6\nkappa=2\n", image)
    for number, row, column in np.ndindex(2, 3, 4):
        expected = running_sums(image[number, :, row, column].tolist(), size, 0.05, 0.6, 2.0)
        found = result[number, :, row, column]
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_the_channel_that_is_never_added_is_taken_away_all_the_same() -> None:
    # size 3, alpha 1/8, beta 1, kappa 1, all x = 1: n_0 = 1 + 1/8 (channel 0 alone);
    # n_1 = n_0 + 1/8 (2 enters) = 10/8; n_2 = n_1 + 1/8 (3) - 1/8 (0) = 10/8;
    # n_3 = n_2 - 1/8 (channel 1, which never entered) = 9/8. A window of three is 2, 3, 3, 2.
    result = run("[lrn]\nsize=3\nalpha=0.125\nbeta=1\nkappa=1\n", torch.ones(1, 4, 1, 1))
    assert result.flatten().tolist() == pytest.approx([8 / 9, 8 / 10, 8 / 10, 8 / 9])
    window = torch.nn.functional.local_response_norm(torch.ones(1, 4, 1, 1), 3, 0.375, 1.0, 1.0)
    assert window.flatten().tolist() == pytest.approx([8 / 10, 8 / 11, 8 / 11, 8 / 10])


def test_alexnets_settings_are_the_defaults() -> None:
    image = 30 * torch.rand(1, 6, 1, 1, generator=torch.Generator().manual_seed(42))
    expected = running_sums(image.flatten().tolist(), 5, 1e-4, 0.75, 1.0)
    assert run("[normalization]\n", image).flatten().tolist() == pytest.approx(expected)


def test_a_batchnorm_section_reads_bias_scale_mean_and_variance(tmp_path: Path) -> None:
    graph = compile_text("[net]\nchannels=2\nheight=1\nwidth=1\n[batchnorm]\n", "x.cfg")
    path, again = tmp_path / "a.weights", tmp_path / "b.weights"
    bias, scale, mean, variance = (1.0, -2.0), (3.0, 0.5), (4.0, -1.0), (0.25, 1e-5)
    content = struct.pack("<iiiQ8f", 0, 2, 5, 0, *bias, *scale, *mean, *variance)
    path.write_bytes(content)
    network = compile_network(graph)
    header = load_weights(path, graph, network)
    with torch.no_grad():
        (result,) = network(torch.tensor([6.0, 0.0]).reshape(1, 2, 1, 1))
    # 3 (6 - 4) / sqrt(.25 + .00001) + 1;  .5 (0 + 1) / sqrt(.00001 + .00001) - 2
    expected = [6 / math.sqrt(0.25001) + 1, 0.5 / math.sqrt(2e-5) - 2]
    assert result.flatten().tolist() == pytest.approx(expected)
    save_weights(again, graph, network, header)
    assert again.read_bytes() == content


def test_a_batchnorm_section_reads_its_scales_whatever_dontloadscales_says(tmp_path: Path) -> None:
    text = "[net]\nchannels=1\nheight=1\nwidth=1\n[batchnorm]\ndontloadscales=1\n"
    graph = compile_text(text, "x.cfg")
    path = tmp_path / "a.weights"
    path.write_bytes(struct.pack("<iiiQ4f", 0, 2, 5, 0, 1.0, 2.0, 0.0, 1.0))
    network = compile_network(graph)
    load_weights(path, graph, network)
    with torch.no_grad():
        (result,) = network(torch.full((1, 1, 1, 1), 3.0))
    assert result.item() == pytest.approx(1 + 6, abs=1e-4)


def test_l2norm_brings_each_pixel_to_length_one() -> None:
    image = torch.tensor([[3.0, 0.0], [-4.0, 0.0]]).reshape(1, 2, 1, 2)
    result = run("[l2norm]\n", image)
    assert result[0, :, 0, 0].tolist() == pytest.approx([0.6, -0.8])  # 3, -4 has length 5
    assert result[0, :, 0, 1].tolist() == [0.0, 0.0]
