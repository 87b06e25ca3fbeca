"""Graph to torch: a `torch.fx.GraphModule` whose generated code reads like the cfg.

The module takes images (N, C, H, W), normally in 0..1, and returns a tuple with the map each head
reads, in file order; a network without heads returns its last layer's output. fx frees each map
after its last reader. Input of another size than the graph's is fine as long as the layers fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn

from yolo_gp.graph import Graph
from yolo_gp.layers.convolution_modules import Convolution, PackedConvolution
from yolo_gp.layers.modules import WeightedShortcut
from yolo_gp.layers.parameter_modules import Initialised
from yolo_gp.layers.recurrent_modules import Recurrent
from yolo_gp.nodes import INPUT, Edge, module_name


def compile_network(graph: Graph, device: torch.device | str = "cpu") -> fx.GraphModule:
    """Build the torch module of a graph, in evaluation mode, its parameters uninitialised.

    Fill them with `initialise` or from a weights file before use.
    """
    with torch.device("meta"):
        modules = {
            module_name(node): node.layer.module(node.input_shapes, node.output_shape)
            for node in graph.nodes
        }
    network = fx.GraphModule(nn.ModuleDict(modules), _trace(graph), class_name="Network")
    for name, module in modules.items():
        if not hasattr(network, name):  # fx drops what it never calls; its weights must load
            network.add_submodule(name, module)
    network.to_empty(device=device)
    _share_parameters(network, graph)
    return network.eval()


def _trace(graph: Graph) -> fx.Graph:
    """The fx graph: one call per layer whose value somebody reads."""
    trace = fx.Graph()
    values: dict[int, fx.Node] = {INPUT: trace.placeholder("image", type_expr=Tensor)}

    def read(edge: Edge) -> fx.Node:
        value = values[edge.source]
        return trace.call_method("detach", (value,)) if edge.detached else value

    read_by_output = {edge.source for edge in graph.output_edges}
    needed = _needed(graph, read_by_output)
    for node in graph.nodes:
        if node.index in needed:
            name = module_name(node)
            arguments = tuple(read(edge) for edge in node.inputs)
            value = trace.create_node("call_module", name, arguments, name=name)
            values[node.index] = value if node.inputs else _for_each_image(trace, value)
    trace.output(tuple(read(edge) for edge in graph.output_edges))
    trace.lint()
    return trace


def _for_each_image(trace: fx.Graph, value: fx.Node) -> fx.Node:
    """A map that depends on no image, (1, C, H, W), as (N, C, H, W)."""
    image = next(iter(trace.nodes))
    count = trace.call_method("size", (image, 0))
    return trace.call_method("expand", (value, count, -1, -1, -1))


def _needed(graph: Graph, outputs: set[int]) -> set[int]:
    """The layers whose value reaches an output."""
    needed = set(outputs)
    for node in reversed(graph.nodes):
        if node.index in needed:
            needed.update(edge.source for edge in node.inputs)
    return needed


def _share_parameters(network: fx.GraphModule, graph: Graph) -> None:
    for node in graph.nodes:
        if node.weights_of is not None:
            user = network.get_submodule(module_name(node))
            owner = network.get_submodule(module_name(graph.nodes[node.weights_of]))
            assert isinstance(user, Convolution) and isinstance(owner, Convolution)
            user.share_parameters_of(owner)


def initialise(network: fx.GraphModule, seed: int) -> None:
    """Fill all parameters as Darknet does before training, repeatably.

    Weights uniform within sqrt(2 / inputs per output), biases 0, batch norm the identity.
    """
    initialise_module(network, torch.Generator().manual_seed(seed))


@torch.no_grad()
def initialise_module(module: nn.Module, generator: torch.Generator) -> None:
    """`initialise` for one layer's module, drawing from `generator`."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            bound = math.sqrt(2.0 / part.weight[0].numel())
            drawn = torch.empty(part.weight.shape).uniform_(-bound, bound, generator=generator)
            part.weight.copy_(drawn)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | WeightedShortcut):
            part.reset_parameters()
        elif isinstance(part, Initialised):
            part.initialise(generator)


def fold_batch_norm(network: fx.GraphModule, graph: Graph) -> None:
    """Fold every convolution's batch norm into its weights, in place. For inference only."""
    for node in graph.nodes:
        if node.weights_of is None:
            for part in network.get_submodule(module_name(node)).modules():
                if isinstance(part, Convolution):
                    part.fold_batch_norm()
    _share_parameters(network, graph)


def pack_for_cpu(network: fx.GraphModule, graph: Graph) -> None:
    """Replace a folded float32 network's convolutions, in place, by ones packed for this CPU.

    Does nothing where torch lacks the operators; the results are the same to rounding.
    """
    if not PackedConvolution.is_available():
        return
    for node in graph.nodes:
        name = module_name(node)
        for path, part in list(network.get_submodule(name).named_modules(prefix=name)):
            if isinstance(part, Convolution) and not part.xnor:
                packed = PackedConvolution(part, node.input_shapes[0].size)
                network.set_submodule(path, packed)


def to_channels_last(network: fx.GraphModule) -> None:
    """Lay out convolution weights, in place, as convolutions over channels-last maps want them."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


def read_as_sequences(
    network: nn.Module, *, time_steps: int = 1, carry_state: bool = False
) -> None:
    """Say what the maps of a batch are to recurrent layers.

    By default each is a sequence of its own, which starts at a state of zeros. In training every
    call starts there.

    Args:
        time_steps: T. A batch of T * N maps holds T steps of N sequences, step after step: the
            first map of each sequence, then the second of each.
        carry_state: each call goes on where the one before ended, until `reset_state`.
    """
    for layer in _recurrent(network):
        layer.time_steps = time_steps
        layer.carries_state = carry_state


def reset_state(network: nn.Module) -> None:
    """Let recurrent layers forget the maps that they were given."""
    for layer in _recurrent(network):
        layer.state = None


def _recurrent(network: nn.Module) -> Iterator[Recurrent]:
    return (module for module in network.modules() if isinstance(module, Recurrent))
