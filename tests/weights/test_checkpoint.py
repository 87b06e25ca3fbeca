"""Our safetensors files: what is in them, what they fit, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, fx

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, fold_batch_norm, initialise
from yolo_gp.plain import write_plain
from yolo_gp.weights.checkpoint import load_checkpoint, save_checkpoint
from yolo_gp.weights.checkpoint_info import CheckpointInfo, describe, read_info, read_shapes
from yolo_gp.weights.darknet import load_weights, save_weights
from yolo_gp.weights.header import WeightsHeader

NET = "[net]\nchannels=3\nheight=8\nwidth=8\n"
NORMED = "[convolutional]\nbatch_normalize=1\nfilters=2\nactivation=linear\n"
PLAIN = "[convolutional]\nfilters=2\nactivation=linear\n"
MIXED = (
    f"{NORMED}{PLAIN}[shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_channel\n"
    f"weights_normalization=relu\n[connected]\noutput=3\nbatch_normalize=1\nactivation=linear\n"
)


def prepared(sections: str, seed: int = 1) -> tuple[Graph, fx.GraphModule]:
    """A network all of whose numbers are different, batch norm statistics included."""
    graph = compile_text(NET + sections, "folder/test.cfg")
    network = compile_network(graph)
    initialise(network, seed)
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=generator)
    return graph, network


def numbers(network: fx.GraphModule) -> dict[str, Tensor]:
    return {k: v for k, v in network.state_dict().items() if v.is_floating_point()}


def assert_same(found: fx.GraphModule, wanted: fx.GraphModule) -> None:
    pairs = zip(numbers(found).values(), numbers(wanted).values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def written(path: Path, sections: str, **about: object) -> tuple[Graph, fx.GraphModule]:
    graph, network = prepared(sections)
    save_checkpoint(path, graph, network, replace(describe(graph), **about))  # type: ignore[arg-type]
    return graph, network


def failure(path: Path, sections: str) -> str:
    graph, network = prepared(sections)
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(path, graph, network)
    return str(caught.value)


# -- what is in a file -----------------------------------------------------------------------------


def test_a_file_holds_the_state_dict_under_its_own_names(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    _, network = written(path, MIXED)
    found = load_file(path)
    assert found.keys() == numbers(network).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in numbers(network).items())


def test_a_file_says_what_network_it_is_for(tmp_path: Path) -> None:
    header = WeightsHeader(0, 1, 9, 4_000_000_000, wide=False)
    names = ("Fuchs", "Igel", "")
    path = tmp_path / "x.safetensors"
    graph, _ = written(path, MIXED, darknet_header=header, class_names=names)
    assert read_info(path) == CheckpointInfo(
        cfg=NET + MIXED,
        cfg_name="test",
        fingerprint=graph.fingerprint,
        class_names=names,
        darknet_header=header,
    )
    (shape,) = (s for s in read_shapes(path) if s.name == "shortcut_2.weight")
    assert (shape.shape, shape.dtype) == ((2, 2), "F32")


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, MIXED, darknet_header=WeightsHeader(seen=5))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.safetensors"
    graph, network = written(path, MIXED)
    fresh = prepared(MIXED, seed=2)[1]
    assert load_checkpoint(path, graph, fresh).cfg == NET + MIXED
    assert_same(fresh, network)
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 11), ("bfloat16", 8)])
def test_half_precision_is_rounded_once_and_loads_as_float32(
    dtype: str, bits: int, tmp_path: Path
) -> None:
    graph, network = prepared(MIXED)
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, graph, network, describe(graph), dtype)
    fresh = prepared(MIXED, seed=2)[1]
    load_checkpoint(path, graph, fresh)
    for name, tensor in numbers(fresh).items():
        assert tensor.dtype == torch.float32
        # A significand of so many bits is off by half a unit in the last place, relative to 1.
        torch.testing.assert_close(tensor, numbers(network)[name], rtol=0.5**bits, atol=0)
        assert torch.equal(tensor, tensor.to(getattr(torch, dtype)).float())


def test_others_may_read_a_file_as_any_other_that_the_user_writes(tmp_path: Path) -> None:
    graph, network = prepared(MIXED)
    save_checkpoint(tmp_path / "out.safetensors", graph, network, describe(graph))
    (tmp_path / "plain").touch()
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["out.safetensors"] == modes["plain"]


def test_a_number_too_large_for_the_dtype_is_refused(tmp_path: Path) -> None:
    graph, network = prepared(NORMED)
    network.get_buffer("convolutional_0.batch_norm.running_var").fill_(70_000)
    path = tmp_path / "x.safetensors"
    with pytest.raises(WeightsError) as caught:
        save_checkpoint(path, graph, network, describe(graph), "float16")
    assert str(caught.value) == (
        "convolutional_0.batch_norm.running_var goes up to 70000, which float16 cannot hold\n"
        "expected: at most 65504\nhelp: take bfloat16 or float32"
    )
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(path, graph, network, describe(graph), "bfloat16")


@pytest.mark.parametrize(
    ("version", "counter"),
    [((0, 1, 0), "I"), ((0, 2, 5), "Q"), ((0, 1001, 0), "I"), ((0, 1001, 0), "Q")],
)
def test_a_weights_file_comes_back_byte_by_byte(
    version: tuple[int, int, int], counter: str, tmp_path: Path
) -> None:
    graph, network = prepared(MIXED)
    save_weights(tmp_path / "plain", graph, network)
    body = (tmp_path / "plain").read_bytes()[20:]
    size = (tmp_path / "in").write_bytes(struct.pack(f"<iii{counter}", *version, 99) + body)
    assert size > 400
    header = load_weights(tmp_path / "in", graph, network)
    save_checkpoint(tmp_path / "mid", graph, network, describe(graph, header=header))
    fresh = prepared(MIXED, seed=2)[1]
    info = load_checkpoint(tmp_path / "mid", graph, fresh)
    save_weights(tmp_path / "out", graph, fresh, info.darknet_header)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


# -- layers that share, or that a .weights file leaves out -----------------------------------------


def test_shared_tensors_stand_in_the_file_once(tmp_path: Path) -> None:
    square = "filters=3\nactivation=linear\nbatch_normalize=1\n"
    sections = f"[conv]\n{square}[conv]\nshare_index=0\n{square}{PLAIN}"
    path = tmp_path / "x.safetensors"
    graph, network = written(path, sections)
    assert {name.partition(".")[0] for name in load_file(path)} == {
        "convolutional_0",
        "convolutional_2",
    }
    fresh = prepared(sections, seed=2)[1]
    load_checkpoint(path, graph, fresh)
    assert_same(fresh, network)


@pytest.mark.parametrize("key", ["dontload", "dontloadscales"])
def test_what_a_weights_file_leaves_out_is_in_ours(key: str, tmp_path: Path) -> None:
    sections = f"{NORMED}{key}=1\n[connected]\noutput=2\nbatch_normalize=1\n{key}=1\n"
    path = tmp_path / "x.safetensors"
    graph, network = written(path, sections)
    assert load_file(path).keys() == numbers(network).keys()
    fresh = prepared(sections, seed=2)[1]
    load_checkpoint(path, graph, fresh)
    assert_same(fresh, network)


# -- other cfgs ------------------------------------------------------------------------------------

MACRO = (
    f"{NORMED}[csp]\nfilters=4\nrepeat=2\nactivation=leaky\n"
    "[partial_shortcut]\nfrom=0\nchannels=1\n[convolutional]\nfilters=4\nactivation=linear\n"
)


def test_a_macro_and_its_expansion_exchange_weights(tmp_path: Path) -> None:
    content = (NET + MACRO).encode()
    macro, trained = prepared(MACRO)
    plain = compile_text(write_plain(content, macro).content, "plain.cfg")
    assert len(plain.nodes) > len(macro.nodes)  # so that the numbers of layers differ behind it
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, macro, trained, describe(macro))
    expanded = compile_network(plain)
    load_checkpoint(path, plain, expanded)
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        wanted = trained(image)[0]
        torch.testing.assert_close(expanded(image)[0], wanted, rtol=1e-5, atol=1e-5)
    save_checkpoint(path, plain, expanded, describe(plain))
    again = compile_network(macro)
    load_checkpoint(path, macro, again)
    assert_same(again, trained)


def test_another_network_is_refused_with_the_first_tensor_that_does_not_fit(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.safetensors"
    written(path, MIXED)
    assert failure(path, MIXED.replace("output=3", "output=5")) == (
        f"{path} does not fit this cfg; tensors 5 of another shape\n"
        "  of another shape: layer 3 [connected], batch_norm.bias is 5 here, 3 as "
        "connected_3.batch_norm.bias; "
        "layer 3 [connected], linear.weight is 5x128 here, 3x128 as connected_3.linear.weight; "
        "layer 3 [connected], batch_norm.weight is 5 here, 3 as connected_3.batch_norm.weight; "
        "and 2 more\n"
        "expected: exactly the 13 tensors of the network\n"
        "help: the file belongs to another cfg (classes, filters, a missing layer)"
    )


def test_tensors_that_are_missing_or_left_over_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written(path, NORMED + PLAIN)
    text = failure(path, PLAIN + PLAIN)
    assert text.startswith(
        f"{path} does not fit this cfg; tensors 1 missing from the file, 4 left over in the file\n"
        "  missing from the file: layer 0 [convolutional], convolution.bias\n"
        "  left over in the file: convolutional_0.batch_norm.bias; "
    )
    assert "; and 1 more\n" in text
    assert failure(path, NORMED + PLAIN + PLAIN).startswith(
        f"{path} does not fit this cfg; tensors 2 missing from the file\n"
        "  missing from the file: layer 2 [convolutional], convolution.bias; "
        "layer 2 [convolutional], convolution.weight\n"
    )


def test_nothing_is_loaded_from_a_file_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written(path, NORMED + PLAIN)
    graph, network = prepared(PLAIN + PLAIN, seed=2)
    before = {name: tensor.clone() for name, tensor in numbers(network).items()}
    with pytest.raises(WeightsError):
        load_checkpoint(path, graph, network)
    assert all(torch.equal(before[name], tensor) for name, tensor in numbers(network).items())


# -- parts -----------------------------------------------------------------------------------------


def test_a_part_holds_the_sections_before_its_cutoff(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    graph, network = written(path, MIXED, cutoff=2)
    assert {name.partition(".")[0] for name in load_file(path)} == {
        "convolutional_0",
        "convolutional_1",
    }
    fresh = prepared(MIXED, seed=2)[1]
    untouched = fresh.get_parameter("shortcut_2.weight").clone()
    assert load_checkpoint(path, graph, fresh).cutoff == 2
    assert torch.equal(fresh.get_parameter("shortcut_2.weight"), untouched)
    for name in ("convolutional_0.convolution.weight", "convolutional_1.convolution.bias"):
        assert torch.equal(fresh.get_parameter(name), network.get_parameter(name))


# -- broken and foreign files ----------------------------------------------------------------------


@pytest.mark.parametrize("kept", [9, 50, 600, -1, -200])
def test_a_cut_file_is_no_whole_file(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written(path, MIXED)
    path.write_bytes(path.read_bytes()[:kept])
    text = failure(path, MIXED)
    assert text.startswith(f"{path} is no whole safetensors file: ")
    assert text.endswith("\nhelp: it was cut off or damaged; fetch or convert it again")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x02" + bytes(7) + b"{}", b"\x10" + bytes(7) + b"{" * 16]
)
def test_garbage_is_a_weights_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert str(path) in failure(path, MIXED)


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"model.0.weight": torch.zeros(3)}, path, {"format": "pt"})
    assert failure(path, MIXED) == (
        f"{path} was not written by yolo-gp: its metadata does not say what network it is for\n"
        "expected: a safetensors file that `yolo-gp convert` wrote\n"
        "help: convert the Darknet or torch weights that it was made from"
    )


DAMAGES: list[dict[str, object]] = [
    {"cfg": None},
    {"cfg_name": 3},
    {"fingerprint": []},
    {"class_names": "cat"},
    {"class_names": [1]},
    {"cutoff": "2"},
    {"cutoff": 0},
    {"darknet_header": [0, 2, 5]},
    {"darknet_header": {"major": 0, "minor": 2, "revision": 5, "seen": None}},
]


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_damaged_metadata_is_a_weights_error(damage: dict[str, object], tmp_path: Path) -> None:
    graph, _ = prepared(MIXED)
    path = tmp_path / "x.safetensors"
    entries = {**describe(graph).to_entries(), **damage}
    save_file({"a": torch.zeros(1)}, path, {"yolo-gp": json.dumps(entries)})
    assert failure(path, MIXED).startswith(f"{path} says about itself what yolo-gp cannot read: ")


@pytest.mark.parametrize("text", ["", "[1]", "{", "3"])
def test_metadata_that_is_no_record_is_a_weights_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"yolo-gp": text})
    assert failure(path, MIXED).startswith(f"{path} says about itself what yolo-gp cannot read: ")


def test_a_file_of_a_later_version_asks_for_an_update(tmp_path: Path) -> None:
    graph, _ = prepared(MIXED)
    path = tmp_path / "x.safetensors"
    entries = {**describe(graph).to_entries(), "schema_version": 2}
    save_file({"a": torch.zeros(1)}, path, {"yolo-gp": json.dumps(entries)})
    assert failure(path, MIXED) == (
        f"{path} has schema version 2, this yolo-gp knows 1\nhelp: update yolo-gp"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert failure(absent, MIXED).startswith(f"cannot read weights {absent}: ")


# -- writing ---------------------------------------------------------------------------------------


def full_disk(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WeightsError) as caught:
        written(path, MIXED)
    assert str(caught.value) == f"cannot write weights {path}: no space left on device"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_below_something_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"^cannot write weights .*: not a directory$"):
        written(tmp_path / "file" / "folder" / "x.safetensors", MIXED)


def test_a_failure_inside_the_writer_is_a_weights_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise safetensors.SafetensorError("Error while serializing: IoError")

    monkeypatch.setattr("yolo_gp.weights.checkpoint.save_file", fail)
    with pytest.raises(WeightsError, match="Error while serializing"):
        written(tmp_path / "x.safetensors", MIXED)
    assert list(tmp_path.iterdir()) == []


def test_a_folded_network_cannot_be_saved(tmp_path: Path) -> None:
    graph, network = prepared(NORMED)
    fold_batch_norm(network, graph)
    with pytest.raises(WeightsError, match=r"batch_norm.bias: its batch norms were folded"):
        save_checkpoint(tmp_path / "x.safetensors", graph, network, describe(graph))
    assert list(tmp_path.iterdir()) == []
