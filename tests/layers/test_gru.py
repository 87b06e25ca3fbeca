"""[gru] (darknet.md 2.12): step by step against NumPy, and against torch.nn.GRU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, read_as_sequences
from yolo_gp.rules import Rule
from yolo_gp.weights.layout import WeightsDialect

from .recurrent_by_hand import Array, Drawn, Function, close, loaded, logistic, outputs

NET = "[net]\ninputs=3\n"
T, N, INPUTS, OUTPUTS = 4, 2, 3, 5
# darknet.md 4.2
ORDERS: dict[WeightsDialect, tuple[str, ...]] = {
    "alexeyab": ("iz", "ir", "ih", "sz", "sr", "sh"),
    "pjreddie": ("sz", "sr", "sh", "iz", "ir", "ih"),
}


def by_hand(layers: dict[str, Function], x: Array, activation: Function) -> Array:
    """z = logistic(F_iz x + F_sz h), r = logistic(F_ir x + F_sr h),
    h~ = activation(F_ih x + F_sh (r h)), h = z h + (1 - z) h~."""
    h, expected = np.zeros((x.shape[1], OUTPUTS)), []
    for step in x:
        z = logistic(layers["iz"](step) + layers["sz"](h))
        r = logistic(layers["ir"](step) + layers["sr"](h))
        new = activation(layers["ih"](step) + layers["sh"](r * h))
        h = z * h + (1 - z) * new
        expected.append(h)
    return np.array(expected)


@pytest.mark.parametrize("dialect", ORDERS)
@pytest.mark.parametrize(("key", "activation"), [("", logistic), ("tanh=1\n", np.tanh)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_gates_mix_the_state_with_the_new_value(
    dialect: WeightsDialect, key: str, activation: Function, batch_norm: bool, tmp_path: Path
) -> None:
    drawn = Drawn()
    layers = {
        name: drawn.connected(INPUTS if name[0] == "i" else OUTPUTS, OUTPUTS, batch_norm=batch_norm)
        for name in ORDERS[dialect]
    }
    text = f"{NET}[gru]\noutput={OUTPUTS}\nbatch_normalize={int(batch_norm)}\n{key}"
    _, network = loaded(text, drawn, tmp_path, dialect)
    x = drawn.maps(T, N, INPUTS, 1, 1)
    assert close(outputs(network, x), by_hand(layers, x, activation))


@torch.no_grad()
def test_with_a_diagonal_candidate_it_is_torchs_gru() -> None:
    """torch takes r (W h) where Darknet takes W (r h): the same if W is diagonal, without bias."""
    text = f"{NET}[gru]\noutput={OUTPUTS}\ntanh=1\n"
    network = compile_network(compile_text(text, "gru.cfg"))
    torch.manual_seed(1)
    theirs = torch.nn.GRU(INPUTS, OUTPUTS)
    w_ih, w_hh, b_ih, b_hh = (
        parameter.split(OUTPUTS)  # rows for r, z, n
        for parameter in (
            theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.bias_ih_l0, theirs.bias_hh_l0,
        )
    )  # fmt: skip
    w_hh[2].copy_(torch.diag(torch.linspace(-2, 2, OUTPUTS)))
    b_hh[2].zero_()
    parts = network.get_submodule("gru_0").parts
    for row, gate in enumerate("rzh"):
        for part, weight, bias in (("input", w_ih, b_ih), ("state", w_hh, b_hh)):
            parts[f"{part}_{gate}"].linear.weight.copy_(weight[row])
            parts[f"{part}_{gate}"].linear.bias.copy_(bias[row])
    x = torch.randn(T, N, INPUTS)
    read_as_sequences(network, time_steps=T)
    found = network(x.reshape(T * N, INPUTS, 1, 1))[0].reshape(T, N, OUTPUTS)
    assert torch.allclose(found, theirs(x)[0], atol=1e-6)


def test_tanh_is_pjreddies_alone() -> None:
    graph = compile_text(NET + "[gru]\ntanh=1\n", "gru.cfg")
    assert Rule.PJREDDIES_KEY in [warning.rule for warning in graph.warnings]
