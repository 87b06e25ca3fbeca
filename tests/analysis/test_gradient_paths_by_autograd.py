"""Path polynomials against torch autograd, on random small networks.

Every weight layer is replaced by a fixed linear map times z: ones over the channels it reads. Then
the gradient of the summed outputs with respect to a layer's output is its path polynomial in z,
divided by z. It is evaluated at as many whole z as it has coefficients, and interpolated.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from yolo_gp.analysis.gradient_paths import backward_pass
from yolo_gp.analysis.polynomials import Polynomial
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network
from yolo_gp.nodes import module_name

MOST_LAYERS = 9


class OnesTimesZ(nn.Module):
    """A weight layer as the definitions have it: every output is z times the sum of its group."""

    def __init__(self, out_channels: int, groups: int, z: int) -> None:
        super().__init__()
        self.out_channels, self.groups, self.z = out_channels, groups, z
        self.own = nn.Parameter(torch.zeros(()))  # a layer learns even if its input is cut off

    def forward(self, x: Tensor) -> Tensor:
        sums = x.reshape(len(x), self.groups, -1).sum(2) * self.z + self.own
        return sums.repeat_interleave(self.out_channels // self.groups, dim=1)[:, :, None, None]


class Recorder(fx.Interpreter):
    """Runs a network and keeps every layer's output, for its gradient."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.outputs: dict[str, Tensor] = {}

    def call_module(self, target: object, args: object, kwargs: object) -> object:
        output = super().call_module(target, args, kwargs)  # type: ignore[arg-type]
        # A leaf's view, so that layers which pass their input on have a gradient of their own.
        output = output * 1.0
        output.retain_grad()
        self.outputs[str(target)] = output
        return output


def gradients(graph: Graph, z: int) -> list[list[int] | None]:
    """By autograd: for each layer, d(sum of outputs) / d(channel), at that z."""
    network = compile_network(graph).double()
    for node in graph.nodes:
        if node.layer.kind == "convolutional":
            groups = getattr(node.layer, "groups")  # noqa: B009
            ones = OnesTimesZ(node.output_shape.channels, groups, z)
            network.set_submodule(module_name(node), ones)
    recorder = Recorder(network)
    image = torch.ones(1, graph.input_shape.channels, 1, 1, dtype=torch.float64)
    results = recorder.run(image.requires_grad_())
    sum(result.sum() for result in results).backward()
    found = []
    for node in graph.nodes:
        output = recorder.outputs.get(module_name(node))
        gradient = None if output is None else output.grad
        found.append(None if gradient is None else [int(n) for n in gradient.flatten()])
    return found


def interpolate(values: list[int]) -> list[int]:
    """The coefficients of the polynomial with these values at z = 0, 1, 2 and so on, exactly."""
    count = len(values)
    coefficients = [Fraction(0)] * count
    for place, value in enumerate(values):
        basis = [Fraction(1)]  # product over the other places m of (z - m) / (place - m)
        for other in range(count):
            if other != place:
                shifted = [Fraction(0), *basis]
                for power, factor in enumerate(basis):
                    shifted[power] -= other * factor
                basis = [factor / (place - other) for factor in shifted]
        for power, factor in enumerate(basis):
            coefficients[power] += value * factor
    assert all(coefficient.denominator == 1 for coefficient in coefficients)
    return [int(coefficient) for coefficient in coefficients]


def analysed(graph: Graph) -> list[list[Polynomial | None]]:
    """By the analysis: the polynomial of every channel of every layer."""
    found: list[list[Polynomial | None]] = [[] for _ in graph.nodes]
    for node, runs, _ in backward_pass(graph):
        channels: list[Polynomial | None] = [None] * node.output_shape.channels
        for run in runs:
            channels[run.first : run.end] = [run.value] * run.length
        found[node.index] = channels
    return found


def check(graph: Graph) -> None:
    points = [gradients(graph, z) for z in range(MOST_LAYERS + 2)]
    for node, channels in zip(graph.nodes, analysed(graph), strict=True):
        for channel, polynomial in enumerate(channels):
            values = [
                0 if (gradient := point[node.index]) is None else gradient[channel]
                for point in points
            ]
            counts = interpolate(values)
            expected = [
                polynomial.coefficient(power + 1) if polynomial else 0
                for power in range(len(counts))
            ]
            assert counts == expected, (node.index, channel)


@st.composite
def networks(draw: st.DrawFn) -> str:
    """A cfg of a few layers on 1x1 maps: convolutions, adds, joins, slices, stopped gradients."""
    text = "[net]\nwidth=1\nheight=1\nchannels=2\n"
    widths: list[int] = []
    weight_layers = 0

    def earlier() -> int:
        return draw(st.integers(0, len(widths) - 1))

    for _ in range(draw(st.integers(2, 12))):
        kinds = ["convolutional"] if not widths else ["route", "slice", "shortcut", "partial"]
        if weight_layers < MOST_LAYERS:
            kinds = [*kinds, "convolutional", "convolutional"]
        match draw(st.sampled_from(kinds)):
            case "convolutional":
                groups = draw(st.sampled_from([1, 2])) if not widths or widths[-1] % 2 == 0 else 1
                widths.append(groups * draw(st.integers(1, 3)))
                weight_layers += 1
                text += f"[convolutional]\nfilters={widths[-1]}\ngroups={groups}\n"
                text += "activation=linear\n"
            case "route":
                sources = draw(st.lists(st.integers(0, len(widths) - 1), min_size=1, max_size=3))
                text += f"[route]\nlayers={','.join(map(str, sources))}\n"
                widths.append(sum(widths[source] for source in sources))
            case "slice":
                source = earlier()
                groups = draw(st.sampled_from([n for n in (1, 2, 3) if widths[source] % n == 0]))
                group = draw(st.integers(0, groups - 1))
                text += f"[route]\nlayers={source}\ngroups={groups}\ngroup_id={group}\n"
                widths.append(widths[source] // groups)
            case "shortcut":
                stop = draw(st.sampled_from(["none", "none", "identity"]))
                text += f"[shortcut]\nfrom={earlier()}\nactivation=linear\nstop_gradient={stop}\n"
                widths.append(widths[-1])
            case "partial":
                source = earlier()
                count = draw(st.integers(1, min(widths[-1], widths[source])))
                text += f"[partial_shortcut]\nfrom={source}\nchannels={count}\n"
                widths.append(widths[-1])
    return text


@settings(max_examples=40, deadline=None)
@given(networks())
def test_path_polynomials_are_what_autograd_sums(text: str) -> None:
    check(compile_text(text, "random.cfg"))


def test_a_mixing_layer_without_weights_passes_all_channels_to_all() -> None:
    # Softmax mixes, but its derivative is no sum of ones: here each output is the sum of all.
    text = "[net]\nwidth=1\nheight=1\nchannels=2\n"
    text += "[convolutional]\nfilters=3\nactivation=linear\n[softmax]\n"
    graph = compile_text(text, "softmax.cfg")
    assert analysed(graph)[0] == [Polynomial(1, (3,))] * 3


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["identity", "block"]), st.integers(1, 3), st.integers(1, 4))
def test_stopped_gradients_are_what_autograd_sums(stop: str, blocks: int, width: int) -> None:
    conv = f"[convolutional]\nfilters={width}\nactivation=linear\n"
    block = f"{conv}{conv}[shortcut]\nfrom=-3\nactivation=linear\nstop_gradient={stop}\n"
    text = f"[net]\nwidth=1\nheight=1\nchannels=2\n{conv}{block * blocks}"
    check(compile_text(text, "stopped.cfg"))
