"""Which edges carry a layer's gradient at which timestamp, against a walk channel by channel."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tracing import trace
from yolo_gp.drawing.lighting import layer_times, light
from yolo_gp.families import FAMILIES, FamilySettings, family_cfg
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.channel_flow import Mixes, Passes

CFG = Path(__file__).parent.parent.parent / "cfg"

Place = tuple[int, int]
"""A layer and a channel of its output."""
Hop = tuple[tuple[int, int], Place, int]
"""The edge (target, input), where it leads, and what it costs in timestamps."""


def lit(graph: Graph, layer: int) -> dict[tuple[int, int], list[int]]:
    found = light(graph, gradient_paths(graph)).of(layer)
    return {edge: list(times) for edge, times in found.items()}


def channel_pairs(way: Passes | Mixes, sources: int, targets: int) -> list[tuple[int, int]]:
    """Every (input channel, output channel) of a way, one by one."""
    if isinstance(way, Passes):
        return [(way.start + n, way.target + n) for n in range(way.count)]
    group, width = sources // way.groups, targets // way.groups
    return [(c, o) for c in range(sources) for o in range(targets) if c // group == o // width]


def hops(graph: Graph) -> dict[Place, list[Hop]]:
    """Where each channel leads, forward."""
    found: dict[Place, list[Hop]] = defaultdict(list)
    for node in graph.nodes:
        for way in node.layer.channel_flow(node.input_shapes, node.output_shape):
            edge = node.inputs[way.input]
            if edge.source < 0 or edge.detached:
                continue
            cost = int(isinstance(way, Mixes) and way.learned)
            sizes = (node.input_shapes[way.input].channels, node.output_shape.channels)
            for source, target in channel_pairs(way, *sizes):
                hop = ((node.index, way.input), (node.index, target), cost)
                found[edge.source, source].append(hop)
    return found


def walked(graph: Graph, layer: int) -> dict[tuple[int, int], list[int]]:
    """What `lit` should be: every path from the layer's channels on, without intervals."""
    onward, last = hops(graph), len(graph.nodes) - 1
    times: dict[Place, set[int]] = {}
    for node in reversed(graph.nodes):
        for channel in range(node.output_shape.channels):
            place = (node.index, channel)
            times[place] = {1} if node.index == last else set()
            for _, target, cost in onward[place]:
                times[place] |= {time + cost for time in times[target]}
    found: dict[tuple[int, int], set[int]] = defaultdict(set)
    here = {(layer, channel) for channel in range(graph.nodes[layer].output_shape.channels)}
    seen = set(here)
    while here:
        place = here.pop()
        if place[0] == last:
            found[last + 1, 0].add(1)
        for edge, target, cost in onward[place]:
            found[edge] |= {time + cost for time in times[target]}
            if target not in seen:
                seen.add(target)
                here.add(target)
    return {edge: sorted(found[edge]) for edge in found if found[edge]}


