"""Which parameter learns how fast, against a list by hand and Darknet's update by its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.optim import Optimizer

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.layers.training_keys import SectionTraining
from yolo_gp.network import compile_network, initialise
from yolo_gp.training.optimiser import build_optimiser, set_rates
from yolo_gp.training.recipe import (
    Recipe,
    darknet_recipe,
    fit_to_data,
    modern_recipe,
    with_overrides,
)
from yolo_gp.training.section_keys import held_until, set_training_mode

TEXT = """[net]
width=8
height=8
channels=3
batch=4
max_batches=100
learning_rate=.5
momentum=.75
decay=.25
{net}
[convolutional]
batch_normalize=1
filters=7
activation=linear
[convolutional]
batch_normalize=1
filters=7
activation=linear
[shortcut]
from=-2
weights_type=per_feature
weights_normalization=relu
[convolutional]
filters=7
activation=linear
[yolo]
classes=2
anchors=10,13
"""
WEIGHTS = ("0.convolution.weight", "1.convolution.weight", "3.convolution.weight")
NORMS = ("0.batch_norm.weight", "1.batch_norm.weight")
BIASES = ("0.batch_norm.bias", "1.batch_norm.bias", "3.convolution.bias")
SHORTCUT = "2.weight"

Sections = Mapping[int, SectionTraining]


def compiled(sections: Sections | None = None, net: str = "") -> Graph:
    """The graph, with the training keys of some of its sections replaced."""
    graph = compile_text(TEXT.format(net=net), "x.cfg")
    nodes = list(graph.nodes)
    for index, training in (sections or {}).items():
        node = nodes[index]
        common = replace(node.layer.common, training=training)
        nodes[index] = replace(node, layer=replace(node.layer, common=common))  # type: ignore[type-var]
    return replace(graph, nodes=tuple(nodes))


def built(graph: Graph, recipe: Recipe | None = None) -> tuple[fx.GraphModule, Optimizer, Recipe]:
    network = compile_network(graph)
    initialise(network, seed=1)
    recipe = fit_to_data(recipe or darknet_recipe(graph), 8)
    return network, build_optimiser(graph, network, recipe), recipe


def names(network: fx.GraphModule) -> dict[int, str]:
    """Each parameter as the number of its layer and its path there."""
    return {id(p): name.split("_", 1)[1] for name, p in network.named_parameters()}


def by_name(network: fx.GraphModule, optimiser: Optimizer, entry: str) -> dict[str, object]:
    known = names(network)
    return {known[id(p)]: group[entry] for group in optimiser.param_groups for p in group["params"]}


def test_with_darknets_recipe_weights_decay_and_vectors_do_not() -> None:
    network, optimiser, _ = built(compiled())
    found = by_name(network, optimiser, "weight_decay")
    assert found == {
        **dict.fromkeys((*WEIGHTS, SHORTCUT), 0.25),
        **dict.fromkeys((*NORMS, *BIASES), 0.0),
    }


def test_with_the_modern_recipe_only_matrices_decay() -> None:
    graph = compiled()
    network, optimiser, _ = built(graph, modern_recipe(graph, batch=16))
    found = by_name(network, optimiser, "weight_decay")
    # 5e-4 for 64 images, a quarter of that for 16.
    assert found == {
        **dict.fromkeys(WEIGHTS, 1.25e-4),
        **dict.fromkeys((SHORTCUT, *NORMS, *BIASES), 0.0),
    }


def test_only_biases_have_a_rate_of_their_own_during_the_warm_up() -> None:
    graph = compiled()
    network, optimiser, recipe = built(graph, modern_recipe(graph, batch=4, iterations=300))
    assert set_rates(optimiser, recipe, 1) == 0.0
    found = by_name(network, optimiser, "lr")
    assert {name for name, rate in found.items() if rate == pytest.approx(0.1)} == set(BIASES)
    assert {name for name, rate in found.items() if rate == 0} == {*WEIGHTS, *NORMS, SHORTCUT}
    assert all(group["momentum"] == pytest.approx(0.8) for group in optimiser.param_groups)
    set_rates(optimiser, recipe, 101)
    assert len(set(by_name(network, optimiser, "lr").values())) == 1
    assert all(group["momentum"] == pytest.approx(0.937) for group in optimiser.param_groups)


def test_a_section_has_a_rate_of_its_own() -> None:
    network, optimiser, recipe = built(compiled({1: SectionTraining(learning_rate=0.25)}))
    assert set_rates(optimiser, recipe, 5) == 0.5
    found = by_name(network, optimiser, "lr")
    assert {name for name, rate in found.items() if rate == 0.125} == {
        name for name in (*WEIGHTS, *NORMS, *BIASES) if name.startswith("1.")
    }
    assert {rate for name, rate in found.items() if not name.startswith("1.")} == {0.5}


def test_a_shared_parameter_is_updated_once() -> None:
    shared = "[convolutional]\nbatch_normalize=1\nfilters=3\nactivation=linear\n"
    head = "[convolutional]\nfilters=7\nactivation=linear\n[yolo]\nclasses=2\nanchors=10,13\n"
    text = f"[net]\nwidth=8\nheight=8\nchannels=3\nbatch=4\nmax_batches=9\n{shared}{shared}"
    graph = compile_text(f"{text}share_index=0\n{head}", "x.cfg")
    _, optimiser, _ = built(graph)
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    # Weights and batch norm once, weights and bias of the last.
    assert len(parameters) == len({id(p) for p in parameters}) == 3 + 2


class Layer:
    """Darknet's update of one array: gradients are sums over the batch. (darknet.md 6.3)"""

    def __init__(self, values: Tensor) -> None:
        self.w = values.detach().double().numpy().copy()
        self.u = np.zeros_like(self.w)
        self.m, self.v = np.zeros_like(self.w), np.zeros_like(self.w)

    def sgd(self, total: Tensor, rate: float, decay: float, momentum: float, batch: int) -> None:
        self.u += -total.double().numpy() - decay * batch * self.w  # a delta is minus the gradient
        self.w += rate / batch * self.u
        self.u *= momentum

    def adam(
        self, total: Tensor, rate: float, decay: float, betas: tuple[float, float], step: int
    ) -> None:
        g = -total.double().numpy() - decay * 4 * self.w
        self.m = betas[0] * self.m + (1 - betas[0]) * g
        self.v = betas[1] * self.v + (1 - betas[1]) * g * g
        m, v = self.m / (1 - betas[0] ** step), self.v / (1 - betas[1] ** step)
        self.w += rate * m / (np.sqrt(v) + 1e-3)


