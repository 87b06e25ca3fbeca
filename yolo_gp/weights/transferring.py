"""Carrying out a plan of weight surgery: tensors from one torch network into another."""

from __future__ import annotations

import torch
from torch import fx

from yolo_gp.weights.tensors import check_unfolded, tensor_of
from yolo_gp.weights.transfer_plan import TransferPlan


@torch.no_grad()
def apply_transfer(
    plan: TransferPlan, source_network: fx.GraphModule, target_network: fx.GraphModule
) -> None:
    """Copy what the plan moves into the target network, in place; the rest stays as it is.

    The networks are those of the plan's graphs. They may lie on different devices and hold
    different dtypes; numbers are converted.

    Raises:
        WeightsError: a network's batch norms have been folded; nothing has been copied.
    """
    given = [tensor for move in plan.moves for tensor in move.source.tensors]
    filled = [tensor for move in plan.moves for tensor in move.target.tensors]
    check_unfolded(source_network, given)
    check_unfolded(target_network, filled)
    for source, target in zip(given, filled, strict=True):
        tensor_of(target_network, target).copy_(tensor_of(source_network, source))
