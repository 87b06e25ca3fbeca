"""[conv_lstm] (darknet.md 2.12): step by step against NumPy, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network
from yolo_gp.rules import Rule

from .recurrent_by_hand import Array, Drawn, Function, close, leaky, linear, loaded, logistic
from .recurrent_by_hand import outputs as computed

NET = "[net]\nchannels=4\nheight=3\nwidth=5\n"
T, N, FILTERS = 4, 2, 6
ORDER = "vf vi vo wf wi wg wo uf ui ug uo".split()  # darknet.md 4.2


def by_hand(
    p: dict[str, Function], x: Array, squash: Function = np.tanh, bound: float = np.inf
) -> Array:
    """f = logistic(wf h + uf x [+ vf c]), i likewise, g = squash(wg h + ug x), c = f c + i g,
    o = logistic(wo h + uo x [+ vo c]) with the new c, h = o squash(c); then c is clamped."""
    h = c = np.zeros((N, FILTERS, 3, 5))
    expected = []
    for step in x:
        peeps = {gate: p["v" + gate](c) if "vf" in p else 0.0 for gate in "fi"}
        f = logistic(p["wf"](h) + p["uf"](step) + peeps["f"])
        i = logistic(p["wi"](h) + p["ui"](step) + peeps["i"])
        c = f * c + i * squash(p["wg"](h) + p["ug"](step))
        peep = p["vo"](c) if "vo" in p else 0.0
        o = logistic(p["wo"](h) + p["uo"](step) + peep)
        h = o * squash(c)
        c = np.clip(c, -bound, bound)
        expected.append(h)
    return np.array(expected)


def parts(drawn: Drawn, activation: Function, *, peephole: bool = False, **more: int):  # type: ignore[no-untyped-def]
    names = ORDER if peephole else ORDER[3:]
    return {
        name: drawn.convolution(
            4 if name[0] == "u" else FILTERS,
            FILTERS,
            3,
            activation,
            batch_norm=bool(more.get("batch_norm")),
            groups=more.get("groups", 1),
        )
        for name in names
    }


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize(
    ("keys", "activation", "batch_norm", "groups"),
    [("", linear, 0, 1), ("activation=leaky\nbatch_normalize=1\ngroups=2\n", leaky, 1, 2)],
)
def test_gates_guard_the_cell(
    peephole: bool, keys: str, activation: Function, batch_norm: int, groups: int, tmp_path: Path
) -> None:
    drawn = Drawn()
    p = parts(drawn, activation, peephole=peephole, batch_norm=batch_norm, groups=groups)
    text = f"{NET}[conv_lstm]\noutput={FILTERS}\npad=1\npeephole={int(peephole)}\n{keys}"
    _, network = loaded(text, drawn, tmp_path)
    x = drawn.maps(T, N, 4, 3, 5)
    assert close(computed(network, x), by_hand(p, x))


def test_the_cell_is_clamped_after_it_has_been_read(tmp_path: Path) -> None:
    drawn = Drawn()
    p = parts(drawn, linear)
    text = f"{NET}[conv_lstm]\noutput={FILTERS}\npad=1\nstate_constrain=1\n"
    _, network = loaded(text, drawn, tmp_path)
    x = 3 * drawn.maps(T, N, 4, 3, 5)
    assert close(computed(network, x), by_hand(p, x, bound=1))
    assert not close(computed(network, x), by_hand(p, x))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # Gates are 1, and 20 comes in at each step: 20, 20 + 20, and from 32 on 32 + 20.
        ("", [20, 40, 52, 52]),
        ("state_constrain=0\n", [20, 40, 60, 80]),
        ("state_constrain=5\n", [20, 25, 25, 25]),
    ],
)
@torch.no_grad()
def test_the_cell_stays_within_32_unless_told_otherwise(key: str, expected: list[int]) -> None:
    text = f"{NET}[conv_lstm]\npad=1\nlstm_activation=relu\n{key}"
    network = compile_network(compile_text(text, "conv_lstm.cfg"))
    for parameter in network.parameters():
        parameter.zero_()
    for name, bias in (("uf", 50.0), ("ui", 50.0), ("ug", 20.0), ("uo", 50.0)):
        network.get_submodule(f"conv_lstm_0.parts.{name}").convolution.bias.fill_(bias)
    found = computed(network, np.zeros((4, 1, 4, 3, 5)))
    assert found[:, 0, 0, 1, 2].tolist() == expected


def test_a_bottleneck_reads_input_and_state_at_once(tmp_path: Path) -> None:
    """b = squash(wf [h, x]); f, i, g, o read b alone; shortcut adds b to half of the output."""
    for shortcut in (0, 1):
        drawn = Drawn()
        wf = drawn.convolution(8, 4, 3, leaky)
        uf, ui, ug, uo = (drawn.convolution(4, 4, 3, leaky) for _ in range(4))
        text = f"{NET}[conv_lstm]\noutput=4\npad=1\nactivation=leaky\nbottleneck=1\n"
        graph, network = loaded(f"{text}shortcut={shortcut}\n", drawn, tmp_path)
        x = drawn.maps(T, N, 4, 3, 5)
        h = c = np.zeros((N, 4, 3, 5))
        expected = []
        for step in x:
            b = np.tanh(wf(np.concatenate((h, step), axis=1)))
            c = logistic(uf(b)) * c + logistic(ui(b)) * np.tanh(ug(b))
            h = logistic(uo(b)) * np.tanh(c)
            y = h.copy()
            y[:, :2] += shortcut * b[:, :2]
            expected.append(y)
        assert close(computed(network, x), np.array(expected))
        assert [w.rule for w in graph.warnings] == [Rule.GPU_BUILD_ONLY]


def compiled(keys: str) -> Graph:
    return compile_text(f"{NET}[conv_lstm]\npad=1\n{keys}", "conv_lstm.cfg")


def test_a_bottleneck_needs_as_many_channels_as_it_gives() -> None:
    with pytest.raises(CfgError) as caught:
        compiled("output=6\nbottleneck=1\n")
    (found,) = (d for d in caught.value.diagnostics if d.severity == "error")
    assert found.message == (
        "[conv_lstm] bottleneck=1 with output=6 reads the input, which has 4 channels"
    )
    assert found.help == "write output=4, or put a convolution before it"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "bottleneck=1\noutput=4\n",
            "[conv_lstm] bottleneck=1 stops AlexeyAB's CPU build; it is computed here as its GPU "
            "build does",
        ),
        (
            "lstm_activation=leaky\n",
            "AlexeyAB's CPU build takes tanh in place of lstm_activation=leaky; it is applied here "
            "as in its GPU build",
        ),
        (
            "shortcut=1\n",
            "[conv_lstm] shortcut=1 has no effect without bottleneck=1, as in Darknet",
        ),
    ],
)
def test_what_darknet_does_otherwise_is_a_warning(keys: str, message: str) -> None:
    assert [warning.message for warning in compiled(keys).warnings] == [message]


def test_darknet_counts_9_or_12_sums_for_each_number_of_the_output() -> None:
    """Eight convolutions of 4 or 6 to 6 channels, 3x3, over 3 x 5 places; peepholes add three."""
    per_pixel = 4 * (4 * 6 * 9) + 4 * (6 * 6 * 9)
    for keys, macs, sums in (
        ("", per_pixel * 15, 9),
        ("peephole=1\n", (per_pixel + 3 * 6 * 6 * 9) * 15, 12),
    ):
        cost = compiled(f"output=6\n{keys}").nodes[0].cost
        assert (cost.macs, cost.darknet_operations) == (macs, 2 * macs + sums * 6 * 15)
