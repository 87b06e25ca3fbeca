"""[softmax] (darknet.md 2.9), and what [dropout] and [cost] pass on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network


def run(section: str, image: Tensor, *, training: bool = False) -> Tensor:
    _, channels, height, width = image.shape
    net = f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n"
    network = compile_network(compile_text(net + section, "softmax.cfg"))
    (result,) = network.train(training)(image)
    assert isinstance(result, Tensor)
    return result


def image_of(*shape: int) -> Tensor:
    return 3 * torch.randn(2, *shape, generator=torch.Generator().manual_seed(12))


def softmax(values: list[float], temperature: float = 1.0) -> list[float]:
    largest = max(value / temperature for value in values)
    powers = [math.exp(value / temperature - largest) for value in values]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize(("groups", "temperature"), [(1, 1.0), (2, 1.0), (3, 0.5), (1, 4.0)])
def test_each_of_the_groups_of_the_flat_map_sums_to_one(groups: int, temperature: float) -> None:
    image = image_of(6, 2, 1)
    result = run(f"[softmax]\ngroups={groups}\ntemperature={temperature}\n", image)
    assert result.shape == image.shape
    size = 12 // groups
    for values, found in zip(image.flatten(1).tolist(), result.flatten(1).tolist(), strict=True):
        for start in range(0, 12, size):
            expected = softmax(values[start : start + size], temperature)
            assert found[start : start + size] == pytest.approx(expected, rel=1e-5)
            assert sum(found[start : start + size]) == pytest.approx(1.0, rel=1e-5)


def test_groups_may_cut_through_channels() -> None:
    image = image_of(2, 3, 1)  # three groups of two numbers; the second spans both channels
    result = run("[softmax]\ngroups=3\n", image)
    assert (result[:, 0, 2] + result[:, 1, 0]).flatten().tolist() == pytest.approx([1.0, 1.0])


def test_spatial_softmax_is_taken_over_the_channels_of_each_pixel() -> None:
    image = image_of(3, 2, 4)
    result = run("[softmax]\nspatial=1\ntemperature=2\n", image)
    for n in range(2):
        for y in range(2):
            for x in range(4):
                expected = softmax(image[n, :, y, x].tolist(), 2.0)
                assert result[n, :, y, x].tolist() == pytest.approx(expected, rel=1e-5)


def test_large_values_do_not_overflow() -> None:
    image = torch.tensor([1000.0, 1000.0]).reshape(1, 2, 1, 1)
    assert run("[softmax]\n", image).flatten().tolist() == [0.5, 0.5]


def test_cost_passes_its_input() -> None:
    image = image_of(3, 2, 2)
    assert torch.equal(run("[cost]\ntype=sse\n", image), image)


def test_dropout_passes_everything_at_inference() -> None:
    image = image_of(3, 2, 2)
    assert torch.equal(run("[dropout]\nprobability=0.9\n", image), image)


def test_dropout_zeroes_its_share_in_training_and_scales_the_rest() -> None:
    torch.manual_seed(13)
    result = run("[dropout]\nprobability=.75\n", torch.ones(1, 1, 100, 100), training=True)
    assert set(result.flatten().tolist()) == {0.0, 4.0}
    # 2500 of 10 000 are kept on average, with a standard deviation of 43.
    assert abs(int((result > 0).sum()) - 2500) < 5 * 43


def test_dropout_drops_a_fifth_by_default() -> None:
    torch.manual_seed(14)
    result = run("[dropout]\n", torch.ones(1, 1, 100, 100), training=True)
    assert abs(int((result == 0).sum()) - 2000) < 5 * 40