def learn(
    network: fx.GraphModule, optimiser: Optimizer, recipe: Recipe, iteration: int
) -> dict[str, Tensor]:
    """One update by arbitrary gradients; returns their sums over the batch."""
    generator = torch.Generator().manual_seed(iteration)
    set_rates(optimiser, recipe, iteration)
    optimiser.zero_grad()
    known = names(network)
    totals = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            total = torch.randn(parameter.shape, generator=generator)
            parameter.grad = total / recipe.divide_by
            totals[known[id(parameter)]] = total
    optimiser.step()
    return totals


def values(network: fx.GraphModule) -> dict[str, Tensor]:
    return {name.split("_", 1)[1]: p.detach().clone() for name, p in network.named_parameters()}


def test_steps_are_darknets_momentum() -> None:
    network, optimiser, recipe = built(compiled({1: SectionTraining(learning_rate=0.25)}))
    layers = {name: Layer(value) for name, value in values(network).items()}
    for iteration in (1, 2, 3):
        for name, total in learn(network, optimiser, recipe, iteration).items():
            decay = 0.25 if name in (*WEIGHTS, SHORTCUT) else 0.0
            rate = 0.125 if name.startswith("1.") else 0.5
            layers[name].sgd(total, rate, decay, momentum=0.75, batch=4)
    for name, value in values(network).items():
        np.testing.assert_allclose(value.numpy(), layers[name].w, rtol=1e-5, atol=1e-6)


