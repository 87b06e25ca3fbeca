"""How the tests of macros look at an expansion: as lines of text, and by its gradient paths."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.route import Route
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.network import compile_network
from yolo_gp.nodes import INPUT, Edge, Node

# One image of 8 channels and a layer of 8 channels before the macro: the x of zoo.md C.4, layer 0.
NET = "[net]\nchannels=8\nheight=32\nwidth=32\n"
X = "[convolutional]\nname=x\nfilters=8\nactivation=linear\n"


def written(edge: Edge) -> str:
    """A source; `!` if no gradient goes back there."""
    source = "image" if edge.source == INPUT else str(edge.source)
    return source + "!" * edge.detached


def line(node: Node) -> str:
    """One layer: filters x size with what is not usual, and the layers it reads."""
    layer = node.layer
    sources = ", ".join(map(written, node.inputs))
    if isinstance(layer, Convolutional):
        assert layer.stride == (1, 1) and layer.padding == layer.kernel_size // 2
        text = f"conv {layer.out_channels} {layer.kernel_size}x{layer.kernel_size}"
        text += f" in {layer.groups} groups" * (layer.groups > 1)
        text += f" {layer.activation}" * (layer.activation != "leaky")
        return f"{text}{' bias' * (not layer.batch_norm)} < {sources}"
    if isinstance(layer, Route):
        part = f"slice {layer.group_id} of {layer.groups}"
        return f"{'route' if layer.groups == 1 else part} < {sources}"
    if isinstance(layer, PartialShortcut):
        (count,) = layer.added_channels(node.input_shapes)
        return f"add {count} channels {layer.activation} < {sources}"
    assert isinstance(layer, Shortcut)
    return f"add {layer.activation} < {sources}"


def expanded(sections: str, before: str = X) -> Graph:
    return compile_text(NET + before + sections, "m.cfg", strict=True)


@pytest.fixture
def expand() -> Callable[[str], list[str]]:
    """A macro's text to the layers behind layer 0, from layer 1 on."""
    return lambda sections: [line(node) for node in expanded(sections).nodes[1:]]


@pytest.fixture
def complaint() -> Callable[[str], str]:
    """A macro's text to all that is said of it, the macro's header being line 8."""

    def find(sections: str) -> str:
        with pytest.raises(CfgError) as caught:
            expanded(sections)
        return "\n\n".join(diagnostic.render() for diagnostic in caught.value.diagnostics)

    return find


def output_gradients(graph: Graph, weight: float) -> list[float]:
    """The loss's gradient at each convolution's output, all weights alike, no activations."""
    network = compile_network(graph).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(weight if parameter.dim() > 1 else 0.0)
    outputs: list[torch.Tensor] = []
    for node in graph.nodes:
        if isinstance(node.layer, Convolutional):
            module = network.get_submodule(f"convolutional_{node.index}")
            module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    (result,) = network(torch.ones(1, 8, 1, 1, dtype=torch.float64))
    gradients = torch.autograd.grad(result.sum(), outputs)
    return [float(gradient.sum()) for gradient in gradients]


@pytest.fixture
def path_lengths() -> Callable[[str], tuple[int, int]]:
    """Longest shortest path and longest path of a network of linear 1x1 convolutions.

    With every weight z, the gradient at a layer's output is the sum of z ** (t - 1) over its paths
    to the loss, t - 1 the weight layers crossed: the least power rules where z is tiny, the
    greatest where it is huge.
    """

    def find(sections: str) -> tuple[int, int]:
        graph = expanded(sections).with_input_size((1, 1))

        def powers(z: float) -> list[int]:
            pairs = zip(output_gradients(graph, z), output_gradients(graph, 2 * z), strict=True)
            return [round(math.log2(double / single)) for single, double in pairs]

        return max(powers(1e-9)) + 1, max(powers(1e9)) + 1

    return find
