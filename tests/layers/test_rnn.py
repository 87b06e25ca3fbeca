"""[rnn] (darknet.md 2.12): step by step against NumPy, and against torch.nn.RNN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, read_as_sequences
from yolo_gp.rules import Rule

from .recurrent_by_hand import Drawn, Function, close, leaky, loaded, logistic, outputs

NET = "[net]\ninputs=3\n"
T, N = 4, 2


def test_each_step_adds_what_the_input_and_the_state_give(tmp_path: Path) -> None:
    drawn = Drawn()
    # darknet.md 4.2: connected input, self, output; 2.12: s = act(F_in x) + act(F_self s),
    # y = act(F_out s).
    of_input = drawn.connected(3, 5, leaky, batch_norm=True)
    of_state = drawn.connected(5, 5, leaky, batch_norm=True)
    to_output = drawn.connected(5, 2, leaky, batch_norm=True)
    text = NET + "[rnn]\noutput=2\nhidden=5\nactivation=leaky\nbatch_normalize=1\n"
    _, network = loaded(text, drawn, tmp_path)
    x = drawn.maps(T, N, 3, 1, 1)
    s, expected = np.zeros((N, 5)), []
    for t in range(T):
        s = of_input(x[t]) + of_state(s)
        expected.append(to_output(s))
    assert close(outputs(network, x), np.array(expected))


def loggy(x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return 2 / (1 + np.exp(-x)) - 1


@pytest.mark.parametrize(("value", "activation"), [(1, logistic), (2, loggy)])
def test_logistic_sets_the_activation_of_what_comes_from_the_state(
    value: int, activation: Function, tmp_path: Path
) -> None:
    drawn = Drawn()
    of_input, of_state = drawn.connected(3, 4, np.tanh), drawn.connected(4, 4, activation)
    to_output = drawn.connected(4, 2, np.tanh)
    text = NET + f"[rnn]\noutput=2\nhidden=4\nactivation=tanh\nlogistic={value}\n"
    _, network = loaded(text, drawn, tmp_path)
    x = drawn.maps(2, N, 3, 1, 1)
    first = of_input(x[0]) + of_state(np.zeros((N, 4)))
    second = of_input(x[1]) + of_state(first)
    assert close(outputs(network, x), np.array([to_output(first), to_output(second)]))


def test_shortcut_keeps_the_old_state_and_adds_the_new(tmp_path: Path) -> None:
    drawn = Drawn()
    of_input, of_state = drawn.connected(3, 4, logistic), drawn.connected(4, 4, logistic)
    to_output = drawn.connected(4, 2, logistic)
    _, network = loaded(NET + "[rnn]\noutput=2\nhidden=4\nshortcut=1\n", drawn, tmp_path)
    x = drawn.maps(T, N, 3, 1, 1)
    s, expected = np.zeros((N, 4)), []
    for t in range(T):
        s = s + of_input(x[t]) + of_state(s)
        expected.append(to_output(s))
    assert close(outputs(network, x), np.array(expected))


@torch.no_grad()
def test_with_nothing_negative_it_is_torchs_rnn() -> None:
    """relu(a) + relu(b) = relu(a + b) where a and b are not negative."""
    text = NET + "[rnn]\noutput=6\nhidden=6\nactivation=relu\n"
    network = compile_network(compile_text(text, "rnn.cfg"))
    theirs = torch.nn.RNN(3, 6, nonlinearity="relu")
    generator = torch.Generator().manual_seed(1)
    for parameter in theirs.parameters():
        parameter.uniform_(0, 0.3, generator=generator)
    parts = network.get_submodule("rnn_0").parts
    parts["from_input"].linear.weight.copy_(theirs.weight_ih_l0)
    parts["from_input"].linear.bias.copy_(theirs.bias_ih_l0)
    parts["from_state"].linear.weight.copy_(theirs.weight_hh_l0)
    parts["from_state"].linear.bias.copy_(theirs.bias_hh_l0)
    parts["to_output"].linear.weight.copy_(torch.eye(6))
    parts["to_output"].linear.bias.zero_()
    x = torch.rand(5, 3, 3, generator=generator)  # (T, N, inputs)
    read_as_sequences(network, time_steps=5)
    found = network(x.reshape(15, 3, 1, 1))[0].reshape(5, 3, 6)
    assert torch.allclose(found, theirs(x)[0], rtol=1e-5)


def test_a_hidden_that_is_not_said_is_1_with_a_warning() -> None:
    graph = compile_text(NET + "[rnn]\noutput=7\nactivation=leaky\n", "rnn.cfg")
    (warning,) = (w for w in graph.warnings if w.rule is Rule.SILENT_DEFAULT)
    assert "AlexeyAB's Darknet takes 1, pjreddie's as many as output; 1 is" in warning.message
    assert graph.nodes[0].cost.params == (3 + 1) + (1 + 1) + (7 + 7)


def test_another_value_of_logistic_has_no_effect() -> None:
    graph = compile_text(NET + "[rnn]\nhidden=1\nlogistic=3\n", "rnn.cfg")
    messages = [w.message for w in graph.warnings if w.rule is Rule.NO_EFFECT]
    assert messages == ["[rnn] logistic=3 has no effect; Darknet knows 1 and 2"]
