"""Moving averages of a network's weights: the modern recipe's, and Darknet's ema_alpha."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from yolo_gp.training.recipe import DarknetEma, ModernEma, Recipe

_DARKNET_TAIL = 1000  # iterations before the end at which Darknet takes the average for weights
_SHORT_RUN = 2000  # iterations, up to which that would lie before the average starts
_SHORT_TAIL = 0.25  # of such a run


class Ema(Protocol):
    """An average that follows a network.

    Fields:
        values: what to measure and save in place of the network's own tensors, by their names;
            empty where those count themselves.
    """

    values: Mapping[str, Tensor]

    def update(self, network: nn.Module, iteration: int) -> None:
        """Follow the network after an update; the first is number 1. May change the network."""
        ...

    def state_dict(self) -> dict[str, object]: ...

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from what `state_dict` returned."""
        ...


def build_ema(recipe: Recipe, network: nn.Module) -> Ema | None:
    """The average that a recipe asks for; None if it asks for none.

    Args:
        recipe: one that `fit_to_data` returned.
    """
    assert recipe.run is not None, "the recipe's length is not known"
    if isinstance(recipe.ema, ModernEma):
        return ModernAverage(recipe.ema, network)
    if isinstance(recipe.ema, DarknetEma):
        return DarknetAverage(recipe.ema, recipe.run.iterations)
    return None


class ModernAverage:
    """Of all tensors of floats, batch norm's statistics among them, from the first update on.

    average <- d average + (1 - d) value, d = decay (1 - e^(-updates / ramp)).

    Source: recipes.md.
    """

    def __init__(self, settings: ModernEma, network: nn.Module) -> None:
        self._settings = settings
        self.values: Mapping[str, Tensor] = {
            name: value.detach().clone() for name, value in _floats(network).items()
        }

    def decay(self, iteration: int) -> float:
        """The share of the old average that an update keeps."""
        return self._settings.decay * (1 - math.exp(-iteration / self._settings.ramp))

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        _move(self.values, _floats(network), 1 - self.decay(iteration))

    def state_dict(self) -> dict[str, object]:
        return {"values": dict(self.values)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        _copy(_tensors(state["values"]), self.values)


class DarknetAverage:
    """Of what learns, from half of the run on; then it takes the weights' place.

    That happens 1000 iterations before the end, as in Darknet, in runs of up to 2000 a quarter of
    the run before it.

    Source: darknet.md 6.7.
    """

    def __init__(self, settings: DarknetEma, iterations: int) -> None:
        self._keep = settings.keep
        self._start = iterations // 2
        tail = _DARKNET_TAIL if iterations > _SHORT_RUN else int(iterations * _SHORT_TAIL)
        self._end = iterations - tail
        self._average: dict[str, Tensor] = {}
        self.values: Mapping[str, Tensor] = {}

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        if not self._start <= iteration <= self._end:
            return
        own = {name: value.detach() for name, value in network.named_parameters()}
        if not self._average:
            self._average = {name: value.clone() for name, value in own.items()}
        else:
            _move(self._average, own, 1 - self._keep)
        if iteration == self._end:
            _copy(self._average, own)
            self._average = {}

    def state_dict(self) -> dict[str, object]:
        return {"values": dict(self._average)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self._average = {name: t.clone() for name, t in _tensors(state["values"]).items()}


def _floats(network: nn.Module) -> dict[str, Tensor]:
    state: dict[str, Tensor] = network.state_dict()
    return {name: value for name, value in state.items() if value.is_floating_point()}


def _move(average: Mapping[str, Tensor], values: Mapping[str, Tensor], share: float) -> None:
    """average += share (value - average), in place."""
    names = list(average)
    torch._foreach_lerp_([average[name] for name in names], [values[n] for n in names], share)


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])


def _tensors(entries: object) -> Mapping[str, Tensor]:
    return cast(Mapping[str, Tensor], entries)
