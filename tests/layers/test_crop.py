"""[crop] (darknet.md 2.11), and other kinds that OpenCV's importer reads, against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network

Array = NDArray[np.float32]


def run(text: str, image: Array) -> Array:
    with torch.no_grad():
        (result,) = compile_network(compile_text(text, "x.cfg"))(torch.from_numpy(image))
    return np.asarray(result)


def opencv(text: str, image: Array) -> Array:
    net = cv2.dnn.readNetFromDarknet(np.frombuffer(text.encode(), np.uint8))
    net.setInput(image)
    return np.asarray(net.forward())


def net(channels: int, height: int, width: int) -> str:
    return f"[net]\nchannels={channels}\nheight={height}\nwidth={width}\n"


def random_image(channels: int, height: int, width: int) -> Array:
    return np.random.default_rng(51).random((1, channels, height, width), dtype=np.float32)


def test_the_middle_is_cut_out_and_brought_to_minus_one_to_one() -> None:
    image = np.arange(20, dtype=np.float32).reshape(1, 1, 4, 5)
    # Rows start at (4 - 2) // 2 = 1, columns at (5 - 2) // 2 = 1: 6 7 / 11 12, times 2 less 1.
    section = "[crop]\ncrop_height=2\ncrop_width=2\n"
    assert run(net(1, 4, 5) + section, image).ravel().tolist() == [11, 13, 21, 23]
    kept = run(net(1, 4, 5) + section + "noadjust=1\n", image)
    assert kept.ravel().tolist() == [6, 7, 11, 12]


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (8, 9)])
def test_opencv_cuts_the_same(height: int, width: int) -> None:
    text = net(3, 8, 9) + f"[crop]\ncrop_height={height}\ncrop_width={width}\n"
    image = random_image(3, 8, 9)
    np.testing.assert_allclose(run(text, image), opencv(text, image), atol=1e-6)


@pytest.mark.parametrize(
    "section",
    ["[reorg]\nstride=2\n", "[upsample]\nstride=2\n", "[maxpool]\nsize=2\nstride=2\n",
     "[maxpool]\nsize=3\nstride=1\n", "[avgpool]\n", "[dropout]\n"],
)  # fmt: skip
def test_opencv_computes_the_same(section: str) -> None:
    text = net(8, 6, 4) + "[maxpool]\nsize=1\nstride=1\n" + section
    image = random_image(8, 6, 4)
    found = run(text, image)
    np.testing.assert_allclose(found, opencv(text, image).reshape(found.shape), atol=1e-6)


def test_a_crop_larger_than_the_map_is_refused() -> None:
    with pytest.raises(CfgError) as caught:
        compile_text(net(3, 8, 9) + "[crop]\ncrop_height=8\ncrop_width=10\n", "x.cfg")
    assert str(caught.value) == (
        "x.cfg:6:13: error: [crop] cannot cut 8x10 (height x width) out of the input, which is 8x9 "
        "[YG204]\n"
        "    6 | crop_height=8\n"
        "      |             ^\n"
        "expected: at most crop_height=8 and crop_width=9\n"
        "help: or a larger input"
    )
