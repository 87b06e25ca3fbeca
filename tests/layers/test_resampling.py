"""[upsample] and [reorg] (darknet.md 2.7) against pixel loops and the closed form in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network

Array = NDArray[np.float32]


def run(section: str, image: Tensor) -> Array:
    """What the section gives for the images; the shape is checked against the graph's."""
    _, channels, height, width = image.shape
    net = f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n"
    graph = compile_text(net + section, "resampling.cfg")
    (result,) = compile_network(graph)(image)
    shape = graph.nodes[0].output_shape
    assert result.shape[1:] == (shape.channels, shape.height, shape.width)
    return np.asarray(result)


def counting(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 0.5, -2.0])
def test_upsample_repeats_pixels_times_scale(stride: int, scale: float) -> None:
    image = counting(2, 3, 2, 4)
    result = run(f"[upsample]\nstride={stride}\nscale={scale}\n", image)
    assert result.shape == (2, 3, 2 * stride, 4 * stride)
    for n, c, y, x in np.ndindex(*result.shape):
        assert result[n, c, y, x] == scale * image[n, c, y // stride, x // stride]


def test_upsample_doubles_by_default() -> None:
    result = run("[upsample]\n", counting(1, 1, 2, 2))
    assert result[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_upsample_by_a_negative_stride_sums_blocks_times_scale(stride: int, scale: float) -> None:
    image = counting(2, 2, 6, 12)
    result = run(f"[upsample]\nstride=-{stride}\nscale={scale}\n", image)
    assert result.shape == (2, 2, 6 // stride, 12 // stride)
    for n, c, y, x in np.ndindex(*result.shape):
        block = image[n, c, y * stride : (y + 1) * stride, x * stride : (x + 1) * stride]
        assert result[n, c, y, x] == scale * sum(block.flatten().tolist())


def shuffled(image: Array, stride: int) -> Array:
    """darknet.md 2.7's closed form: the flat buffer that [reorg] gives for a (C, H, W) map."""
    c, h, w = image.shape
    parts = image.reshape(c // stride**2, h, stride, w, stride)
    return parts.transpose(2, 4, 0, 1, 3).ravel()


REORG_CASES = [((4, 2, 2), 2), ((8, 4, 6), 2), ((9, 3, 6), 3), ((18, 6, 3), 3), ((5, 3, 4), 1)]


@pytest.mark.parametrize(("shape", "stride"), REORG_CASES)
def test_reorg_is_darknets_shuffle(shape: tuple[int, int, int], stride: int) -> None:
    images = counting(2, *shape)
    result = run(f"[reorg]\nstride={stride}\n", images)
    c, h, w = shape
    assert result.shape == (2, c * stride**2, h // stride, w // stride)
    for image, output in zip(images.numpy(), result, strict=True):
        assert np.array_equal(output.ravel(), shuffled(image, stride))


def test_reorg_by_hand() -> None:
    # Read flat, 4 x 2 x 2 is 1 x 4 x 4: rows 0 1 2 3, 4 5 6 7 ... Its even rows' even columns are
    # 0 2 8 10, the odd columns 1 3 9 11, the odd rows 4 6 12 14 and 5 7 13 15; sixteen channels.
    result = run("[reorg]\nstride=2\n", counting(1, 4, 2, 2))
    assert result.shape == (1, 16, 1, 1)
    assert result.ravel().tolist() == [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]


def test_reorg_is_no_plain_space_to_depth() -> None:
    image = counting(1, 4, 4, 4)
    plain = torch.nn.functional.pixel_unshuffle(image, 2).numpy()
    result = run("[reorg]\nstride=2\n", image)
    assert result.shape == plain.shape and not np.array_equal(result, plain)


@pytest.mark.parametrize(("shape", "stride"), REORG_CASES)
def test_reorg_reversed_undoes_the_shuffle_of_the_flat_map(
    shape: tuple[int, int, int], stride: int
) -> None:
    images = counting(2, *shape)
    c, h, w = shape
    # Both directions take (C, H, W) from their own input, so the shuffled buffer goes in as such.
    there = np.stack([shuffled(image, stride).reshape(shape) for image in images.numpy()])
    back = run(f"[reorg]\nstride={stride}\nreverse=1\n", torch.from_numpy(there))
    assert back.shape == (2, c // stride**2, h * stride, w * stride)
    assert np.array_equal(back.ravel(), images.numpy().ravel())
