"""[crnn] (darknet.md 2.12): step by step against NumPy, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from yolo_gp.analysis.conventions import counts
from yolo_gp.errors import CfgError, Diagnostic
from yolo_gp.graph import compile_text
from yolo_gp.rules import Rule

from .recurrent_by_hand import Drawn, close, leaky, loaded, logistic, outputs

NET = "[net]\nchannels=4\nheight=3\nwidth=5\n"
T, N = 3, 2


@pytest.mark.parametrize(
    ("keys", "size", "groups", "batch_norm", "shortcut"),
    [
        ("size=3\npad=1\n", 3, 1, False, False),
        ("size=1\n", 1, 1, True, False),
        ("size=3\npadding=1\ngroups=2\n", 3, 2, True, True),
    ],
)
def test_each_step_adds_what_the_input_and_the_state_give(
    keys: str, size: int, groups: int, batch_norm: bool, shortcut: bool, tmp_path: Path
) -> None:
    drawn = Drawn()

    def convolution(channels: int, filters: int):  # type: ignore[no-untyped-def]
        return drawn.convolution(
            channels, filters, size, leaky, batch_norm=batch_norm, groups=groups
        )

    # darknet.md 4.2: conv input, self, output.
    of_input, of_state, to_output = convolution(4, 6), convolution(6, 6), convolution(6, 2)
    text = NET + f"[crnn]\noutput=2\nhidden=6\nactivation=leaky\n{keys}"
    text += f"batch_normalize={int(batch_norm)}\nshortcut={int(shortcut)}\n"
    graph, network = loaded(text, drawn, tmp_path)
    assert str(graph.nodes[0].output_shape) == "2 x 3 x 5"
    x = drawn.maps(T, N, 4, 3, 5)
    s, expected = np.zeros((N, 6, 3, 5)), []
    for step in x:
        s = shortcut * s + of_input(step) + of_state(s)
        expected.append(to_output(s))
    assert close(outputs(network, x), np.array(expected))


def test_pjreddies_keys_mean_3x3_windows(tmp_path: Path) -> None:
    drawn = Drawn()
    of_input = drawn.convolution(4, 3, 3, logistic)
    of_state = drawn.convolution(3, 3, 3, logistic)
    to_output = drawn.convolution(3, 2, 3, logistic)
    graph, network = loaded(NET + "[crnn]\noutput_filters=2\nhidden_filters=3\n", drawn, tmp_path)
    assert [warning.rule for warning in graph.warnings] == [Rule.PJREDDIES_KEY]
    x = drawn.maps(2, N, 4, 3, 5)
    first = of_input(x[0]) + of_state(np.zeros((N, 3, 3, 5)))
    second = of_input(x[1]) + of_state(first)
    assert close(outputs(network, x), np.array([to_output(first), to_output(second)]))


def test_a_key_of_the_other_darknet_has_no_effect_beside_the_own() -> None:
    for keys, message in (
        ("output=4\nhidden_filters=3\n", "hidden_filters has no effect beside output"),
        ("output_filters=4\nhidden=3\n", "hidden has no effect beside output_filters"),
    ):
        graph = compile_text(f"{NET}[crnn]\n{keys}pad=1\n", "crnn.cfg")
        assert f"[crnn] {message}, as in Darknet" in [w.message for w in graph.warnings]
        assert str(graph.nodes[0].output_shape) == "4 x 3 x 5"
        assert graph.nodes[0].cost.params == 9 * (4 + 1 + 4) + 1 + 1 + 4  # one channel is kept


def findings(keys: str) -> list[Diagnostic]:
    with pytest.raises(CfgError) as caught:
        compile_text(f"{NET}[crnn]\n{keys}", "crnn.cfg")
    return caught.value.diagnostics


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("", "size=3 with padding 0"),  # the default, which Darknet stops at
        ("size=2\npad=1\n", "size=2 with padding 1"),
        ("size=3\npad=1\nstride=2\n", "stride=2"),
        ("size=1\npadding=1\n", "size=1 with padding 1"),
    ],
)
def test_a_map_that_changes_its_size_is_an_error(keys: str, what: str) -> None:
    (found,) = findings(keys)
    assert found.message == (
        f"[crnn] {what} gives a map of another size than its input, so Darknet cannot add what it "
        "remembers"
    )
    assert found.expected == "stride=1, and an odd size with pad=1"


def test_groups_must_divide_filters_and_input() -> None:
    own = findings("output=4\nhidden=5\npad=1\ngroups=3\n")
    assert [d.message for d in own] == [
        "[crnn] cannot share out output=4 over groups=3",
        "[crnn] cannot share out hidden=5 over groups=3",
    ]
    (of_input,) = findings("output=3\nhidden=6\npad=1\ngroups=3\n")
    assert of_input.message == "[crnn] cannot share out the 4 channels of the input over groups=3"
    assert of_input.expected == "groups that divide 4"


def test_all_three_batch_norms_count_where_they_are_counted() -> None:
    """T2 takes 4 for each number that a batch norm gives: 6 + 6 + 2 maps of 3 x 5."""
    text = f"{NET}[crnn]\noutput=2\nhidden=6\npad=1\nbatch_normalize=1\n"
    found = counts(compile_text(text, "crnn.cfg"))
    assert found.t2 == found.f0 + 4 * (6 + 6 + 2) * 15
    weights = 9 * (4 * 6 + 6 * 6 + 6 * 2)
    assert (found.p_w, found.p_fused, found.p_train) == (weights, weights + 14, weights + 28)
    assert found.p_file == weights + 4 * 14