def test_steps_are_darknets_adam_where_the_cfg_asks_for_it() -> None:
    network, optimiser, recipe = built(compiled(net="adam=1\nB1=.5\nB2=.75\neps=.001\n"))
    layers = {name: Layer(value) for name, value in values(network).items()}
    for iteration in (1, 2, 3):
        for name, total in learn(network, optimiser, recipe, iteration).items():
            layers[name].adam(total, 0.5, 0.25, (0.5, 0.75), iteration)
    for name, value in values(network).items():
        np.testing.assert_allclose(value.numpy(), layers[name].w, rtol=1e-4, atol=1e-5)


# -- sections that learn at times, or never ----------------------------------------------------

FOREVER = float("inf")


@pytest.mark.parametrize(
    ("keys", "held"),
    [
        (SectionTraining(), (0, 0, 0, 0, 0)),
        (SectionTraining(stop_backward=1), (FOREVER, FOREVER, 0, 0, 0)),
        # "stops only while iteration < N"
        (SectionTraining(stop_backward=800), (799, 799, 0, 0, 0)),
        (SectionTraining(train_only_bn=True), (FOREVER, FOREVER, 0, 0, 0)),
        # "no update while iteration <= N"
        (SectionTraining(dont_update=10), (0, 10, 0, 0, 0)),
        # "no update while iteration < N * burn_in", which is 20
        (SectionTraining(burn_in_update=3), (0, 59, 0, 0, 0)),
        # Layer 0 still learns through the shortcut.
        (SectionTraining(only_forward=True), (0, FOREVER, 0, 0, 0)),
    ],
)
def test_a_key_holds_back_the_layers_that_it_means(
    keys: SectionTraining, held: tuple[float, ...]
) -> None:
    assert held_until(compiled({1: keys}), burn_in=20) == held


def test_a_hold_is_cut_short_but_not_a_stop_for_good() -> None:
    graph = compiled({0: SectionTraining(stop_backward=1), 1: SectionTraining(dont_update=100)})
    assert held_until(graph, burn_in=0, at_most=10) == (FOREVER, 10, 0, 0, 0)


@pytest.mark.parametrize(("iterations", "held"), [(100, 99), (50, 5), (2000, 99)])
def test_a_run_of_another_length_than_the_cfgs_is_held_back_a_tenth_at_most(
    iterations: int, held: int
) -> None:
    graph = compiled({1: SectionTraining(stop_backward=100)})
    recipe = with_overrides(darknet_recipe(graph), iterations=iterations)
    network, optimiser, _ = built(graph, recipe)
    assert by_name(network, optimiser, "held_until")["0.convolution.weight"] == held


def test_the_longest_hold_counts() -> None:
    graph = compiled({0: SectionTraining(dont_update=5), 3: SectionTraining(stop_backward=4)})
    assert held_until(graph, burn_in=0) == (5, 3, 3, 3, 0)


def test_nothing_before_a_section_that_passes_no_gradient_learns() -> None:
    graph = compiled({3: SectionTraining(only_forward=True)})
    assert held_until(graph, burn_in=0) == (FOREVER, FOREVER, FOREVER, FOREVER, 0)


def test_held_layers_keep_weights_and_momentum_until_they_may_learn() -> None:
    network, optimiser, recipe = built(compiled({1: SectionTraining(stop_backward=3)}))
    before = values(network)
    for iteration in (1, 2):
        learn(network, optimiser, recipe, iteration)
    during = values(network)
    held = {name for name in before if torch.equal(before[name], during[name])}
    assert held == {name for name in before if name[0] in "01"}
    layers = {name: Layer(during[name]) for name in held}
    for name, total in learn(network, optimiser, recipe, 3).items():
        if name in held:  # nothing was gathered while it stood still
            layers[name].sgd(total, 0.5, 0.25 if name in WEIGHTS else 0.0, 0.75, batch=4)
            np.testing.assert_allclose(values(network)[name], layers[name].w, rtol=1e-5, atol=1e-6)


