"""Training steps as AlexeyAB's Darknet makes them on a CPU, faults included.

Training needs none of this: it exists to show, against weights that Darknet saved, that loss and
update are right. Where the CPU build departs from the gradient:

* A convolution overwrites the delta of the map it reads (col2im starts from zero). Readers further
  down the file have written theirs before, so they are forgotten: residual connections and second
  readers pass no gradient back.
* The delta of a [route] or [upsample] is never cleared between passes, so it adds up, unless a
  convolution overwrites it.
* Biases of batch norms do not learn.
* Batch norm divides by N - 1 where it normalises, and by N in the derivative.

Source: Darknet src/col2im.c, src/network.c forward_network, src/batchnorm_layer.c; found and
confirmed by comparing updates, tests/test_darknet_training.py. GPU builds do none of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from yolo_gp.graph import Graph
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.nodes import INPUT, Node, module_name


def with_overwritten_deltas(graph: Graph) -> Graph:
    """The graph whose edges carry a gradient only where Darknet's CPU build lets it arrive."""
    owner = _owners(graph)
    overwriter: dict[int, int] = {}
    for node in graph.nodes:
        if _convolves(node):
            overwriter.setdefault(owner[node.inputs[0].source], node.index)
    nodes = []
    for node in graph.nodes:
        edges = []
        for edge in node.inputs:
            first = overwriter.get(owner[edge.source], node.index)
            forgotten = node.index > first and node.layer.cpu_delta != "shared"
            edges.append(replace(edge, detached=edge.detached or forgotten))
        nodes.append(replace(node, inputs=tuple(edges)))
    return replace(graph, nodes=tuple(nodes))


def _owners(graph: Graph) -> dict[int, int]:
    """For each layer, the layer that holds its delta."""
    owner = {INPUT: INPUT}
    for node in graph.nodes:
        shares = node.layer.cpu_delta == "shared"
        owner[node.index] = owner[node.inputs[0].source] if shares else node.index
    return owner


def _convolves(node: Node) -> bool:
    return node.layer.cpu_delta == "overwrites"


def adapt(graph: Graph, network: fx.GraphModule) -> None:
    """Let a network compiled from such a graph train as Darknet's CPU build does."""
    overwritten = {node.inputs[0].source for node in graph.nodes if _convolves(node)}
    for node in graph.nodes:
        module = network.get_submodule(module_name(node))
        if isinstance(module, Convolution) and module.batch_norm is not None:
            module.batch_norm = _BatchNorm(module.batch_norm)
        if node.layer.cpu_delta == "kept" and node.index not in overwritten:
            network.set_submodule(module_name(node), _KeepsDelta(module))


class _BatchNorm(nn.BatchNorm2d):
    """Batch norm whose bias does not learn.  (N, C, H, W) -> the same; training only."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, eps=norm.eps, momentum=0.1)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        count = x.numel() // x.shape[1]
        mean = x.mean((0, 2, 3))
        variance = (x - mean[:, None, None]).square().sum((0, 2, 3)) / (count - 1)
        with torch.no_grad():
            for kept, new in ((self.running_mean, mean), (self.running_var, variance)):
                assert kept is not None and self.momentum is not None
                kept.lerp_(new, self.momentum)
        result: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            x, self.weight, mean.detach(), variance.detach(), self.eps
        )
        return result + self.bias[:, None, None]


class _Normalise(torch.autograd.Function):
    """weight * (x - mean) / sqrt(variance + eps), with Darknet's derivative.

    Source: Darknet src/batchnorm_layer.c backward_batchnorm_layer.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        centred = x - mean[:, None, None]
        scale = (variance + eps).rsqrt()[:, None, None]
        ctx.save_for_backward(centred, scale, weight)
        return centred * scale * weight[:, None, None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        centred, scale, weight = ctx.saved_tensors
        (gradient,) = gradients
        count = gradient.numel() // gradient.shape[1]
        by_weight = (gradient * centred * scale).sum((0, 2, 3))
        delta = gradient * weight[:, None, None]
        axes = (0, 2, 3)
        by_mean = -delta.sum(axes, keepdim=True) * scale
        by_variance = (delta * centred).sum(axes, keepdim=True) * -0.5 * scale**3
        by_x = delta * scale + (by_variance * 2 * centred + by_mean) / count
        return by_x, by_weight, None, None, None


class _KeepsDelta(nn.Module):
    """A layer whose delta adds up over passes, as nobody clears it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._kept: Tensor | None = None

    def forward(self, *maps: Tensor) -> Tensor:
        output: Tensor = self.module(*maps) * 1.0  # a tensor of its own, whatever the layer does
        if output.requires_grad:
            output.register_hook(self._add)  # type: ignore[no-untyped-call]
        return output

    def _add(self, gradient: Tensor) -> Tensor:
        self._kept = gradient if self._kept is None else self._kept + gradient
        return self._kept
