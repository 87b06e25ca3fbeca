"""Recipe to torch optimiser: which parameter learns how fast, decays, and is left alone when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, fx, nn
from torch.optim import Optimizer

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.dialect_modules import LearnedMap
from yolo_gp.layers.modules import WeightedShortcut
from yolo_gp.layers.parameter_modules import Implicit
from yolo_gp.nodes import module_name
from yolo_gp.training.recipe import Recipe
from yolo_gp.training.schedule import DarknetSchedule, RunLength
from yolo_gp.training.section_keys import FOREVER, held_until

Args = tuple[object, ...]
Kwargs = dict[str, object]
Role = Literal["weight", "shortcut", "implicit", "norm", "bias"]


_LARGEST_HOLD = 0.1  # of a run that is not as long as its cfg says


@dataclass(frozen=True, slots=True)
class Group:
    """What the parameters of one group have in common.

    Fields:
        role: weights of convolutions and connected layers; of weighted shortcuts; numbers that
            depend on no image; weights of batch norms; biases of all of them.
        multiplier: their rate is that of the network times this.
        held_until: they do not learn up to this iteration.
        clip: their weights stay within +-clip; 0 for no bound.
    """

    role: Role
    multiplier: float
    held_until: int
    clip: float


def build_optimiser(graph: Graph, network: fx.GraphModule, recipe: Recipe) -> Optimizer:
    """An optimiser over the parameters that learn; those that never do no longer need gradients.

    A parameter that several layers share goes by the keys of the first. Each group carries its
    `Group` as plain entries, so that its state can be saved; `set_rates` must precede each step.

    Args:
        recipe: one that `fit_to_data` returned.

    Raises:
        UsageError: no layer learns.
    """
    members_of = _groups(graph, network, recipe)
    if not members_of:
        raise UsageError(
            f"{graph.spec.net.span.file}: no layer learns, so there is nothing to train\n"
            "expected: a layer behind those that --freeze, stopbackward or onlyforward hold back"
        )
    groups = [
        {
            "params": members,
            "role": group.role,
            "multiplier": group.multiplier,
            "held_until": group.held_until,
            "clip": group.clip,
            "held": False,
            "weight_decay": recipe.decay if _decays(group.role, recipe) else 0.0,
        }
        for group, members in members_of.items()
    ]
    optimiser: Optimizer
    if recipe.adam is not None:
        optimiser = torch.optim.Adam(
            groups, lr=0.0, betas=recipe.adam.betas, eps=recipe.adam.epsilon
        )
    else:
        # torch wants a momentum for Nesterov's; set_rates replaces it
        optimiser = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=recipe.nesterov)
    optimiser.register_step_pre_hook(_forget_held)
    optimiser.register_step_post_hook(_clip)
    return optimiser


def set_rates(optimiser: Optimizer, recipe: Recipe, iteration: int) -> float:
    """Prepare the update of an iteration, the first of which is number 1.

    Returns:
        The learning rate of weights.
    """
    assert recipe.run is not None, "the recipe's length is not known"
    rates = recipe.schedule.rates(iteration, recipe.run)
    for group in optimiser.param_groups:
        rate = rates.biases if group["role"] == "bias" else rates.weights
        group["lr"] = rate * group["multiplier"]
        group["held"] = iteration <= group["held_until"]
        if recipe.adam is None:
            group["momentum"] = rates.momentum
    return rates.weights


def _groups(
    graph: Graph, network: fx.GraphModule, recipe: Recipe
) -> dict[Group, list[nn.Parameter]]:
    """The parameters that learn, in the order of the file."""
    assert recipe.run is not None, "the recipe's length is not known"
    held = held_until(
        graph, recipe.schedule.burn_in(recipe.run), at_most=_longest_hold(recipe, recipe.run)
    )
    groups: dict[Group, list[nn.Parameter]] = {}
    seen: set[int] = set()
    for node in graph.nodes:
        keys = node.layer.common.training
        for role, parameter in _parameters(network.get_submodule(module_name(node))):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if held[node.index] == FOREVER:
                parameter.requires_grad_(False)
            if parameter.requires_grad:
                clip = keys.clip if role in ("weight", "shortcut") else 0.0
                group = Group(role, keys.learning_rate, int(held[node.index]), clip)
                groups.setdefault(group, []).append(parameter)
    return groups


def _longest_hold(recipe: Recipe, run: RunLength) -> float:
    """A cfg's numbers of iterations are meant for its own max_batches."""
    schedule = recipe.schedule
    if isinstance(schedule, DarknetSchedule) and run.iterations == schedule.keys.max_batches:
        return FOREVER
    return run.iterations * _LARGEST_HOLD


def _parameters(module: nn.Module) -> Iterator[tuple[Role, nn.Parameter]]:
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            yield _role(part, name), parameter


def _role(part: nn.Module, name: str) -> Role:
    if name == "bias":
        return "bias"
    if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
        return "norm"
    if isinstance(part, Implicit | LearnedMap):
        return "implicit"
    return "shortcut" if isinstance(part, WeightedShortcut) else "weight"


def _decays(role: Role, recipe: Recipe) -> bool:
    """Darknet's shortcut and implicit weights decay, the modern recipe's not; Darknet's Adam: all.

    Source: darknet.md 6.3, recipes.md.
    """
    if recipe.decays_all or role == "weight":
        return True
    return role in ("shortcut", "implicit") and recipe.name == "darknet"


def _forget_held(optimiser: Optimizer, args: Args, kwargs: Kwargs) -> None:
    """Without a gradient, torch leaves a parameter and its momentum alone, and does not decay it.

    That the gradient was worked out keeps DistributedDataParallel content, for which the same
    parameters must need one in every iteration.
    """
    for group in optimiser.param_groups:
        if group["held"]:
            for parameter in group["params"]:
                parameter.grad = None


@torch.no_grad()
def _clip(optimiser: Optimizer, args: Args, kwargs: Kwargs) -> None:
    for group in optimiser.param_groups:
        if group["clip"] and not group["held"]:
            parameters: list[Tensor] = group["params"]
            for parameter in parameters:
                parameter.clamp_(-group["clip"], group["clip"])
