"""What recurrent layers remember from step to step, from call to call, and when they forget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx

from yolo_gp.errors import UsageError
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.layers.convolution_modules import PackedConvolution
from yolo_gp.network import (
    compile_network,
    fold_batch_norm,
    initialise,
    pack_for_cpu,
    read_as_sequences,
    reset_state,
)

NET = "[net]\nchannels=4\nheight=3\nwidth=5\n"
SECTIONS = {
    "rnn": "[rnn]\noutput=3\nhidden=6\nbatch_normalize=1\nactivation=tanh\n",
    "gru": "[gru]\noutput=3\nbatch_normalize=1\n",
    "lstm": "[lstm]\noutput=3\nbatch_normalize=1\n",
    "crnn": "[crnn]\noutput=3\nhidden=6\npad=1\nbatch_normalize=1\nactivation=leaky\n",
    "conv_lstm": "[conv_lstm]\noutput=3\npad=1\nbatch_normalize=1\npeephole=1\n",
}
each_kind = pytest.mark.parametrize("kind", SECTIONS)
T, N = 3, 2


def network_of(kind: str) -> fx.GraphModule:
    network = compile_network(compile_text(NET + SECTIONS[kind], "x.cfg"))
    initialise(network, seed=1)
    return network


def frames(steps: int = T, count: int = N) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(steps, count, 4, 3, 5, generator=generator)


@torch.no_grad()
def step_by_step(network: fx.GraphModule, maps: Tensor) -> Tensor:
    read_as_sequences(network, carry_state=True)
    return torch.stack([network(step)[0] for step in maps])


@torch.no_grad()
def at_once(network: fx.GraphModule, maps: Tensor) -> Tensor:
    read_as_sequences(network, time_steps=len(maps))
    (result,) = network(maps.flatten(0, 1))
    return result.reshape(*maps.shape[:2], *result.shape[1:])


@each_kind
def test_t_steps_in_one_call_equal_t_calls_of_one_step(kind: str) -> None:
    network = network_of(kind)
    found = at_once(network, frames())
    assert torch.allclose(found, step_by_step(network, frames()), atol=1e-6)
    assert not torch.allclose(found[1], at_once(network, frames()[1:2])[0], atol=1e-3)


@each_kind
def test_the_second_half_of_a_sequence_goes_on_where_the_first_ended(kind: str) -> None:
    network = network_of(kind)
    whole = at_once(network, frames(4))
    read_as_sequences(network, time_steps=2, carry_state=True)
    with torch.no_grad():
        halves = [network(part.flatten(0, 1))[0] for part in frames(4).split(2)]
    assert torch.allclose(torch.cat(halves), whole.flatten(0, 1), atol=1e-6)


@each_kind
def test_sequences_of_a_batch_do_not_mix(kind: str) -> None:
    network = network_of(kind)
    both = at_once(network, frames())
    for number in range(N):
        alone = at_once(network, frames()[:, number : number + 1])
        assert torch.allclose(both[:, number : number + 1], alone, atol=1e-6)


@each_kind
def test_without_being_asked_a_network_remembers_nothing(kind: str) -> None:
    network = network_of(kind)
    with torch.no_grad():
        first, second = (network(frames()[0])[0] for _ in range(2))
        (flat,) = network(frames().flatten(0, 1))  # each map is a sequence of its own
    assert torch.equal(first, second)
    assert torch.allclose(flat[:N], first, atol=1e-6)


@each_kind
def test_reset_state_starts_anew(kind: str) -> None:
    network = network_of(kind)
    first = step_by_step(network, frames())
    assert not torch.allclose(step_by_step(network, frames())[0], first[0], atol=1e-3)
    reset_state(network)
    assert torch.allclose(step_by_step(network, frames()), first, atol=1e-6)


def test_a_call_without_memory_leaves_what_is_remembered() -> None:
    network = network_of("crnn")
    expected = step_by_step(network, frames())[2]
    reset_state(network)
    step_by_step(network, frames()[:2])
    at_once(network, frames(1, 5))
    assert torch.allclose(step_by_step(network, frames()[2:])[0], expected, atol=1e-6)


def test_in_training_every_call_starts_at_zero_and_gradients_reach_the_first_step() -> None:
    network = network_of("lstm").train()
    read_as_sequences(network, time_steps=T, carry_state=True)
    maps = frames().flatten(0, 1).requires_grad_()
    first, second = network(maps)[0], network(maps)[0]
    assert torch.equal(first, second)
    first[-N:].sum().backward()
    assert maps.grad is not None and bool(maps.grad[:N].abs().sum() > 0)


def test_the_state_is_no_part_of_the_weights() -> None:
    network = network_of("crnn")
    before = set(network.state_dict())
    step_by_step(network, frames())
    assert set(network.state_dict()) == before


def test_another_number_of_sequences_than_remembered_is_an_error() -> None:
    network = network_of("crnn")
    step_by_step(network, frames())
    with pytest.raises(UsageError) as caught:
        step_by_step(network, frames(1, 1))
    assert str(caught.value) == (
        "a recurrent layer remembers 2 sequences of 6 x 3 x 5, the batch asks for 1 sequence of "
        "6 x 3 x 5\n"
        "expected: as many sequences, of the same size, as in the call before\n"
        "help: reset_state(network) before another sequence begins"
    )


def test_a_batch_that_is_no_whole_number_of_sequences_is_an_error() -> None:
    network = network_of("gru")
    read_as_sequences(network, time_steps=3)
    with pytest.raises(UsageError) as caught:
        network(torch.zeros(4, 4, 3, 5))
    assert str(caught.value) == (
        "a batch of 4 maps is not 3 time steps of as many sequences\nexpected: a multiple of 3"
    )


@pytest.mark.parametrize("kind", ["crnn", "conv_lstm"])
def test_a_folded_and_packed_network_computes_the_same(kind: str) -> None:
    network = network_of(kind)
    generator = torch.Generator().manual_seed(3)
    for name, tensor in network.state_dict().items():
        if "running_var" in name or "batch_norm.weight" in name:
            tensor.uniform_(0.5, 2, generator=generator)
    expected = at_once(network, frames())
    graph = compile_text(NET + SECTIONS[kind], "x.cfg")
    fold_batch_norm(network, graph)
    network.requires_grad_(False)
    pack_for_cpu(network, graph)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    if PackedConvolution.is_available():
        assert not any(isinstance(m, torch.nn.Conv2d) for m in network.modules())
    assert torch.allclose(at_once(network, frames()), expected, atol=1e-5)


def test_a_network_of_flat_inputs_runs_though_darknet_divides_by_zero() -> None:
    text = (
        "[net]\ninputs=5\ntime_steps=576\n[rnn]\noutput=4\nhidden=4\n[gru]\noutput=6\n"
        "[lstm]\noutput=3\n[connected]\noutput=5\nactivation=leaky\n[softmax]\n[cost]\n"
    )
    graph = compile_text(text, "text.cfg")
    assert [warning.rule.code for warning in graph.warnings] == ["YG410"]
    network = compile_network(graph)
    initialise(network, seed=1)
    letters = torch.eye(5).reshape(5, 1, 5, 1, 1)
    found = step_by_step(network, letters)
    assert torch.allclose(found.sum(2).flatten(), torch.ones(5))
    again = step_by_step(network, letters)  # it has not forgotten
    assert not torch.allclose(found, again, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["rnn", "rnn.train", "gru", "lstm.train", "crnn.train", "yolov3-tiny_occlusion_track"],
)
def test_recurrent_networks_of_darknets_own_cost_what_it_prints(name: str, shared: Path) -> None:
    tables = json.loads((shared / "data/oracle/network-tables.json").read_text())
    table = tables[f"AlexeyAB-darknet/{name}"]
    graph = read_graph(shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg")
    kinds = [
        (node.layer.kind, kind)
        for node, (kind, *_) in zip(graph.nodes, table["layers"], strict=True)
    ]
    assert all(ours.startswith(theirs.lower()) for ours, theirs in kinds)
    for node, (_, output, bflops) in zip(graph.nodes, table["layers"], strict=True):
        shape = node.output_shape
        assert output in (None, [shape.channels, *shape.size])
        assert bflops is None or node.cost.bflops == pytest.approx(bflops, abs=1e-3)
    assert graph.total.bflops == pytest.approx(table["total_bflops"], abs=1e-3)
