"""[maxpool], [local_avgpool] and [avgpool] against plain loops over windows (darknet.md 2.3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network

Grid = list[list[float]]


def pooled(
    image: Grid,
    size: int,
    strides: tuple[int, int],
    padding: int,
    reduce: Callable[[Sequence[float]], float],
) -> Grid:
    """Darknet's window: out = (in + padding - size) // stride + 1, first tap at -(padding // 2)."""
    height, width = len(image), len(image[0])
    result = []
    for row in range((height + padding - size) // strides[0] + 1):
        line = []
        for column in range((width + padding - size) // strides[1] + 1):
            top = row * strides[0] - padding // 2
            left = column * strides[1] - padding // 2
            taps = [
                image[y][x]
                for y in range(top, top + size)
                for x in range(left, left + size)
                if 0 <= y < height and 0 <= x < width
            ]
            line.append(reduce(taps))
        result.append(line)
    return result


def mean(taps: Sequence[float]) -> float:
    return sum(taps) / len(taps)


def run(section: str, image: Tensor) -> Tensor:
    _, channels, height, width = image.shape
    net = f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n"
    graph = compile_text(net + section, "pooling.cfg")
    (result,) = compile_network(graph)(image)
    shape = graph.nodes[0].output_shape
    assert result.shape == (1, shape.channels, shape.height, shape.width)
    assert isinstance(result, Tensor)
    return result


def image_of(height: int, width: int) -> Tensor:
    """Two channels, all values below 0: a padding that counted as 0 would win."""
    generator = torch.Generator().manual_seed(height * 100 + width)
    return -1 - torch.rand(1, 2, height, width, generator=generator)


def check(kind: str, keys: str, image: Tensor, window: tuple[int, tuple[int, int], int]) -> None:
    result = run(f"[{kind}]\n{keys}", image)
    reduce = max if kind == "maxpool" else mean
    for channel in range(2):
        expected = torch.tensor(pooled(image[0, channel].tolist(), *window, reduce))
        torch.testing.assert_close(result[0, channel], expected, rtol=1e-6, atol=1e-6)


KINDS = ("maxpool", "local_avgpool")
STRIDES = ((1, 1), (2, 2), (3, 3), (1, 2), (3, 1))
SIZES = ((7, 8), (1, 5))
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_windows_are_darknets_for_every_stride_and_padding(kind: str, size: int) -> None:
    compared = 0
    for (stride_y, stride_x), (height, width) in itertools.product(STRIDES, SIZES):
        for padding in range(2 * size - 1):
            if min(height, width) + padding < size:
                continue
            keys = f"size={size}\nstride_y={stride_y}\nstride_x={stride_x}\npadding={padding}\n"
            window = (size, (stride_y, stride_x), padding)
            check(kind, keys, image_of(height, width), window)
            compared += 1
    assert compared >= 10


@each_kind
@pytest.mark.parametrize("size", [5, 9, 13])
def test_spatial_pyramid_pooling_keeps_a_13x13_map(kind: str, size: int) -> None:
    image = image_of(13, 13)
    check(kind, f"stride=1\nsize={size}\n", image, (size, (1, 1), size - 1))
    assert run(f"[{kind}]\nstride=1\nsize={size}\n", image).shape == image.shape


@each_kind
def test_size_2_stride_1_looks_right_and_down(kind: str) -> None:
    image = torch.tensor([[[[-1.0, -2.0], [-3.0, -4.0]]]])
    expected = {
        "maxpool": [[-1.0, -2.0], [-3.0, -4.0]],
        "local_avgpool": [[-2.5, -3.0], [-3.5, -4.0]],
    }
    assert run(f"[{kind}]\nsize=2\nstride=1\n", image)[0, 0].tolist() == expected[kind]


@pytest.mark.parametrize(
    ("keys", "side", "expected"),
    [
        ("size=2\nstride=2\n", 9, 5),  # the examples of darknet.md 2.3
        ("size=2\nstride=1\n", 9, 9),
        ("size=3\nstride=2\n", 10, 5),
        ("size=3\nstride=2\n", 9, 5),
    ],
)
def test_default_padding_is_size_minus_one(keys: str, side: int, expected: int) -> None:
    assert run(f"[maxpool]\n{keys}", image_of(side, side)).shape[2:] == (expected, expected)


@each_kind
def test_the_default_size_is_the_stride(kind: str) -> None:
    check(kind, "stride=3\n", image_of(8, 9), (3, (3, 3), 2))
    check(kind, "stride=2\nstride_x=3\n", image_of(8, 9), (2, (2, 3), 1))
    image = image_of(4, 4)
    assert torch.equal(run(f"[{kind}]\n", image), image)


def test_maxpool_passes_a_map_of_minus_infinities() -> None:
    image = torch.full((1, 1, 6, 6), -torch.inf)
    for size in (2, 3, 5):
        assert torch.equal(run(f"[maxpool]\nsize={size}\nstride=1\n", image), image)


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 7])
def test_maxpool_depth_takes_every_nth_channel_together(outputs: int) -> None:
    image = torch.randn(2, 7, 3, 4, generator=torch.Generator().manual_seed(9))
    section = f"[maxpool]\nmaxpool_depth=1\nout_channels={outputs}\nsize=2\nstride=2\n"
    graph = compile_text(f"[net]\nchannels=7\nheight=3\nwidth=4\n{section}", "pooling.cfg")
    (result,) = compile_network(graph)(image)
    assert result.shape == (2, outputs, 3, 4)  # size and stride count for nothing
    for group in range(outputs):
        together = torch.stack([image[:, c] for c in range(group, 7, outputs)])
        assert torch.equal(result[:, group], together.max(0).values)


