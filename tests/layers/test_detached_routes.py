"""[route2], [route3] and [route_lhalf]: values against torch.cat, cuts against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name

NET = "[net]\nchannels=3\nheight=4\nwidth=6\n"
CONV = "[convolutional]\nfilters={}\nactivation=linear\n"
TWO = CONV.format(4) + CONV.format(5)  # layers 0 and 1
THREE = TWO + CONV.format(6)


def built(sections: str) -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(NET + sections, "test.cfg")
    network = compile_network(graph)
    initialise(network, 1)
    return graph, network


def image() -> Tensor:
    return torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(2))


def plain(network: fx.GraphModule, graph: Graph) -> list[Tensor]:
    """What the convolutions give, one after the other, by torch's own function."""
    x, found = image(), []
    for node in graph.nodes[:-1]:
        conv = network.get_submodule(f"{module_name(node)}.convolution")
        assert isinstance(conv, nn.Conv2d)
        x = nn.functional.conv2d(x, conv.weight, conv.bias)
        found.append(x)
    return found


@pytest.mark.parametrize(
    ("sections", "order"),
    [
        (f"{TWO}[route2]\nlayers=-1,0\n", (1, 0)),
        (f"{TWO}[route2]\nlayers=0,-1\n", (0, 1)),
        (f"{THREE}[route3]\nlayers=-2,-1,0\n", (1, 2, 0)),
    ],
)
def test_only_the_first_source_gets_a_gradient_of_its_own(
    sections: str, order: tuple[int, ...]
) -> None:
    graph, network = built(sections)
    found = network(image())[0]
    maps = plain(network, graph)
    joined = torch.cat([maps[order[0]], *(maps[source].detach() for source in order[1:])], dim=1)
    assert torch.allclose(found, torch.cat([maps[source] for source in order], dim=1), atol=1e-6)
    parameters = list(network.parameters())
    ours = torch.autograd.grad(found.square().sum(), parameters, allow_unused=True)
    theirs = torch.autograd.grad(joined.square().sum(), parameters, allow_unused=True)
    for own, other in zip(ours, theirs, strict=True):
        assert (own is None) == (other is None)
        assert own is None or other is None or torch.allclose(own, other, rtol=1e-4, atol=1e-5)
    # A convolution behind the first source learns nothing.
    reached = [gradient is not None for gradient in ours[::2]]
    assert reached == [source <= order[0] for source in range(len(maps))]
    edges = graph.nodes[-1].inputs
    assert [edge.detached for edge in edges] == [False] + [True] * (len(order) - 1)


def test_the_analysis_of_gradients_sees_the_cut() -> None:
    graph, _ = built(f"{TWO}[route2]\nlayers=-1,0\n")
    paths = gradient_paths(graph)
    # Without the cut layer 0 would be reached at timestamp 1 too, past layer 1.
    assert [layer.timestamps for layer in paths.layers] == [(2,), (1,), (1,)]
    whole = gradient_paths(compile_text(f"{NET}{TWO}[route]\nlayers=-1,0\n", "test.cfg"))
    assert whole.layers[0].timestamps == (1, 2)


def test_route2_joins_only_maps_of_one_size() -> None:
    with pytest.raises(CfgError) as caught:
        built(f"{TWO}[maxpool]\nsize=2\nstride=2\n[route2]\nlayers=-1,0\n")
    assert "[route2] joins maps of different size: layer 2 is 2x3, layer 0 is 4x6" in str(
        caught.value
    )


def test_lhalf_joins_the_first_halves_rounded_down() -> None:
    graph, network = built(f"{TWO}[route_lhalf]\nlayers=-1,0\n")
    first, second = plain(network, graph)
    expected = torch.cat((second[:, :2], first[:, :2]), dim=1)  # of 5 channels 2, of 4 channels 2
    with torch.no_grad():
        assert torch.allclose(network(image())[0], expected, atol=1e-6)
    assert graph.nodes[-1].output_shape.channels == 4


def test_lhalf_of_one_source_is_its_first_half() -> None:
    graph, network = built(f"{TWO}[route_lhalf]\nlayers=-2\n")
    with torch.no_grad():
        found = network(image())[0]
    assert torch.allclose(found, plain(network, graph)[0][:, :2], atol=1e-6)


def test_lhalf_of_one_channel_is_an_error() -> None:
    with pytest.raises(CfgError) as caught:
        built(f"{CONV.format(1)}[route_lhalf]\nlayers=-1\n")
    assert str(caught.value).startswith(
        "test.cfg:9:8: error: [route_lhalf] finds no half of the one channel of layer 0 [YG205]\n"
    )


def test_lhalf_joins_only_maps_of_one_size() -> None:
    with pytest.raises(CfgError) as caught:
        built(f"{TWO}[maxpool]\nsize=2\nstride=2\n[route_lhalf]\nlayers=-1,0\n")
    assert "[route_lhalf] joins maps of different size: layer 2 is 2x3, layer 0 is 4x6" in str(
        caught.value
    )
