"""`.weights` files, built byte by byte (darknet.md 4): header, order, modifiers, broken files."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.network import compile_network, fold_batch_norm, initialise
from yolo_gp.weights.darknet import load_prefix, load_weights, save_weights
from yolo_gp.weights.header import WeightsHeader, read_header
from yolo_gp.weights.layout import file_layout, float_count

NET = "[net]\nchannels=3\nheight=4\nwidth=4\n"
CONVOLUTION = "[convolutional]\nfilters=2\nactivation=linear\n"
# 14 floats: bias, scale, mean and variance of 2 filters, 2 x 3 weights.
NORMED = "[convolutional]\nbatch_normalize=1\nfilters=2\nactivation=linear\n"
# Another 66: 2 biases and 2 x 32 weights.
PAIR = f"{NORMED}[connected]\noutput=2\nactivation=linear\n"
HEADER = struct.pack("<iiiQ", 0, 2, 5, 77)

Floats = NDArray[np.float32]


def counting(count: int, start: int = 0) -> Floats:
    """Numbers that tell where in the file they stood."""
    return np.arange(start, start + count, dtype="<f4")


def prepared(sections: str) -> tuple[Graph, fx.GraphModule]:
    """A network whose every number is NaN until it is loaded."""
    graph = compile_text(NET + sections, "test.cfg")
    network = compile_network(graph)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    return graph, network


def loaded(sections: str, floats: Floats, folder: Path, header: bytes = HEADER) -> fx.GraphModule:
    """The network filled from a file of these floats; writing it again gives the same bytes."""
    graph, network = prepared(sections)
    path = folder / "in.weights"
    path.write_bytes(header + floats.tobytes())
    found = load_weights(path, graph, network)
    save_weights(folder / "out.weights", graph, network, found)
    assert (folder / "out.weights").read_bytes() == path.read_bytes()
    return network


def values(network: fx.GraphModule, name: str) -> list[float]:
    numbers: list[float] = network.state_dict()[name].flatten().tolist()
    return numbers


def failure(sections: str, path: Path) -> str:
    graph, network = prepared(sections)
    with pytest.raises(WeightsError) as caught:
        load_weights(path, graph, network)
    return str(caught.value)


# -- header ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "counter", "size"),
    [
        ((0, 0, 0), "I", 16),
        ((0, 1, 0), "I", 16),
        ((0, 1, 9), "I", 16),
        ((0, 2, 0), "Q", 20),
        ((0, 2, 5), "Q", 20),
        ((0, 3, 0), "Q", 20),
        ((1, 0, 0), "Q", 20),
    ],
)
def test_seen_takes_64_bits_from_version_0_2_on(
    version: tuple[int, int, int], counter: str, size: int, tmp_path: Path
) -> None:
    seen = 5_000_000_000 if counter == "Q" else 4_000_000_000
    header = struct.pack(f"<iii{counter}", *version, seen)
    assert len(header) == size
    network = loaded(CONVOLUTION, counting(8), tmp_path, header)
    assert values(network, "convolutional_0.convolution.bias") == [0, 1]
    found = read_header(tmp_path / "in.weights")
    assert (found.major, found.minor, found.revision) == version
    assert (found.seen, found.size, found.to_bytes()) == (seen, size, header)


def test_without_a_header_darknets_current_version_is_written(tmp_path: Path) -> None:
    graph, network = prepared(CONVOLUTION)
    path = tmp_path / "new.weights"
    save_weights(path, graph, network)
    assert path.read_bytes()[:20] == struct.pack("<iiiQ", 0, 2, 5, 0)
    save_weights(path, graph, network, WeightsHeader(seen=6_400_000))
    assert read_header(path).seen == 6_400_000


@pytest.mark.parametrize("version", [(0, 1001, 0), (1001, 0, 0), (1001, 1001, 0)])
@pytest.mark.parametrize("counter", ["I", "Q"])
def test_in_a_marked_file_the_size_tells_how_wide_seen_is(
    version: tuple[int, int, int], counter: str, tmp_path: Path
) -> None:
    header = struct.pack(f"<iii{counter}", *version, 123)
    network = loaded(PAIR, counting(80), tmp_path, header)
    found = read_header(tmp_path / "in.weights", 80)
    assert (found.seen, found.size, found.transposed) == (123, len(header), True)
    assert values(network, "convolutional_0.batch_norm.bias") == [0, 1]
    # The connected matrix lies transposed, two numbers per input; the convolution's does not.
    assert values(network, "convolutional_0.convolution.weight") == list(range(8, 14))
    assert values(network, "connected_1.linear.weight") == [
        *range(16, 80, 2),
        *range(17, 80, 2),
    ]


def test_a_version_of_1000_is_not_marked(tmp_path: Path) -> None:
    network = loaded(PAIR, counting(80), tmp_path, struct.pack("<iiiQ", 0, 1000, 0, 0))
    assert values(network, "connected_1.linear.weight") == list(range(16, 80))


# -- order -----------------------------------------------------------------------------------------


def test_a_convolution_is_bias_scale_mean_variance_then_filters(tmp_path: Path) -> None:
    sections = "[conv]\nbatch_normalize=1\nfilters=2\nsize=3\npad=1\nactivation=linear\n"
    network = loaded(sections, counting(8 + 54), tmp_path)
    for position, name in enumerate(("bias", "weight", "running_mean", "running_var")):
        expected = [2 * position, 2 * position + 1]
        assert values(network, f"convolutional_0.batch_norm.{name}") == expected
    weight = network.get_parameter("convolutional_0.convolution.weight")
    for filter_, channel, y, x in np.ndindex(2, 3, 3, 3):
        assert weight[filter_, channel, y, x] == 8 + ((filter_ * 3 + channel) * 3 + y) * 3 + x


def test_a_convolution_without_batch_norm_is_bias_then_filters(tmp_path: Path) -> None:
    sections = "[maxpool]\n[conv]\nfilters=3\ngroups=3\nsize=1\nactivation=linear\n"
    network = loaded(sections, counting(6), tmp_path)
    assert values(network, "convolutional_1.convolution.bias") == [0, 1, 2]
    assert values(network, "convolutional_1.convolution.weight") == [3, 4, 5]


@pytest.mark.parametrize(("kind", "count"), [("per_feature", 1), ("per_channel", 3)])
def test_shortcut_weights_are_one_block_per_addend(kind: str, count: int, tmp_path: Path) -> None:
    sections = (
        "[maxpool]\n[maxpool]\n[shortcut]\nfrom=0,0\nactivation=linear\n"
        f"weights_type={kind}\nweights_normalization=relu\n"
    )
    network = loaded(sections, counting(3 * count), tmp_path)
    assert network.get_parameter("shortcut_2.weight").shape == (3, count)
    assert values(network, "shortcut_2.weight") == list(range(3 * count))


def test_a_flipped_convolution_lies_transposed_in_the_file(tmp_path: Path) -> None:
    sections = (
        "[conv]\nflipped=1\nfilters=2\nsize=2\nactivation=linear\nbatch_normalize=1\n"
        "[conv]\nfilters=1\nactivation=linear\n"
    )
    network = loaded(sections, counting(8 + 24 + 3), tmp_path)
    weight = network.get_parameter("convolutional_0.convolution.weight")
    for filter_, channel, y, x in np.ndindex(2, 3, 2, 2):
        assert weight[filter_, channel, y, x] == 8 + 2 * ((channel * 2 + y) * 2 + x) + filter_
    assert values(network, "convolutional_1.convolution.bias") == [32]


def test_a_flipped_convolution_with_groups_has_fewer_inputs(tmp_path: Path) -> None:
    sections = "[conv]\nflipped=1\nfilters=3\ngroups=3\nsize=2\nactivation=linear\n"
    network = loaded(sections, counting(3 + 12), tmp_path)
    weight = network.get_parameter("convolutional_0.convolution.weight")
    for filter_, y, x in np.ndindex(3, 2, 2):
        assert weight[filter_, 0, y, x] == 3 + 3 * (y * 2 + x) + filter_


# -- modifiers -------------------------------------------------------------------------------------


def test_dontload_takes_nothing_from_the_file(tmp_path: Path) -> None:
    sections = f"{CONVOLUTION}{NORMED}dontload=1\n{NORMED}"
    network = loaded(sections, counting(8 + 8 + 4), tmp_path)
    assert values(network, "convolutional_0.convolution.bias") == [0, 1]
    assert values(network, "convolutional_2.batch_norm.bias") == [8, 9]
    left_out = network.get_submodule("convolutional_1")
    for name, tensor in left_out.state_dict().items():
        assert tensor.isfinite().all(), name
    assert values(network, "convolutional_1.batch_norm.weight") == [1, 1]
    weight = left_out.get_parameter("convolution.weight")
    assert 0 < weight.abs().max() <= 1  # sqrt(2 / 2 inputs)


def test_dontloadscales_leaves_scale_mean_and_variance_out(tmp_path: Path) -> None:
    network = loaded(f"{NORMED}dontloadscales=1\n{CONVOLUTION}", counting(8 + 6), tmp_path)
    assert values(network, "convolutional_0.batch_norm.bias") == [0, 1]
    assert values(network, "convolutional_0.convolution.weight") == [2, 3, 4, 5, 6, 7]
    assert values(network, "convolutional_0.batch_norm.weight") == [1, 1]
    assert values(network, "convolutional_0.batch_norm.running_mean") == [0, 0]
    assert values(network, "convolutional_1.convolution.bias") == [8, 9]


def test_dontloadscales_without_batch_norm_changes_nothing(tmp_path: Path) -> None:
    network = loaded(f"{CONVOLUTION}dontloadscales=1\n", counting(8), tmp_path)
    assert values(network, "convolutional_0.convolution.weight") == list(range(2, 8))


def test_dontloadscales_leaves_the_end_of_a_connected_layer_out(tmp_path: Path) -> None:
    sections = "[connected]\noutput=1\nbatch_normalize=1\ndontloadscales=1\n"
    network = loaded(f"{sections}{CONVOLUTION}", counting(1 + 48 + 4), tmp_path)
    assert values(network, "connected_0.linear.weight") == list(range(1, 49))
    assert values(network, "connected_0.batch_norm.running_var") == [1]
    assert values(network, "convolutional_1.convolution.bias") == [49, 50]


def test_a_layer_that_shares_weights_takes_nothing_from_the_file(tmp_path: Path) -> None:
    square = "filters=3\nactivation=linear\nbatch_normalize=1\n"
    sections = f"[conv]\n{square}[conv]\nshare_index=0\n{square}{CONVOLUTION}"
    network = loaded(sections, counting(4 * 3 + 9 + 8), tmp_path)
    assert values(network, "convolutional_1.convolution.weight") == list(range(12, 21))
    assert values(network, "convolutional_2.convolution.bias") == [21, 22]


# -- files that do not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floats", "odd_bytes", "tensor", "start", "count", "missing"),
    [
        (0, 0, "layer 0 [convolutional], batch_norm.bias", 20, 2, 2),
        (2, 0, "layer 0 [convolutional], batch_norm.weight", 28, 2, 2),
        (8, 0, "layer 0 [convolutional], convolution.weight", 52, 6, 6),
        (10, 3, "layer 0 [convolutional], convolution.weight", 52, 6, 4),
        (14, 1, "layer 1 [connected], linear.bias", 76, 2, 2),
        (79, 0, "layer 1 [connected], linear.weight", 84, 64, 1),
    ],
)
def test_a_short_file_is_refused_with_the_place_where_it_ends(
    floats: int, odd_bytes: int, tensor: str, start: int, count: int, missing: int, tmp_path: Path
) -> None:
    path = tmp_path / "short.weights"
    path.write_bytes((HEADER + counting(80).tobytes())[: 20 + 4 * floats + odd_bytes])
    assert failure(PAIR, path) == (
        f"{path} is too short for this cfg: it ends in {tensor}, which starts at byte {start} and "
        f"has {count} floats, {missing} of them missing\n"
        "expected: 80 floats after the 20-byte header (340 bytes), "
        f"found: {floats} floats ({20 + 4 * floats + odd_bytes} bytes)\n"
        "help: the file was cut off, or belongs to another cfg (classes, filters)"
    )


def test_a_file_that_ends_between_sections_is_named_a_prefix(tmp_path: Path) -> None:
    path = tmp_path / "net.conv.1"
    path.write_bytes(HEADER + counting(14).tobytes())
    assert failure(PAIR, path) == (
        f"{path} is too short for this cfg: it ends exactly after layer 0, as a prefix such as "
        "AlexeyAB's .conv.1 does\n"
        "expected: 80 floats after the 20-byte header (340 bytes), found: 14 floats (76 bytes)\n"
        "help: a prefix starts a training, it does not run; or the file was cut off, or belongs to "
        "another cfg"
    )


@pytest.mark.parametrize(
    ("floats", "odd_bytes", "surplus"), [(85, 0, "5 floats"), (81, 2, "1 floats and 2 bytes")]
)
def test_a_long_file_is_refused(floats: int, odd_bytes: int, surplus: str, tmp_path: Path) -> None:
    path = tmp_path / "long.weights"
    path.write_bytes(HEADER + counting(floats).tobytes() + bytes(odd_bytes))
    assert failure(PAIR, path) == (
        f"{path} is too long for this cfg: {surplus} are left after layer 1 [connected], "
        "linear.weight\n"
        "expected: 80 floats after the 20-byte header (340 bytes), "
        f"found: {floats} floats ({20 + 4 * floats + odd_bytes} bytes)\n"
        "help: the file belongs to another cfg (classes, filters, a missing layer)"
    )


def test_stray_bytes_at_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.weights"
    path.write_bytes(HEADER + counting(80).tobytes() + b"\n")
    assert failure(PAIR, path).startswith(f"{path} is too long for this cfg: ")


def test_a_network_without_weights_takes_no_floats(tmp_path: Path) -> None:
    path = tmp_path / "none.weights"
    path.write_bytes(HEADER)
    graph, network = prepared("[maxpool]\n")
    assert load_weights(path, graph, network).seen == 77
    path.write_bytes(HEADER + counting(1).tobytes())
    assert failure("[maxpool]\n", path) == (
        f"{path} is too long for this cfg: 1 floats are left though the network has no weights\n"
        "expected: 0 floats after the 20-byte header (20 bytes), found: 1 floats (24 bytes)\n"
        "help: the file belongs to another cfg (classes, filters, a missing layer)"
    )


def test_the_16_byte_header_is_counted_as_such(tmp_path: Path) -> None:
    path = tmp_path / "old.weights"
    path.write_bytes(struct.pack("<iiiI", 0, 1, 0, 0) + counting(79).tobytes())
    message = failure(PAIR, path)
    assert "which starts at byte 80 and has 64 floats, 1 of them missing" in message
    assert "expected: 80 floats after the 16-byte header (336 bytes), found: 79 floats" in message


def test_nothing_is_loaded_from_a_file_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "short.weights"
    path.write_bytes(HEADER + counting(79).tobytes())
    graph, network = prepared(PAIR)
    with pytest.raises(WeightsError):
        load_weights(path, graph, network)
    state = network.state_dict().values()
    assert all(tensor.isnan().all() for tensor in state if tensor.is_floating_point())


WEB_PAGE = (
    "{path} is a web page, not a weights file\n"
    "help: the download failed (many old links do); fetch the file from another address"
)
CHECKPOINT = (
    "{path} is a torch checkpoint, not a Darknet .weights file\n"
    "help: pass the .weights file the cfg was published with"
)
TINY = (
    "{path} has {size} bytes, which is no weights file\n"
    "expected: a header of 16 or 20 bytes, then 32-bit floats\n"
    "help: fetch the file again"
)
VERSION = (
    "{path} starts with version {version}, so it is no weights file\n"
    "expected: a Darknet version such as 0.2.5 in the first 12 bytes"
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", WEB_PAGE),
        (b"\r\n  <HTML lang='en'><head></head></HTML>", WEB_PAGE),
        (b"<?xml version='1.0'?><Error>NoSuchKey</Error>", WEB_PAGE),
        (b"PK\x03\x04" + bytes(400), CHECKPOINT),
        (b"\x80\x02}q\x00(X\x05\x00\x00\x00model" + bytes(400), CHECKPOINT),
        (b"", TINY),
        (HEADER[:15], TINY),
        (HEADER[:18], "{path} ends inside its header, after 18 bytes"),
        (struct.pack("<iii", -1, 2, 5) + bytes(400), VERSION.replace("{version}", "-1.2.5")),
        (struct.pack("<iii", 0, 100_001, 0) + bytes(9), VERSION.replace("{version}", "0.100001.0")),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), VERSION.replace("{version}", "1196314761.169478669.0")),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)  # fmt: skip
def test_what_is_no_weights_file_is_named(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "model.weights"
    path.write_bytes(content)
    assert failure(PAIR, path) == expected.format(path=path, size=len(content))


def test_a_torch_checkpoint_is_recognised(tmp_path: Path) -> None:
    for zipped in (True, False):
        path = tmp_path / f"zipped-{zipped}.pt"
        torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)
        assert failure(PAIR, path) == CHECKPOINT.format(path=path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.weights"
    assert failure(PAIR, absent) == f"cannot read weights {absent}: no such file or directory"
    assert failure(PAIR, tmp_path) == f"cannot read weights {tmp_path}: is a directory"


# -- prefixes --------------------------------------------------------------------------------------

POOLED = f"{NORMED}[maxpool]\nsize=1\nstride=1\n{CONVOLUTION}"  # 14 floats, none, 2 + 4


def test_a_prefix_fills_the_first_sections_only(tmp_path: Path) -> None:
    path = tmp_path / "net.conv.1"
    path.write_bytes(HEADER + counting(14).tobytes())
    graph, network = prepared(POOLED)
    header, cutoff = load_prefix(path, graph, network)
    assert (header.seen, cutoff) == (77, 1)
    assert values(network, "convolutional_0.convolution.weight") == list(range(8, 14))
    assert network.get_parameter("convolutional_2.convolution.weight").isnan().all()
    # The pool between has no weights, so a prefix of 2 sections has the same bytes.
    for sections in (1, 2):
        save_weights(tmp_path / "out.weights", graph, network, header, sections)
        assert (tmp_path / "out.weights").read_bytes() == path.read_bytes()


def test_a_whole_file_is_no_prefix(tmp_path: Path) -> None:
    path = tmp_path / "whole.weights"
    path.write_bytes(HEADER + counting(20).tobytes())
    graph, network = prepared(POOLED)
    assert load_prefix(path, graph, network)[1] is None
    assert values(network, "convolutional_2.convolution.weight") == [16, 17, 18, 19]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (20 + 4 * 13, "it ends in layer 0 [convolutional], convolution.weight, which starts at"),
        (20 + 4 * 14 + 1, "it ends in layer 2 [convolutional], convolution.bias, which starts at"),
        (20 + 4 * 16, "it ends in layer 2 [convolutional], convolution.weight, which starts at"),
        (20, "it ends in layer 0 [convolutional], batch_norm.bias, which starts at"),
        (20 + 4 * 21, "1 floats are left after layer 2 [convolutional], convolution.weight"),
    ],
)
def test_a_prefix_ends_between_sections(size: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.weights"
    path.write_bytes((HEADER + counting(30).tobytes())[:size])
    graph, network = prepared(POOLED)
    with pytest.raises(WeightsError) as caught:
        load_prefix(path, graph, network)
    assert message in str(caught.value)


def test_a_prefix_ends_between_macros_not_within_one(tmp_path: Path) -> None:
    csp = f"{CONVOLUTION}[csp]\nfilters=4\nrepeat=1\n{CONVOLUTION}"
    graph, network = prepared(csp)
    ends = {placed.node.written: placed.end for placed in file_layout(graph)}
    within = next(p.end for p in file_layout(graph) if p.node.written == 1)
    for floats, cutoff in ((ends[0], 1), (ends[1], 2)):
        path = tmp_path / "net.weights"
        path.write_bytes(HEADER + counting(floats).tobytes())
        assert load_prefix(path, graph, network)[1] == cutoff
    path.write_bytes(HEADER + counting(within).tobytes())
    with pytest.raises(WeightsError, match="it ends in layer 1 "):
        load_prefix(path, graph, network)


def test_the_first_29_sections_of_yolov4_tiny_are_alexeyabs_conv_29(
    shared: Path, tmp_path: Path
) -> None:
    graph = read_graph(shared / "data/cfg-corpus/AlexeyAB-darknet/yolov4-tiny.cfg")
    network = compile_network(graph)
    path = tmp_path / "yolov4-tiny.conv.29"
    save_weights(path, graph, network, cutoff=29)
    assert path.stat().st_size == 19_789_716  # darknet.md 4.5, measured on Darknet itself
    assert load_prefix(path, graph, network)[1] == 29
    with pytest.raises(WeightsError, match=r"ends exactly after layer 28, .* \.conv\.29 does"):
        load_weights(path, graph, network)


# -- saving ----------------------------------------------------------------------------------------


def full_disk(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, network = prepared(PAIR)
    initialise(network, seed=1)
    path = tmp_path / "model.weights"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WeightsError) as caught:
        save_weights(path, graph, network)
    assert str(caught.value) == f"cannot write weights {path}: no space left on device"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path) -> None:
    graph, network = prepared(PAIR)
    path = tmp_path / "model.weights"
    path.write_bytes(b"old")

    def interrupt(_network: object, _name: str) -> None:
        raise KeyboardInterrupt

    last = network.get_submodule("connected_1.linear")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(last), "__getattr__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_weights(path, graph, network)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_below_something_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    graph, network = prepared(PAIR)
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "folder" / "model.weights"
    with pytest.raises(WeightsError) as caught:
        save_weights(path, graph, network)
    assert str(caught.value) == f"cannot write weights {path}: not a directory"


def test_a_network_can_be_saved_over_the_file_it_was_loaded_from(tmp_path: Path) -> None:
    network = loaded(PAIR, counting(80), tmp_path)
    graph = compile_text(NET + PAIR, "test.cfg")
    network.get_parameter("connected_1.linear.bias").data.fill_(-1.0)
    path = tmp_path / "in.weights"
    load_weights(path, graph, compile_network(graph))
    save_weights(path, graph, network, read_header(path))
    expected = counting(80)
    expected[14:16] = -1
    assert path.read_bytes() == HEADER + expected.tobytes()


# -- memory ----------------------------------------------------------------------------------------

LOADER = """
import sys, threading
from pathlib import Path
from yolo_gp.graph import read_graph
from yolo_gp.network import compile_network
from yolo_gp.weights.darknet import load_weights

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024

