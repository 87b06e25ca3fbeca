"""What makes two networks the same, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.graph import compile_text, read_graph
from yolo_gp.zoo import packaged_cfgs

TEXT = """[net]
width=32
height=32
channels=3
[convolutional]
filters=8
size=3
pad=1
activation=leaky
[convolutional]
filters=8
activation=linear
[shortcut]
from=-2
[dropout]
probability=.3
[convolutional]
filters=12
activation=linear
[yolo]
mask=0,1
anchors=1,2, 3,4, 5,6
num=3
classes=1
ignore_thresh=.7
"""


def mark(text: str) -> str:
    return compile_text(text, "x.cfg").fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width=32", "width=64"),
        ("ignore_thresh=.7", "ignore_thresh=.5"),
        ("[dropout]\nprobability=.3\n", ""),
        ("[dropout]\nprobability=.3\n", "# a comment\n\n[route]\nlayers=-1\n"),
        ("from=-2\n", "from=0\n"),
        ("from=-2\n", "from=-2\nstop_gradient=identity\n"),
        ("5,6", "7,8"),  # an anchor that the mask leaves out
        ("[yolo]", "[yolo]\nname=head"),
    ],
)
def test_a_change_that_computes_the_same_keeps_the_fingerprint(old: str, new: str) -> None:
    assert old in TEXT
    assert mark(TEXT.replace(old, new, 1)) == mark(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("channels=3", "channels=1"),
        ("activation=leaky", "activation=mish"),
        ("size=3\npad=1", "size=1"),
        ("size=3", "size=3\nbatch_normalize=1"),
        ("3,4", "3,5"),
        ("mask=0,1", "mask=1,2"),
        ("classes=1", "classes=1\nscale_x_y=1.05"),
        ("classes=1", "classes=1\nnew_coords=1"),
        ("[shortcut]\nfrom=-2\n", "[route]\nlayers=-1\n"),
    ],
)
def test_a_change_of_the_computation_changes_the_fingerprint(old: str, new: str) -> None:
    assert old in TEXT
    assert mark(TEXT.replace(old, new, 1)) != mark(TEXT)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("elan", "yolov7"),
        ("elan-tiny", "yolov7-tiny"),
        ("yolov7x", "yolov7x"),
        ("yolov3", "yolov3"),
        ("yolov3-tiny", "yolov3-tiny"),
        ("yolov3-spp", "yolov3-spp"),
        ("yolov4", "yolov4"),
        ("yolov4-tiny", "yolov4-tiny"),
        ("yolov4-csp", "yolov4-csp"),
        ("yolor-csp", "yolov4-csp-swish"),
        ("yolov4x-mish", "yolov4x-mish"),
    ],
)
def test_a_packaged_cfg_has_the_fingerprint_of_the_network_whose_weights_it_takes(
    shared: Path, ours: str, theirs: str
) -> None:
    corpus = read_graph(shared / f"data/cfg-corpus/AlexeyAB-darknet/{theirs}.cfg")
    assert read_graph(packaged_cfgs()[ours]).fingerprint == corpus.fingerprint
