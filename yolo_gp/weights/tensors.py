"""The tensors of a compiled network, as weights files name them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, fx

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph
from yolo_gp.weights.layout import NetworkTensor, network_tensors

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""How numbers can be stored."""


def tensor_of(network: fx.GraphModule, tensor: NetworkTensor) -> Tensor:
    """The network's own tensor of that name, to read or to fill."""
    name, _, attribute = tensor.name.rpartition(".")
    found = getattr(network.get_submodule(name), attribute)
    assert isinstance(found, Tensor)
    return found


def check_unfolded(network: fx.GraphModule, tensors: Iterable[NetworkTensor]) -> None:
    """Refuse a network whose batch norms have been folded into its convolutions.

    Raises:
        WeightsError: it has, so a file could not be read back into the cfg's network.
    """
    held = set(network.state_dict(keep_vars=True))
    for tensor in tensors:
        if tensor.name not in held:
            raise WeightsError(
                f"the network has no {tensor}: its batch norms were folded for inference\n"
                "help: save before folding, or compile the cfg and load its weights again"
            )


def stored_as(value: Tensor, name: str, dtype: str) -> Tensor:
    """A tensor as a file holds it: on the CPU, contiguous, of that dtype.

    Raises:
        WeightsError: a number of it is too large for the dtype.
    """
    value = value.detach().cpu()
    stored = value.to(DTYPES[dtype]).contiguous()
    if stored.dtype != value.dtype and not torch.equal(stored.isfinite(), value.isfinite()):
        raise WeightsError(
            f"{name} goes up to {value.abs().max().item():g}, which {dtype} cannot hold\n"
            f"expected: at most {torch.finfo(DTYPES[dtype]).max:g}\n"
            "help: take bfloat16 or float32"
        )
    return stored


def has_batch_norms(graph: Graph) -> bool:
    """Whether the network normalises batches anywhere."""
    return any(_is_variance(tensor) for tensor in network_tensors(graph))


@torch.no_grad()
def adopt_epsilon(graph: Graph, network: fx.GraphModule, epsilon: float) -> None:
    """Make a network compute what its weights did where batch norms had that epsilon.

    The epsilon stands beside the variance under the same root, so the difference to that of the
    cfg's dialect is added to every running variance.
    """
    own = graph.dialect.batch_norm_epsilon
    for tensor in filter(_is_variance, network_tensors(graph)):
        tensor_of(network, tensor).add_(epsilon - own)


def _is_variance(tensor: NetworkTensor) -> bool:
    return tensor.block.tensor.endswith(".running_var")
