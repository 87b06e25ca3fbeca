"""[route] (darknet.md 2.4): joins channels in the order of `layers`, whole or sliced."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise

# Maps of 4, 6 and 2 channels: layers 0, 1 and 2.
SOURCES = """[net]
channels=4
height=3
width=5
[maxpool]
[convolutional]
filters=6
activation=linear
[convolutional]
filters=2
activation=linear
"""


def routed(keys: str) -> tuple[Graph, Tensor, list[Tensor]]:
    """The graph, what [route] gives, and the maps of layers 0, 1 and 2."""
    graph = compile_text(f"{SOURCES}[route]\n{keys}", "route.cfg")
    network = compile_network(graph)
    initialise(network, seed=9)
    maps = [torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(10))]
    for number in (1, 2):
        maps.append(network.get_submodule(f"convolutional_{number}")(maps[-1]).detach())
    (result,) = network(maps[0])
    assert isinstance(result, Tensor)
    return graph, result.detach(), maps


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("0", [0]),
        ("-1", [2]),
        ("-1,0", [2, 0]),
        ("0,-1", [0, 2]),
        ("-2,2,0", [1, 2, 0]),
        ("1,1,-3", [1, 1, 0]),
    ],
)
def test_sources_are_joined_in_the_order_written(layers: str, expected: list[int]) -> None:
    _, result, maps = routed(f"layers={layers}\n")
    joined = [channel for source in expected for channel in maps[source].unbind(1)]
    assert torch.equal(result, torch.stack(joined, 1))


def test_route_to_layer_zero_reads_the_first_layer() -> None:
    graph, result, maps = routed("layers=0\n")
    assert torch.equal(result, maps[0])
    assert [edge.source for edge in graph.nodes[-1].inputs] == [0]


@pytest.mark.parametrize("group", [0, 1])
def test_every_source_is_sliced_before_they_are_joined(group: int) -> None:
    _, result, maps = routed(f"layers=2,0,1\ngroups=2\ngroup_id={group}\n")
    # Slices of 1 of 2, 2 of 4 and 3 of 6 channels.
    expected = [
        maps[source][:, group * width : (group + 1) * width]
        for source, width in ((2, 1), (0, 2), (1, 3))
    ]
    assert result.shape[1] == 6
    assert torch.equal(result, torch.cat(expected, 1))


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_third_of_six_channels_is_two(group: int) -> None:
    _, result, maps = routed(f"layers=1\ngroups=3\ngroup_id={group}\n")
    assert torch.equal(result, maps[1][:, 2 * group : 2 * group + 2])


def test_group_zero_is_the_default() -> None:
    _, result, maps = routed("layers=0\ngroups=4\n")
    assert torch.equal(result, maps[0][:, :1])


def test_route_costs_nothing() -> None:
    graph, _, _ = routed("layers=0,1,2\n")
    cost = graph.nodes[-1].cost
    assert (cost.params, cost.macs, cost.darknet_operations) == (0, 0, 0)
    assert cost.activations == 12 * 3 * 5