@st.composite
def networks(draw: st.DrawFn) -> str:
    """A cfg of a few layers on 1x1 maps: convolutions, joins, slices, partial and cut shortcuts."""
    text = "[net]\nwidth=1\nheight=1\nchannels=2\n[convolutional]\nfilters=4\nactivation=linear\n"
    widths = [4]
    for _ in range(draw(st.integers(2, 9))):
        source = draw(st.integers(0, len(widths) - 1))
        match draw(st.sampled_from(["conv", "conv", "join", "slice", "cut", "partial"])):
            case "conv":
                groups = draw(st.sampled_from([1, 2])) if widths[-1] % 2 == 0 else 1
                widths.append(groups * draw(st.integers(1, 3)))
                text += f"[convolutional]\nfilters={widths[-1]}\ngroups={groups}\n"
                text += "activation=linear\n"
            case "join":
                text += f"[route]\nlayers=-1,{source}\n"
                widths.append(widths[-1] + widths[source])
            case "slice":
                groups = 2 if widths[source] % 2 == 0 else 1
                text += f"[route]\nlayers={source}\ngroups={groups}\ngroup_id={groups - 1}\n"
                widths.append(widths[source] // groups)
            case "cut":
                stop = draw(st.sampled_from(["none", "identity"]))
                text += f"[shortcut]\nfrom={source}\nactivation=linear\nstop_gradient={stop}\n"
                widths.append(widths[-1])
            case "partial":
                count = draw(st.integers(1, min(widths[-1], widths[source])))
                text += f"[partial_shortcut]\nfrom={source}\nchannels={count}\n"
                widths.append(widths[-1])
    return text


def test_a_residual_networks_first_layer_is_lit_as_fig_7_of_the_paper_draws_it() -> None:
    # 0 conv, 1 conv, 2 conv, 3 adds 0 to 2, 4 conv, 5 conv, 6 adds 3 to 5, then the loss.
    # The loss gives 6 its gradient at 1, and so 5, and by the identity 3, 2 and, by the next, 0.
    # Crossing 5: 4 at 2. Crossing 4: 3 at 3, too, and so 2 and 0. Crossing 2: 1 one later than 2.
    # Crossing 1: 0 at 3, and, of what came later, at 5.
    graph = compile_text(family_cfg("residual", FamilySettings(layers=5, channels=4)), "r.cfg")
    assert lit(graph, 0) == {
        (7, 0): [1],
        (6, 0): [1],  # from 5
        (6, 1): [1],  # from 3
        (5, 0): [2],
        (4, 0): [3],
        (3, 0): [1, 3],  # from 2
        (3, 1): [1, 3],  # from 0
        (2, 0): [2, 4],
        (1, 0): [3, 5],
    }
    # Layer 4 is crossed by 5 alone.
    assert lit(graph, 4) == {(7, 0): [1], (6, 0): [1], (5, 0): [2]}


def test_a_path_over_channels_that_do_not_lead_on_is_dark() -> None:
    # 1 and 2 read a half of 0's channels each; 3 joins them. What leaves 1 never crosses 2.
    half = "[route]\nlayers=0\ngroups=2\ngroup_id={}\n"
    conv = "[convolutional]\nfilters=4\nactivation=linear\n"
    net = "[net]\nwidth=1\nheight=1\nchannels=2\n"
    text = net + conv + half.format(0) + conv + half.format(1) + "[route]\nlayers=2,3\n"
    # 0 conv, 1 half, 2 conv of it, 3 other half, 4 join of 2 and 3, the loss reads 4
    graph = compile_text(text, "halves.cfg")
    assert lit(graph, 1) == {(2, 0): [2], (4, 0): [1], (5, 0): [1]}
    assert lit(graph, 3) == {(4, 1): [1], (5, 0): [1]}


def test_a_layer_behind_a_cut_edge_stays_dark() -> None:
    # 1 is read by the shortcut 4 alone, whose identity carries no gradient
    conv = "[convolutional]\nfilters=4\nactivation=linear\n"
    cut = "[shortcut]\nfrom=1\nactivation=linear\nstop_gradient=identity\n"
    net = "[net]\nwidth=1\nheight=1\nchannels=2\n"
    text = net + conv + conv + "[route]\nlayers=0\n" + conv + cut + conv
    assert lit(compile_text(text, "cut.cfg"), 1) == {}


@settings(max_examples=60, deadline=None)
@given(networks(), st.data())
def test_lit_edges_are_those_that_a_walk_over_channels_finds(
    text: str, data: st.DataObject
) -> None:
    graph = compile_text(text, "random.cfg")
    layer = data.draw(st.integers(0, len(graph.nodes) - 1))
    assert lit(graph, layer) == walked(graph, layer)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"osa"}))
def test_lit_edges_of_families_are_those_of_a_walk(family: str) -> None:
    text = family_cfg(family, FamilySettings(layers=7, channels=8))
    graph = compile_text(text, f"{family}.cfg")
    for node in graph.nodes:
        assert lit(graph, node.index) == walked(graph, node.index)


@pytest.mark.parametrize("name", ["yolov3-tiny-prn", "elan-nano", "yolor-csp-stop-block-seg"])
def test_traced_paths_run_over_lit_edges_at_their_timestamps(name: str) -> None:
    graph = read_graph(CFG / f"{name}.cfg")
    paths = gradient_paths(graph)
    lighting = light(graph, paths)
    for layer in paths.weight_layers:
        edges = lighting.of(layer.node.index)
        times = layer_times(graph, edges)
        assert tuple(times.get(layer.node.index, ())) == layer.timestamps
        for timestamp in layer.timestamps[:: max(1, len(layer.timestamps) // 3)]:
            steps = trace(graph, paths, layer.node.index, timestamp)
            for before, after in itertools.pairwise(steps):
                found = [
                    list(edges.get((after.node.index, number), ()))
                    for number, edge in enumerate(after.node.inputs)
                    if edge.source == before.node.index
                ]
                assert any(before.timestamp in lit_at for lit_at in found)


def test_every_head_lights_the_edge_it_reads() -> None:
    graph = read_graph(CFG / "yolov3-tiny.cfg")
    edges = lit(graph, 0)
    heads = [node.index for node, _ in graph.heads]
    assert [edges[head, 0] for head in heads] == [[1], [1]]
