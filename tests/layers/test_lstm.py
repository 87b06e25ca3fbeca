"""[lstm] (darknet.md 2.12): step by step against NumPy, and against torch.nn.LSTM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, read_as_sequences
from yolo_gp.weights.layout import WeightsDialect

from .recurrent_by_hand import Drawn, close, loaded, logistic, outputs

NET = "[net]\nchannels=3\nheight=1\nwidth=2\n"
T, N, INPUTS, OUTPUTS = 4, 2, 6, 5
# darknet.md 4.2; w reads the state, u the input
ORDERS: dict[WeightsDialect, str] = {
    "alexeyab": "wf wi wg wo uf ui ug uo",
    "pjreddie": "wi wf wo wg ui uf uo ug",
}


@pytest.mark.parametrize("dialect", ORDERS)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_gates_guard_the_cell(dialect: WeightsDialect, batch_norm: bool, tmp_path: Path) -> None:
    drawn = Drawn()
    p = {
        name: drawn.connected(INPUTS if name[0] == "u" else OUTPUTS, OUTPUTS, batch_norm=batch_norm)
        for name in ORDERS[dialect].split()
    }
    text = f"{NET}[lstm]\noutput={OUTPUTS}\nbatch_normalize={int(batch_norm)}\n"
    _, network = loaded(text, drawn, tmp_path, dialect)
    x = drawn.maps(T, N, 3, 1, 2)
    h, c, expected = np.zeros((N, OUTPUTS)), np.zeros((N, OUTPUTS)), []
    for step in x:
        f = logistic(p["wf"](h) + p["uf"](step))
        i = logistic(p["wi"](h) + p["ui"](step))
        g = np.tanh(p["wg"](h) + p["ug"](step))
        o = logistic(p["wo"](h) + p["uo"](step))
        c = f * c + i * g
        h = o * np.tanh(c)
        expected.append(h)
    assert close(outputs(network, x), np.array(expected))


@torch.no_grad()
def test_it_is_torchs_lstm() -> None:
    network = compile_network(compile_text(f"{NET}[lstm]\noutput={OUTPUTS}\n", "lstm.cfg"))
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(INPUTS, OUTPUTS)
    parts = network.get_submodule("lstm_0").parts
    for row, gate in enumerate("ifgo"):  # torch's order
        rows = slice(row * OUTPUTS, (row + 1) * OUTPUTS)
        parts[f"u{gate}"].linear.weight.copy_(theirs.weight_ih_l0[rows])
        parts[f"u{gate}"].linear.bias.copy_(theirs.bias_ih_l0[rows])
        parts[f"w{gate}"].linear.weight.copy_(theirs.weight_hh_l0[rows])
        parts[f"w{gate}"].linear.bias.copy_(theirs.bias_hh_l0[rows])
    x = torch.randn(T, N, INPUTS)
    read_as_sequences(network, time_steps=T)
    found = network(x.reshape(T * N, 3, 1, 2))[0].reshape(T, N, OUTPUTS)
    assert torch.allclose(found, theirs(x)[0], atol=1e-6)
