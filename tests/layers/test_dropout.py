"""[dropout] in training, of single numbers and of squares (darknet.md 2.8, 6.9)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.graph import compile_text
from yolo_gp.layers.dropout_modules import DropBlock
from yolo_gp.network import compile_network

CHANNELS, HEIGHT, WIDTH = 400, 9, 12


def compiled(keys: str) -> fx.GraphModule:
    net = f"[net]\nchannels={CHANNELS}\nheight={HEIGHT}\nwidth={WIDTH}\n"
    return compile_network(compile_text(f"{net}[dropout]\n{keys}", "x.cfg"))


def block(keys: str) -> DropBlock:
    module = compiled("dropblock=1\n" + keys).get_submodule("dropout_0")
    assert isinstance(module, DropBlock)
    return module.train()


def dropped(module: DropBlock, seed: int = 0) -> Tensor:
    """(C, H, W): what a map of ones loses."""
    torch.manual_seed(seed)
    return module(torch.ones(1, CHANNELS, HEIGHT, WIDTH))[0] == 0


def squares(losses: Tensor) -> list[tuple[int, int]]:
    """(height, width) of what is lost in each channel that loses something; it is a rectangle."""
    found = []
    for channel in losses:
        if channel.any():
            rows, columns = channel.any(1).nonzero().flatten(), channel.any(0).nonzero().flatten()
            box = channel[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert box.all()
            found.append((box.shape[0], box.shape[1]))
    return found


@pytest.mark.parametrize("keys", ["", "dropblock=1\n"])
def test_nothing_is_dropped_at_inference(keys: str) -> None:
    image = torch.rand(1, CHANNELS, HEIGHT, WIDTH)
    (result,) = compiled(f"probability=0.9\n{keys}")(image)
    assert torch.equal(result, image)


@pytest.mark.parametrize(
    ("keys", "side"),
    [
        ("", 7),  # Darknet's default
        ("dropblock_size_abs=4\n", 4),
        ("dropblock_size_abs=4.9\n", 4),  # read as a float, cut to an integer
        ("dropblock_size_rel=0.5\n", 4),  # half of 9 rows is less than half of 12 columns
        ("dropblock_size_abs=2\ndropblock_size_rel=0.5\n", 2),  # cells come before the share
        ("dropblock_size_abs=40\n", 9),  # no larger than the map
        ("dropblock_size_rel=0.01\n", 1),
        ("dropblock_size_rel=1.5\n", 9),
    ],
)
def test_a_channel_loses_one_square(keys: str, side: int) -> None:
    found = squares(dropped(block(f"probability=0.3\n{keys}")))
    assert len(found) > 20
    assert set(found) == {(side, side)}


def test_as_many_channels_lose_a_square_as_the_draws_say() -> None:
    # That none of a channel's 108 numbers draws less than .02 / 9 has a chance of .9978 ** 108.
    module = block("probability=0.02\ndropblock_size_abs=3\n")
    share = 1 - (1 - 0.02 / 9) ** 108
    counts = [len(squares(dropped(module, seed))) / CHANNELS for seed in range(10)]
    assert sum(counts) / 10 == pytest.approx(share, abs=0.03)


def test_probability_and_squares_grow_with_progress() -> None:
    module = block("probability=0.02\ndropblock_size_abs=6\n")
    module.progress = 0.0
    assert not dropped(module).any()
    module.progress = 0.5
    found = squares(dropped(module))
    assert set(found) == {(3, 3)}  # half of 6
    share = 1 - (1 - 0.01 / 9) ** 108  # half of .02, over 3 x 3
    counts = [len(squares(dropped(module, seed))) / CHANNELS for seed in range(10)]
    assert sum(counts) / 10 == pytest.approx(share, abs=0.03)


def test_a_training_makes_them_grow_until_85_percent_of_it() -> None:
    module = block("")
    grown = []
    for iteration in (1, 17, 34, 35, 40):  # of 40, so that all is grown at 34
        module.follow(iteration / 40)
        grown.append(module.progress)
    assert grown == pytest.approx([1 / 34, 0.5, 1, 1, 1])


def test_what_is_left_of_an_image_is_scaled_up_to_the_whole() -> None:
    torch.manual_seed(1)
    result = block("probability=0.2\n")(torch.ones(3, CHANNELS, HEIGHT, WIDTH))
    for image in result:
        kept = (image > 0).float().mean()
        assert 0 < kept < 1
        torch.testing.assert_close(image[image > 0], torch.full_like(image[image > 0], 1 / kept))


def test_plain_dropout_drops_single_numbers() -> None:
    network = compiled("probability=0.25\n").train()
    torch.manual_seed(2)
    (result,) = network(torch.ones(1, CHANNELS, HEIGHT, WIDTH))
    assert (result == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert result.unique().tolist() == pytest.approx([0, 1 / 0.75])