def test_maxpool_depth_leaves_one_channel_by_default() -> None:
    image = image_of(3, 3)
    assert torch.equal(run("[maxpool]\nmaxpool_depth=1\n", image), image.amax(1, keepdim=True))


def test_maxpool_depth_cannot_make_channels() -> None:
    text = "[net]\nchannels=3\nheight=4\nwidth=4\n[maxpool]\nmaxpool_depth=1\nout_channels=4\n"
    with pytest.raises(CfgError) as caught:
        compile_text(text, "x.cfg")
    assert str(caught.value) == (
        "x.cfg:7:14: error: [maxpool] cannot take the maximum over the input's 3 channels in "
        "out_channels=4 runs [YG203]\n"
        "    7 | out_channels=4\n"
        "      |              ^\n"
        "expected: out_channels up to 3"
    )


def test_avgpool_is_the_mean_of_the_whole_map() -> None:
    image = image_of(5, 7)
    result = run("[avgpool]\n", image)
    expected = [mean([v for row in channel for v in row]) for channel in image[0].tolist()]
    torch.testing.assert_close(result.flatten(), torch.tensor(expected))
    assert result.shape == (1, 2, 1, 1)


def test_gradient_of_maxpool_goes_to_the_largest_value() -> None:
    image = torch.tensor([[[[1.0, 5.0, 2.0], [3.0, 4.0, 9.0], [0.0, 8.0, 7.0]]]])
    for size, stride, expected in (
        # Windows of 2 by 2 at (0, 0), (0, 2), (2, 0), (2, 2): 5, 9, 8, 7 win once each.
        (2, 2, [[0, 1, 0], [0, 0, 1], [0, 1, 1]]),
        # Every 5 by 5 window sees the whole map: 9 wins nine times.
        (5, 1, [[0, 0, 0], [0, 0, 9], [0, 0, 0]]),
    ):
        image = image.detach().requires_grad_()
        run(f"[maxpool]\nsize={size}\nstride={stride}\n", image).sum().backward()
        assert image.grad is not None
        assert image.grad[0, 0].tolist() == expected
