"""[upsample], [reorg], [reorg3d] (darknet.md 2.7) against loops and closed forms in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network
from yolo_gp.rules import Rule

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


# -- pjreddie's [reorg] ----------------------------------------------------------------------------


def test_flatten_orders_numbers_by_pixels_and_reverse_goes_back() -> None:
    image = counting(2, 3, 2, 4)
    flat = run("[reorg]\nflatten=1\n", image)
    assert flat.shape == image.shape
    assert np.array_equal(flat.reshape(2, -1), image.numpy().transpose(0, 2, 3, 1).reshape(2, -1))
    back = run("[reorg]\nflatten=1\nreverse=1\n", torch.from_numpy(flat))
    assert np.array_equal(back, image.numpy())


def test_flatten_has_the_shape_that_the_stride_says() -> None:
    image = counting(1, 3, 2, 4)
    result = run("[reorg]\nflatten=1\nstride=2\n", image)
    assert result.shape == (1, 12, 1, 2)
    assert np.array_equal(result.ravel(), image.numpy().transpose(0, 2, 3, 1).ravel())


def test_extra_appends_zeros_to_the_flat_map() -> None:
    result = run("[reorg]\nextra=3\n", counting(2, 2, 1, 2))
    assert result.shape == (2, 7, 1, 1)
    assert result[1].ravel().tolist() == [4, 5, 6, 7, 0, 0, 0]


@pytest.mark.parametrize("key", ["flatten=1", "extra=3"])
def test_pjreddies_keys_are_warned_of(key: str) -> None:
    net = "[net]\nchannels=2\nheight=4\nwidth=4\n"
    (warning,) = compile_text(f"{net}[reorg]\n{key}\n", "x.cfg").warnings
    assert warning.rule is Rule.PJREDDIES_KEY
    assert warning.message == (
        f"[reorg] {key} acts in pjreddie's Darknet, and here; AlexeyAB's ignores it"
    )
    assert not compile_text(f"{net}[reorg]\n{key.split('=')[0]}=0\n", "x.cfg").warnings


def test_flatten_and_extra_are_not_for_one_section() -> None:
    net = "[net]\nchannels=2\nheight=4\nwidth=4\n"
    with pytest.raises(CfgError, match="extra=3 beside flatten=1: pjreddie's Darknet reads past"):
        compile_text(f"{net}[reorg]\nflatten=1\nextra=3\n", "x.cfg")


# -- [reorg3d] -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "stride"), [((3, 4, 6), 2), ((4, 2, 2), 2), ((2, 9, 3), 3), ((5, 3, 4), 1)]
)
def test_reorg3d_is_space_to_depth_with_the_offset_first(
    shape: tuple[int, int, int], stride: int
) -> None:
    image = counting(2, *shape)
    result = run(f"[reorg3d]\nstride={stride}\n", image)
    channels, height, width = shape
    assert result.shape == (2, channels * stride**2, height // stride, width // stride)
    for n, dy, dx, c in np.ndindex(2, stride, stride, channels):
        expected = image[n, c, dy::stride, dx::stride].numpy()
        assert np.array_equal(result[n, (dy * stride + dx) * channels + c], expected)


@pytest.mark.parametrize(("shape", "stride"), [((16, 2, 3), 2), ((32, 1, 2), 2), ((81, 1, 2), 3)])
def test_reorg3d_reversed_is_the_inverse_shuffle_of_the_outputs_shape(
    shape: tuple[int, int, int], stride: int
) -> None:
    images = counting(2, *shape)
    channels, height, width = shape
    output = (channels // stride**2, height * stride, width * stride)
    # The shuffle of [reorg], taken over a map of the output's shape, leads back to the input.
    result = run(f"[reorg3d]\nstride={stride}\nreverse=1\n", images)
    assert result.shape == (2, *output)
    for image, found in zip(images.numpy(), result, strict=True):
        assert np.array_equal(shuffled(found, stride), image.ravel())
    if stride == 2:
        there = run(f"[reorg3d]\nstride={stride}\n", torch.from_numpy(result))
        assert not np.array_equal(there, images.numpy())  # it does not undo reverse=0


def test_reorg3d_reversed_needs_a_multiple_of_the_strides_fourth_power() -> None:
    net = "[net]\nchannels=8\nheight=4\nwidth=4\n"
    with pytest.raises(CfgError) as caught:
        compile_text(f"{net}[reorg3d]\nstride=2\nreverse=1\n", "x.cfg")
    assert caught.value.diagnostics[0].message == (
        "[reorg3d] stride=2 reverse=1 needs a multiple of 16 channels, the input has 8"
    )


def test_reorg3d_takes_any_number_of_channels_but_no_odd_size() -> None:
    with pytest.raises(CfgError) as caught:
        compile_text("[net]\nchannels=3\nheight=4\nwidth=5\n[reorg3d]\nstride=2\n", "x.cfg")
    assert caught.value.diagnostics[0].message == (
        "[reorg3d] stride=2 does not divide the input, which is 4x5"
    )
