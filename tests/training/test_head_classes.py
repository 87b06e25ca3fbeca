"""The cfg's own text with other classes or another size: nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.errors import UsageError
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.training.head_classes import with_classes, with_input_size
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


def test_classes_and_filters_change_and_nothing_else() -> None:
    # (3 + 5) * 2 anchors of the mask = 16
    changed = with_classes(CFG, compile_text(CFG, "x.cfg"), 3)
    assert changed == (
        CFG.replace(b"filters=14 ;", b"filters=16 ;")
        .replace(b"classes = 2 #", b"classes = 3 #")
        .replace(b"\ncounters_per_class=", b"\n# counters_per_class=")
    )
    assert compile_text(changed, "x.cfg").heads[0][1].num_classes == 3


def test_a_cfg_that_has_the_classes_stays_byte_for_byte() -> None:
    assert with_classes(CFG, compile_text(CFG, "x.cfg"), 2) == CFG


def test_a_cfg_without_classes_gets_the_line() -> None:
    # Without it Darknet takes 20: (20 + 5) * 2 = 50 channels.
    text = CFG.replace(b"classes = 2 # cat, dog\r\n", b"").replace(b"filters=14", b"filters=50")
    text = text.replace(b"counters_per_class=100,200\r\n", b"")
    changed = with_classes(text, compile_text(text, "x.cfg"), 3)
    assert changed == text.replace(b"filters=50", b"filters=16").replace(
        b"num=3\r\n", b"num=3\r\nclasses=3\r\n"
    )


@pytest.mark.parametrize("name", ["elan-nano", "elan-af-seg", "yolor-csp-seg", "yolov3-tiny-prn"])
def test_every_form_of_head_can_be_changed(name: str) -> None:
    path = data_root() / f"cfg/{name}.cfg"
    changed = with_classes(path.read_bytes(), read_graph(path), 3)
    graph = compile_text(changed, path.name)
    assert {head.num_classes for _, head in graph.heads} == {3}
    back = with_classes(changed, graph, 80)
    assert back == path.read_bytes()


def test_the_five_real_models_can_be_changed(shared: Path) -> None:
    for path in sorted((shared / "data/models").glob("*.cfg")):
        changed = with_classes(path.read_bytes(), read_graph(path), 3)
        assert compile_text(changed, path.name).heads[-1][1].num_classes == 3


def test_a_head_that_reads_no_convolution_is_refused() -> None:
    text = CFG.replace(b"\r\n[yolo]", b"\r\n[route]\r\nlayers=-1\r\n[yolo]")
    with pytest.raises(UsageError) as error:
        with_classes(text, compile_text(text, "x.cfg"), 3)
    assert str(error.value) == (
        "x.cfg:13:1: the classes of [yolo] cannot be changed: it reads layer 1 [route], and only "
        "a convolution's filters can be\n"
        "expected: a [convolutional] directly before the head\n"
        "help: write the cfg for the classes of the data by hand"
    )


def test_the_size_of_the_input_changes_in_place() -> None:
    changed = with_input_size(CFG, (96, 128))
    assert changed == CFG.replace(b"width=64 #", b"width=128 #").replace(b"height=64", b"height=96")
    assert compile_text(changed, "x.cfg").input_shape.size == (96, 128)
