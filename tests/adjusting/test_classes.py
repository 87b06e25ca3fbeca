"""The cfg's own text with other classes: heads, what makes their maps, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.adjusting.classes import with_classes
from yolo_gp.adjusting.input_size import with_input_size
from yolo_gp.errors import Diagnostics, UsageError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers import LAYERS
from yolo_gp.layers.base import Head
from yolo_gp.spec import specify
from yolo_gp.syntax import parse_cfg
from yolo_gp.zoo import data_root

CFG = b"""[net]\r
width=64 # of the input\r
height=64\r
channels=3\r
# before the head\r
[convolutional]\r
filters=14 ; (2 + 5) * 2\r
size=1\r
activation=linear\r
\r
[yolo]\r
mask=0,1\r
anchors=8,8, 16,16, 32,32\r
classes = 2 # cat, dog\r
num=3\r
counters_per_class=100,200\r
"""


def changed(text: bytes, classes: int) -> bytes:
    """The text with so many classes; it need not compile."""
    diagnostics = Diagnostics()
    spec = specify(parse_cfg(text, "x.cfg", diagnostics), diagnostics)
    assert spec is not None
    return with_classes(text, spec, classes)


def compiled(text: bytes) -> Graph:
    return compile_text(text, "x.cfg")


def refusal(text: bytes, classes: int) -> str:
    with pytest.raises(UsageError) as error:
        changed(text, classes)
    return str(error.value)


def test_classes_and_filters_change_and_nothing_else() -> None:
    # (3 + 5) * 2 anchors of the mask = 16
    new = changed(CFG, 3)
    assert new == (
        CFG.replace(b"filters=14 ;", b"filters=16 ;")
        .replace(b"classes = 2 #", b"classes = 3 #")
        .replace(b"\ncounters_per_class=", b"\n# counters_per_class=")
    )
    assert compiled(new).heads[0][1].num_classes == 3


def test_a_cfg_that_has_the_classes_stays_byte_for_byte() -> None:
    assert changed(CFG, 2) == CFG


def test_a_cfg_without_classes_gets_the_line() -> None:
    # Without it Darknet takes 20: (20 + 5) * 2 = 50 channels.
    text = CFG.replace(b"classes = 2 # cat, dog\r\n", b"").replace(b"filters=14", b"filters=50")
    text = text.replace(b"counters_per_class=100,200\r\n", b"")
    assert changed(text, 3) == text.replace(b"filters=50", b"filters=16").replace(
        b"num=3\r\n", b"num=3\r\nclasses=3\r\n"
    )


def test_filters_that_were_forgotten_are_mended() -> None:
    # classes=3 written by hand, filters still for 2: the commonest mistake of all.
    text = CFG.replace(b"classes = 2", b"classes = 3").replace(b"counters_per_class", b"# was")
    assert changed(text, 3) == text.replace(b"filters=14", b"filters=16")


@pytest.mark.parametrize("name", ["elan-nano", "elan-af-seg", "yolor-csp-seg", "yolov3-tiny-prn"])
def test_every_form_of_head_can_be_changed(name: str) -> None:
    path = data_root() / f"cfg/{name}.cfg"
    new = changed(path.read_bytes(), 3)
    assert {head.num_classes for _, head in compile_text(new, path.name).heads} == {3}
    assert changed(new, 80) == path.read_bytes()


def test_the_five_real_models_can_be_changed(shared: Path) -> None:
    for path in sorted((shared / "data/models").glob("*.cfg")):
        new = with_classes(path.read_bytes(), read_graph(path).spec, 3)
        assert compile_text(new, path.name).heads[-1][1].num_classes == 3


NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
FREE_HEAD = "[anchor_free]\nfrom=@box,@class\nclasses=2\nbins=4\n"
HEADS = {
    # for each kind of head: what makes its map and the head, for 2 classes; for 3 classes by hand
    "yolo": (  # 2 anchors: (5 + 3) * 2
        "[convolutional]\nfilters=14\n[yolo]\nmask=0,1\nnum=2\nanchors=8,8, 9,9\nclasses=2\n",
        "filters=16",
    ),
    "Gaussian_yolo": (  # each of 4 coordinates has a variance: (4 + 4 + 1 + 3) * 2
        "[convolutional]\nfilters=22\n[Gaussian_yolo]\nmask=0,1\nnum=2\nanchors=8,8, 9,9\n"
        "classes=2\n",
        "filters=24",
    ),
    "region": (  # (4 + 1 + 3) * 2
        "[convolutional]\nfilters=14\n[region]\nnum=2\nanchors=1,1, 2,2\nclasses=2\nsoftmax=1\n",
        "filters=16",
    ),
    "detection": (  # 3 * 3 cells, 2 boxes of 4 + 1, 3 classes of the cell: 9 * (10 + 3)
        "[connected]\noutput=108\nactivation=linear\n"
        "[detection]\nclasses=2\ncoords=4\nside=3\nnum=2\n",
        "output=117",
    ),
    "anchor_free": (
        "[convolutional]\nname=box\nfilters=16\n[route]\nlayers=-2\n"
        f"[convolutional]\nname=class\nfilters=2\n{FREE_HEAD}",
        "filters=3",
    ),
}


@pytest.mark.parametrize("kind", sorted(kind for kind, of in LAYERS.items() if Head in of.__mro__))
def test_what_makes_the_map_of_each_kind_of_head_grows_as_counted_by_hand(kind: str) -> None:
    sections, grown = HEADS[kind]
    text = (f"{NET}[convolutional]\nfilters=8\n" + sections).encode()
    graph = compiled(text)
    (node, head) = graph.heads[0]
    read = tuple(shape.elements // shape.height // shape.width for shape in node.input_shapes)
    assert head.map_channels(2) == read
    new = changed(text, 3)
    assert grown in new.decode().splitlines()
    assert compiled(new).heads[0][1].num_classes == 3
    assert changed(new, 2) == text


def test_what_lies_between_and_hands_channels_on_is_passed() -> None:
    # YOLOR scales the map by a learned vector, which must be as long.
    text = CFG.replace(
        b"\r\n[yolo]",
        b"\r\n[implicit_mul]\r\nfilters=14\r\n[dropout]\r\n[route]\r\nlayers=-3\r\n"
        b"[control_channels]\r\nfrom=-3\r\n[yolo]",
    )
    assert changed(text, 3) == (
        text.replace(b"filters=14", b"filters=16")
        .replace(b"classes = 2", b"classes = 3")
        .replace(b"\ncounters", b"\n# counters")
    )


def test_the_layer_whose_weights_are_shared_grows_as_well() -> None:
    # Sections 1 and 3 read the stem alike; 3, before the head, takes the weights of 1.
    convolution = b"[convolutional]\r\nfilters=14\r\nactivation=linear\r\n"
    start = CFG[: CFG.index(b"# before")] + convolution.replace(b"14", b"8") + convolution
    text = (
        start
        + b"[route]\r\nlayers=0\r\n"
        + convolution.replace(b"filters", b"share_index=1\r\nfilters")
        + CFG[CFG.index(b"[yolo]") : CFG.index(b"counters")]
    )
    new = changed(text, 3)
    assert new == text.replace(b"filters=14", b"filters=16").replace(b"classes = 2", b"classes = 3")
    assert compiled(new).heads[0][1].num_classes == 3


def test_a_map_joined_of_several_is_refused() -> None:
    text = CFG.replace(b"filters=14 ; (2 + 5) * 2", b"filters=7").replace(
        b"\r\n[yolo]", b"\r\n[route]\r\nlayers=-1,-1\r\n[yolo]"
    )
    assert compiled(text).heads
    assert refusal(text, 3) == (
        "x.cfg:13:1: the classes of [yolo] cannot be changed: it reads layer 1 [route], whose "
        "channels cannot be set for it\n"
        "expected: a [convolutional] before the head, and nothing between that changes channels\n"
        "help: write the cfg for the classes of the data by hand"
    )


def test_a_residual_sum_of_other_widths_is_refused() -> None:
    # The shortcut adds the 14 channels that both have; the layer with 20 is not the head's own.
    wide = b"[convolutional]\r\nfilters=20\r\n[convolutional]"
    text = CFG.replace(b"[convolutional]", wide, 1)
    text = text.replace(b"\r\n[yolo]", b"\r\n[shortcut]\r\nfrom=-2\r\n[yolo]")
    assert "reads layer 0 [convolutional], whose channels cannot be set" in refusal(text, 3)


def test_a_head_that_reads_the_input_is_refused() -> None:
    head = CFG[CFG.index(b"[yolo]") :]
    text = CFG[: CFG.index(b"# before")].replace(b"channels=3", b"channels=14") + head
    assert "it reads the network's input, whose channels" in refusal(text, 3)


def test_two_heads_that_need_different_widths_of_one_layer_are_refused() -> None:
    # The second head has one anchor, and reads the same map: with any classes one of them is wrong.
    text = CFG + b"[route]\r\nlayers=0\r\n[yolo]\r\nmask=0\r\nanchors=8,8\r\nclasses=9\r\n"
    assert refusal(text, 3) == (
        "x.cfg:19:1: the classes of [yolo] cannot be changed: another head needs 16 channels of "
        "layer 0 [convolutional], this one 8\n"
        "expected: heads alike, or a layer before each"
    )


def test_the_size_of_the_input_changes_in_place() -> None:
    new = with_input_size(CFG, (96, 128))
    assert new == CFG.replace(b"width=64 #", b"width=128 #").replace(b"height=64", b"height=96")
    assert compiled(new).input_shape.size == (96, 128)
