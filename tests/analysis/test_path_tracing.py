"""Actual gradient paths: each step is a real edge, and the weight layers on it make its length."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tracing import trace
from yolo_gp.families import FAMILIES, FamilySettings, family_cfg
from yolo_gp.graph import Graph, compile_text, read_graph

PROJECT = Path(__file__).parent.parent.parent
RESIDUAL = family_cfg("residual", FamilySettings(layers=5, channels=4))


def steps(graph: Graph, index: int, timestamp: int) -> list[int]:
    """The layers of a path, checked: every one reads the one before it."""
    path = trace(graph, gradient_paths(graph), index, timestamp)
    for before, after in itertools.pairwise(path):
        assert before.node.index in [edge.source for edge in after.node.inputs]
        learned = after.node.layer.kind == "convolutional"
        assert after.timestamp == before.timestamp - learned
    assert path[0].timestamp == timestamp
    assert path[-1].timestamp == 1
    return [step.node.index for step in path]


def test_the_shortest_path_of_a_residual_network_takes_the_identities() -> None:
    # 0 conv, 1 conv, 2 conv, 3 add, 4 conv, 5 conv, 6 add = the loss
    graph = compile_text(RESIDUAL, "residual.cfg")
    assert steps(graph, 0, 1) == [0, 3, 6]


def test_the_longest_path_of_a_residual_network_goes_through_every_layer() -> None:
    graph = compile_text(RESIDUAL, "residual.cfg")
    assert steps(graph, 0, 5) == [0, 1, 2, 3, 4, 5, 6]


def test_a_path_stays_on_channels_that_lead_on() -> None:
    # Layer 0's channels 0-1 are cut off; only 2-3 reach the loss, as channels 0-1 of the slice.
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=4\nactivation=linear\n"
    graph = compile_text(text + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", "slice.cfg")
    path = trace(graph, gradient_paths(graph), 0, 1)
    assert [(step.node.index, step.channel) for step in path] == [(0, 2), (1, 0)]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(set(FAMILIES) - {"osa"})), st.integers(3, 9), st.data())
def test_every_timestamp_of_every_layer_has_a_path(
    family: str, layers: int, data: st.DataObject
) -> None:
    text = family_cfg(family, FamilySettings(layers=layers, channels=16))
    graph = compile_text(text, f"{family}.cfg")
    layer = data.draw(st.sampled_from(gradient_paths(graph).weight_layers))
    steps(graph, layer.node.index, data.draw(st.sampled_from(layer.timestamps)))


@pytest.mark.parametrize("name", ["elan", "yolov3-prn", "csp-resnext50", "pelee-prn"])
def test_real_networks_have_a_path_of_each_extreme_length(name: str) -> None:
    graph = read_graph(PROJECT / f"cfg/{name}.cfg")
    paths = gradient_paths(graph)
    first = paths.weight_layers[0]
    steps(graph, first.node.index, first.timestamps[0])
    steps(graph, first.node.index, first.timestamps[-1])
