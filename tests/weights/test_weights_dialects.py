"""Files of AlexeyAB's and of pjreddie's Darknet: their order, their headers (darknet.md 4.1, 4.2).

The order inside [gru] and [lstm] is checked by what they compute, in tests/layers.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx

from yolo_gp.errors import UsageError, WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network
from yolo_gp.weights.darknet import load_prefix, load_weights, save_weights
from yolo_gp.weights.diagnosis import diagnose
from yolo_gp.weights.evidence import Cause
from yolo_gp.weights.header import WeightsHeader, read_header
from yolo_gp.weights.layout import file_layout, find_weights_dialect
from yolo_gp.weights.loading import load_any

NORM = "[net]\nchannels=2\nheight=2\nwidth=2\n[batchnorm]\n"
GRU = "[net]\ninputs=3\n[gru]\noutput=2\nbatch_normalize=1\n"
ALEXEYABS, PJREDDIES = (struct.pack("<iiiQ", 0, 2, r, 9) for r in (5, 0))
MARKED = struct.pack("<iii", 0, 1001, 0)  # of the transposed mark; then `seen`


def empty(text: str) -> tuple[Graph, fx.GraphModule]:
    """A network whose every number is NaN until it is loaded."""
    graph = compile_text(text, "x.cfg")
    network = compile_network(graph)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    return graph, network


def counting(count: int) -> NDArray[np.float32]:
    return np.arange(1, count + 1, dtype="<f4")


def written(path: Path, header: bytes, floats: NDArray[np.float32]) -> Path:
    path.write_bytes(header + floats.astype("<f4").tobytes())
    return path


def gru_floats(order: str) -> NDArray[np.float32]:
    """Plausible numbers of GRU's six layers: those of the input, "i", are 16 floats, "s" 14.

    Each: 2 biases, 2 x 3 or 2 x 2 weights, 2 scales, 2 means, 2 variances.
    """
    random = np.random.default_rng(5)
    layers = []
    for letter in order:
        weights = random.uniform(-3, -1, 2 * (3 if letter == "i" else 2))
        layers += [random.uniform(-1, 1, 2), weights, [1, 1, -1, -1, 2, 2]]
    return np.concatenate(layers).astype("<f4")


# -- [batchnorm] -----------------------------------------------------------------------------------


def test_pjreddies_batchnorm_has_scales_means_and_variances_but_no_bias(tmp_path: Path) -> None:
    graph, network = empty(NORM)
    path = written(tmp_path / "pj.weights", PJREDDIES, counting(6))
    header = load_weights(path, graph, network, "pjreddie")
    found = {name.rpartition(".")[2]: t.tolist() for name, t in network.state_dict().items()}
    del found["num_batches_tracked"]
    assert found == {
        "weight": [1, 2], "running_mean": [3, 4], "running_var": [5, 6], "bias": [0, 0],
    }  # fmt: skip
    save_weights(tmp_path / "again.weights", graph, network, header, dialect="pjreddie")
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()
    save_weights(tmp_path / "ab.weights", graph, network)
    theirs = np.concatenate(([0, 0], counting(6)))  # with the bias, in front
    assert (tmp_path / "ab.weights").read_bytes()[20:] == theirs.astype("<f4").tobytes()


def test_a_bias_that_pjreddies_file_would_lose_is_an_error(tmp_path: Path) -> None:
    graph, network = empty(NORM)
    load_weights(written(tmp_path / "ab.weights", ALEXEYABS, counting(8)), graph, network)
    with pytest.raises(WeightsError) as caught:
        save_weights(tmp_path / "pj.weights", graph, network, dialect="pjreddie")
    assert str(caught.value) == (
        "a pjreddie .weights file has no place for layer 0 [batchnorm], batch_norm.bias, which is "
        "not zero here\nhelp: write the file for AlexeyAB's Darknet, or write .safetensors"
    )
    assert not (tmp_path / "pj.weights").exists()


def test_a_prefix_of_pjreddies_ends_where_his_sections_end(tmp_path: Path) -> None:
    text = NORM + "[convolutional]\nfilters=1\nactivation=linear\n"
    graph, network = empty(text)
    path = written(tmp_path / "pj.conv.1", PJREDDIES, counting(6))
    assert load_prefix(path, graph, network, "pjreddie")[1] == 1
    with pytest.raises(
        WeightsError, match=r"ends in layer 0 \[batchnorm\], batch_norm.running_var"
    ):
        load_prefix(path, graph, network)


# -- headers ---------------------------------------------------------------------------------------


def test_each_darknet_writes_its_own_version(tmp_path: Path) -> None:
    graph, network = empty(NORM)
    load_weights(
        written(tmp_path / "pj.weights", PJREDDIES, counting(6)), graph, network, "pjreddie"
    )
    for dialect, revision in (("alexeyab", 5), ("pjreddie", 0)):
        save_weights(tmp_path / "x", graph, network, dialect=find_weights_dialect(dialect))
        assert struct.unpack("<iii", (tmp_path / "x").read_bytes()[:12]) == (0, 2, revision)


def test_a_marked_header_has_32_bits_for_pjreddie_and_64_for_alexeyab(tmp_path: Path) -> None:
    path = tmp_path / "x.weights"
    path.write_bytes(MARKED + struct.pack("<II", 7, 1))
    narrow, wide = read_header(path, None, "pjreddie"), read_header(path)
    assert (narrow.wide, narrow.seen, narrow.size) == (False, 7, 16)
    assert (wide.wide, wide.seen, wide.size) == (True, 7 + 2**32, 20)


def test_without_the_mark_both_read_64_bits_from_version_0_2_on(tmp_path: Path) -> None:
    path = tmp_path / "x.weights"
    for minor, size in ((1, 16), (2, 20), (999, 20)):
        path.write_bytes(struct.pack("<iiiII", 0, minor, 0, 7, 0))
        assert read_header(path, None, "pjreddie").size == read_header(path).size == size


def test_a_header_adapted_to_the_other_darknet_is_read_there() -> None:
    assert WeightsHeader(0, 2, 5, 9).adapted_to("pjreddie") == WeightsHeader(0, 2, 0, 9)
    assert WeightsHeader(0, 2, 0, 9).adapted_to("alexeyab") == WeightsHeader(0, 2, 5, 9)
    marked = WeightsHeader(0, 1001, 0, 9, wide=True)
    assert marked.adapted_to("pjreddie") == WeightsHeader(0, 1001, 0, 9, wide=False)
    assert marked.adapted_to("pjreddie").adapted_to("alexeyab") == marked
    old = WeightsHeader(0, 1, 0, 9, wide=False)
    assert old.adapted_to("alexeyab") == old


def test_inside_recurrent_sections_the_transposed_mark_counts(tmp_path: Path) -> None:
    text = "[net]\ninputs=3\n[rnn]\noutput=1\nhidden=2\n"
    graph, network = empty(text)
    # Input: 2 biases, 3 x 2 weights; state: 2, 2 x 2; output: 1, 2 x 1.
    floats = counting(2 + 6 + 2 + 4 + 1 + 2)
    path = written(tmp_path / "x.weights", MARKED + struct.pack("<I", 7), floats)
    header = load_weights(path, graph, network)
    parts = network.get_submodule("rnn_0").parts
    assert parts["from_input"].linear.weight.tolist() == [[3, 5, 7], [4, 6, 8]]
    assert parts["from_state"].linear.weight.tolist() == [[11, 13], [12, 14]]
    save_weights(tmp_path / "again.weights", graph, network, header)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


# -- which one is it? ------------------------------------------------------------------------------


def test_no_such_dialect_is_an_error_that_names_both() -> None:
    with pytest.raises(UsageError) as caught:
        find_weights_dialect("pjredie")
    assert str(caught.value) == (
        "pjredie is no dialect of .weights files\nexpected: alexeyab or pjreddie\n"
        "help: did you mean pjreddie?"
    )


@pytest.mark.parametrize(
    ("header", "text", "notes"), [(PJREDDIES, GRU, 1), (ALEXEYABS, GRU, 0), (PJREDDIES, NORM, 1)]
)
def test_a_version_of_pjreddies_is_mentioned_where_it_matters(
    header: bytes, text: str, notes: int, tmp_path: Path
) -> None:
    graph, network = empty(text)
    count = file_layout(graph)[-1].end
    path = written(tmp_path / "x.weights", header, counting(count))
    found = load_any(path, graph, network).notes
    assert len(found) == notes
    if notes:
        kind = graph.nodes[0].layer.kind
        assert found[0] == (
            f"{path} has version 0.2.0, which pjreddie's Darknet writes, and it orders [{kind}] "
            "otherwise; AlexeyAB's order was taken; `yolo-gp convert --weights-dialect pjreddie` "
            "takes the other"
        )
    assert load_any(path, graph, network, weights_dialect="alexeyab").notes == ()


def test_a_dialect_of_a_file_that_names_its_tensors_is_an_error(tmp_path: Path) -> None:
    graph, network = empty(NORM)
    torch.save({"batchnorm_0.batch_norm.bias": torch.zeros(2)}, tmp_path / "x.pt")
    with pytest.raises(UsageError) as caught:
        load_any(tmp_path / "x.pt", graph, network, weights_dialect="pjreddie")
    assert str(caught.value) == (
        f"{tmp_path / 'x.pt'} is a torch file, which names its tensors, so no dialect orders them\n"
        "expected: a Darknet .weights file"
    )


def test_doctor_knows_pjreddies_order_by_the_size(tmp_path: Path) -> None:
    graph, _ = empty(NORM)
    found = diagnose(graph, written(tmp_path / "x.weights", PJREDDIES, counting(6)))
    (guess,) = found.guesses
    assert guess.cause is Cause.DIALECT
    assert guess.text == (
        "it fits in the order of pjreddie's Darknet, which stores [batchnorm] otherwise"
    )
    assert guess.help == "yolo-gp convert WEIGHTS OUT --cfg CFG --weights-dialect pjreddie"


def test_doctor_knows_pjreddies_order_by_the_numbers(tmp_path: Path) -> None:
    """In AlexeyAB's order negative weights would stand where variances should."""
    graph, _ = empty(GRU)
    path = written(tmp_path / "x.weights", ALEXEYABS, gru_floats("sssiii"))
    assert [guess.cause for guess in diagnose(graph, path).guesses] == [Cause.DIALECT]
    written(path, ALEXEYABS, gru_floats("iiisss"))
    assert diagnose(graph, path).fits and diagnose(graph, path).doubt is None


def test_doctor_says_when_it_cannot_tell_the_order(tmp_path: Path) -> None:
    graph, _ = empty("[net]\ninputs=2\n[lstm]\noutput=2\n")  # eight layers of 6 floats
    found = diagnose(graph, written(tmp_path / "x.weights", PJREDDIES, counting(48)))
    assert found.fits
    assert found.to_text().splitlines()[-1] == (
        "in doubt: version 0.2.0 is what pjreddie's Darknet writes, in whose order of [lstm] the "
        "file fits too: if it is pjreddie's, `yolo-gp convert --weights-dialect pjreddie` reads it "
        "right"
    )
    assert found.to_data()["doubt"] == found.doubt