def watch():
    while not done.wait(0.001):
        seen.append(anonymous())

graph = read_graph(Path(sys.argv[1]))
network = compile_network(graph)
seen, done = [anonymous()], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
load_weights(Path(sys.argv[2]), graph, network)
done.set()
watcher.join()
print(max([*seen, anonymous()]) - seen[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_loading_takes_no_more_memory_than_the_network_itself(tmp_path: Path) -> None:
    cfg, weights = tmp_path / "large.cfg", tmp_path / "large.weights"
    layer = "[conv]\nfilters=1024\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    cfg.write_text(f"[net]\nchannels=1024\nheight=8\nwidth=8\n{6 * layer}")
    size = 20 + 4 * 6 * (4 * 1024 + 1024 * 1024 * 9)
    assert size > 200e6
    with weights.open("wb") as file:  # a hole: the zeros take no room on disk
        file.write(HEADER)
        file.truncate(size)
    command: Sequence[str | Path] = (sys.executable, "-c", LOADER, cfg, weights)
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = int(result.stdout)
    assert 0.9 * size < growth < 1.25 * size


# -- real files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "yolo-fastest-1.1",
        "yolo-fastest-1.1-xl",
        "mobilenetv2-yolov3-nano-coco",
        "mobilenetv2-yolo-fastest-voc",
        "yoloface-50k",
    ],
)
def test_a_real_model_has_no_float_left_over_and_is_written_as_it_was(
    name: str, shared: Path, tmp_path: Path
) -> None:
    weights = shared / f"data/models/{name}.weights"
    graph = read_graph(weights.with_suffix(".cfg"))
    assert 20 + 4 * float_count(graph) == weights.stat().st_size
    network = compile_network(graph)
    header = load_weights(weights, graph, network)
    assert (header.major, header.minor, header.revision, header.size) == (0, 2, 5, 20)
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    save_weights(tmp_path / "again.weights", graph, network, header)
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


def test_a_folded_network_cannot_be_saved(tmp_path: Path) -> None:
    graph = compile_text(NET + "[convolutional]\nbatch_normalize=1\nactivation=linear\n", "x.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    fold_batch_norm(network, graph)
    with pytest.raises(WeightsError) as caught:
        save_weights(tmp_path / "x.weights", graph, network)
    assert str(caught.value) == (
        "the network has no layer 0 [convolutional], batch_norm.bias: its batch norms were folded "
        "for inference\n"
        "help: save before folding, or compile the cfg and load its weights again"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_count_beyond_32_bits_does_not_go_into_a_narrow_header() -> None:
    header = WeightsHeader(0, 1, 0, seen=2**32, wide=False)
    with pytest.raises(WeightsError, match=r"do not fit into the 32 bits of a version 0\.1 header"):
        header.to_bytes()
