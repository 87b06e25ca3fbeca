"""A network of the YOLOR dialect learns: its vectors too, without decay, from YOLOR's start."""

from __future__ import annotations

import math

import torch
from torch import fx, nn

from yolo_gp.graph import Graph, compile_text
from yolo_gp.losses.network_loss import modern_loss
from yolo_gp.losses.targets import Targets
from yolo_gp.network import compile_network, initialise
from yolo_gp.training.head_biases import initialise_head_biases
from yolo_gp.training.optimiser import build_optimiser, set_rates
from yolo_gp.training.recipe import Recipe, fit_to_data, modern_recipe

TEXT = """[net]
width=32
height=32
channels=3
batch=4
max_batches=100
[convolutional]
batch_normalize=1
filters=8
size=8
stride=8
activation=silu
[implicit_add]
filters=8
[implicit_mul]
filters=14
[route]
layers=0
[shift_channels]
from=1
[convolutional]
filters=14
activation=linear
[control_channels]
from=2
[yolo]
classes=2
num=2
anchors=6,8, 12,10
"""
VECTORS = ("implicit_add_1.weight", "implicit_mul_2.weight")


def built() -> tuple[Graph, fx.GraphModule, Recipe]:
    graph = compile_text(TEXT, "x.cfg")
    network = compile_network(graph)
    initialise(network, seed=1)
    return graph, network, fit_to_data(modern_recipe(graph, batch=4), 4)


def test_vectors_learn_and_do_not_decay() -> None:
    graph, network, recipe = built()
    optimiser = build_optimiser(graph, network, recipe)
    names = {id(p): name for name, p in network.named_parameters()}
    decay = {
        names[id(p)]: group["weight_decay"]
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert {name for name, value in decay.items() if value} == {
        "convolutional_0.convolution.weight",
        "convolutional_5.convolution.weight",
    }
    assert all(decay[name] == 0 for name in VECTORS)


def test_steps_of_the_modern_recipe_lower_the_loss_and_move_the_vectors() -> None:
    graph, network, recipe = built()
    optimiser = build_optimiser(graph, network, recipe)
    assert not isinstance(recipe.loss, str)
    loss = modern_loss(graph, recipe.loss)
    targets = Targets(
        image=torch.tensor([0, 1]),
        class_ids=torch.tensor([0, 1]),
        boxes_cxcywh_norm=torch.tensor([[0.4, 0.4, 0.3, 0.25], [0.6, 0.7, 0.25, 0.3]]),
    )
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    network.train()
    totals = []
    for iteration in range(1, 31):
        set_rates(optimiser, recipe, iteration)
        for group in optimiser.param_groups:
            group["lr"] = 0.02  # past the warm-up, which these few steps would not leave
        value = loss(network(images), targets, (32, 32))
        optimiser.zero_grad()
        value.total.backward()
        optimiser.step()
        totals.append(value.total.item())
    assert totals[-1] < 0.8 * totals[0]
    for name in VECTORS:
        assert not torch.allclose(network.state_dict()[name], before[name], atol=1e-3)


def test_the_start_of_scores_goes_to_the_convolution_behind_the_vectors() -> None:
    graph, network, _ = built()
    initialise_head_biases(graph, network)
    layer = network.get_submodule("convolutional_5.convolution")
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    entries = layer.bias.detach().reshape(2, 7)
    # Stride 8: log(8 / (640 / 8)^2) for objectness, log(.6 / (2 - .99)) for each of two classes.
    assert torch.allclose(entries[:, 4], torch.tensor(math.log(8 / 6400)))
    assert torch.allclose(entries[:, 5:], torch.tensor(math.log(0.6 / 1.01)))