def test_layers_that_never_learn_need_no_gradient() -> None:
    network, optimiser, _ = built(compiled({1: SectionTraining(stop_backward=1)}))
    learning = set(by_name(network, optimiser, "lr"))
    assert learning == {SHORTCUT, "3.convolution.weight", "3.convolution.bias"}
    known = names(network)
    assert {known[id(p)] for p in network.parameters() if p.requires_grad} == learning


@pytest.mark.parametrize("recipe", [darknet_recipe, modern_recipe])
def test_layers_that_learn_later_are_remarked_upon(recipe: Callable[[Graph], Recipe]) -> None:
    graph = compiled({1: SectionTraining(stop_backward=800), 3: SectionTraining(dont_update=5)})
    assert recipe(graph).remarks[-2:] == (
        "[convolutional] stopbackward=800 (section at line 15) holds it and all before back for as "
        "many iterations as it says, in a run that is not as long as max_batches for a tenth of it "
        "at most",
        "[convolutional] dont_update=5 (section at line 23) holds it alone back for as many "
        "iterations as it says, in a run that is not as long as max_batches for a tenth of it at "
        "most",
    )


def test_a_network_in_which_nothing_learns_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        built(compiled({4: SectionTraining(stop_backward=1)}))
    assert str(caught.value) == (
        "x.cfg: no layer learns, so there is nothing to train\n"
        "expected: a layer behind those that --freeze, stopbackward or onlyforward hold back"
    )


def test_parameters_that_the_caller_has_frozen_stay_out() -> None:
    graph = compiled()
    network = compile_network(graph)
    initialise(network, seed=1)
    network.get_submodule("convolutional_0").requires_grad_(False)
    optimiser = build_optimiser(graph, network, fit_to_data(darknet_recipe(graph), 8))
    assert not any(name.startswith("0.") for name in by_name(network, optimiser, "lr"))


def test_batch_norms_before_a_stop_go_by_their_statistics() -> None:
    graph = compiled({1: SectionTraining(stop_backward=1)})
    network = compile_network(graph)
    set_training_mode(graph, network)
    norms = [m.training for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert network.training and norms == [False, True]
    plain = compiled({1: SectionTraining(stop_backward=800)})
    network = compile_network(plain)
    set_training_mode(plain, network)
    assert all(module.training for module in network.modules())


def test_clipped_weights_stay_within_their_bound() -> None:
    network, optimiser, recipe = built(compiled({1: SectionTraining(clip=0.125)}))
    learn(network, optimiser, recipe, 1)
    after = values(network)
    assert float(after["1.convolution.weight"].abs().max()) == 0.125
    assert float(after["0.convolution.weight"].abs().max()) > 0.125
    assert float(after["1.batch_norm.weight"].abs().max()) > 0.125


@pytest.mark.parametrize("keys", [SectionTraining(learning_rate=-1), SectionTraining(clip=-2)])
@pytest.mark.parametrize("recipe", [darknet_recipe, modern_recipe])
def test_a_negative_rate_or_bound_is_refused(
    keys: SectionTraining, recipe: Callable[[Graph], Recipe]
) -> None:
    with pytest.raises(UsageError) as caught:
        recipe(compiled({1: keys}))
    key = "learning_rate=-1" if keys.learning_rate < 0 else "clip=-2"
    assert str(caught.value) == (
        f"x.cfg:15:1: [convolutional] {key} cannot be trained with\nexpected: 0 or more"
    )


def test_the_state_of_an_optimiser_goes_on_where_it_stood() -> None:
    graph = compiled({1: SectionTraining(stop_backward=3, learning_rate=0.25)})
    network, optimiser, recipe = built(graph)
    for iteration in range(1, 7):
        learn(network, optimiser, recipe, iteration)
    again, other, _ = built(graph)
    for iteration in range(1, 4):
        learn(again, other, recipe, iteration)
    third, fresh, _ = built(graph)
    third.load_state_dict(again.state_dict())
    fresh.load_state_dict(other.state_dict())
    for iteration in range(4, 7):
        learn(third, fresh, recipe, iteration)
    assert all(torch.equal(value, values(third)[name]) for name, value in values(network).items())
