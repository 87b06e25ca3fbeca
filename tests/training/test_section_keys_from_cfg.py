"""Training keys of sections, from the cfg's text to the optimiser."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.graph import compile_text, read_graph
from yolo_gp.layers.training_keys import SectionTraining
from yolo_gp.training.section_keys import held_until

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
CONV = "[convolutional]\nfilters=7\nactivation=linear\n"


def test_a_section_says_how_it_learns() -> None:
    graph = compile_text(f"{NET}{CONV}learning_rate=.5\nclip=2\n{CONV}", "x.cfg")
    assert graph.warnings == ()
    first, second = (node.layer.common.training for node in graph.nodes)
    assert (first.learning_rate, first.clip) == (0.5, 2.0)
    assert second == SectionTraining()


def test_a_training_key_without_a_value_is_a_warning() -> None:
    graph = compile_text(f"{NET}{CONV}stopbackward=\n", "x.cfg")
    assert [d.message for d in graph.warnings] == [
        "stopbackward has no value; Darknet drops the line"
    ]


def test_training_keys_of_a_section_keep_the_fingerprint() -> None:
    plain = compile_text(NET + CONV, "x.cfg")
    slow = compile_text(f"{NET}{CONV}learning_rate=.5\nstopbackward=1\n", "x.cfg")
    assert plain.fingerprint == slow.fingerprint


def test_a_published_cfg_holds_its_backbone_back_for_800_iterations(shared: Path) -> None:
    graph = read_graph(shared / "data/cfg-corpus/AlexeyAB-darknet/yolov4-custom.cfg")
    held = held_until(graph, burn_in=1000)
    stop = next(n.index for n in graph.nodes if n.layer.common.training.stop_backward)
    assert set(held[: stop + 1]) == {799} and set(held[stop + 1 :]) == {0}
