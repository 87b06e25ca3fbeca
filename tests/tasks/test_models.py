"""From names of files to a network: where cfg, weights and class names come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from yolo_gp.errors import CfgError, DataError, UsageError, WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.tasks.models import ModelSource, load_model
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import describe
from yolo_gp.weights.darknet import save_weights
from yolo_gp.weights.state_dicts import save_state_dict

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters=21
size=32
stride=32
activation=linear
[yolo]
classes=2
num=3
anchors=4,4, 8,8, 16,16
"""
WEIGHT = "convolutional_0.convolution.weight"


@pytest.fixture
def graph() -> Graph:
    return compile_text(CFG, "tiny.cfg")


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.cfg"
    path.write_text(CFG)
    return path


def write(path: Path, graph: Graph, *names: str, cutoff: int | None = None) -> torch.Tensor:
    """Random weights in the format of the suffix; returns those of the convolution."""
    network = compile_network(graph)
    initialise(network, seed=5)
    info = describe(graph, class_names=names, cutoff=cutoff)
    match path.suffix:
        case ".weights":
            save_weights(path, graph, network)
        case ".safetensors":
            save_checkpoint(path, graph, network, info)
        case _:
            save_state_dict(path, graph, network, info)
    return network.get_parameter(WEIGHT)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_a_file_of_ours_is_enough(name: str, graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / name
    weight = write(path, graph, "cat", "dog")
    model = load_model(ModelSource(weights=path, size=(64, 96)))
    assert (model.names, model.cfg_name, model.notes) == (("cat", "dog"), "tiny", ())
    assert model.graph.fingerprint == graph.fingerprint
    assert model.graph.input_shape.size == (64, 96)
    assert torch.equal(model.network.get_parameter(WEIGHT), weight)


@pytest.mark.parametrize("name", ["x.weights", "x.safetensors", "x.pt"])
def test_a_cfg_can_be_given_beside_any_weights(
    name: str, graph: Graph, cfg: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    weight = write(path, graph)
    model = load_model(ModelSource(cfg=cfg, weights=path))
    assert torch.equal(model.network.get_parameter(WEIGHT), weight)
    assert (model.header is None) == (name != "x.weights")


def test_a_names_file_outranks_the_names_inside_the_weights(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write(path, graph, "cat", "dog")
    (tmp_path / "own.names").write_text("Katze\nHund\n")
    assert load_model(ModelSource(weights=path, names=tmp_path / "own.names")).names == (
        "Katze",
        "Hund",
    )


def test_weights_that_fit_another_cfg_are_taken_and_it_is_said(
    graph: Graph, cfg: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    write(path, graph)
    cfg.write_text(CFG.replace("4,4,", "5,5,"))  # other anchors: another network, equal tensors
    other = load_model(ModelSource(cfg=cfg, weights=path))
    assert other.notes == (
        f"the weights were written for another network than this cfg's (tiny, fingerprint "
        f"{graph.fingerprint[:8]}, here {other.graph.fingerprint[:8]}); all tensors fit",
    )


def test_messages_name_the_file_that_the_cfg_is_in(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write(path, graph)
    with pytest.raises(CfgError) as caught:
        load_model(ModelSource(weights=path, size=(16, 16)))
    assert str(caught.value).startswith(f"<{path}>:5:1: error: [convolutional] of size=32")


def test_darknet_weights_alone_do_not_say_what_network_they_are_for(
    graph: Graph, tmp_path: Path
) -> None:
    path = tmp_path / "x.weights"
    write(path, graph)
    with pytest.raises(UsageError) as caught:
        load_model(ModelSource(weights=path))
    assert str(caught.value) == (
        f"{path} holds no cfg, so it does not say what network it is for\n"
        "expected: --cfg CFG with it\n"
        "help: `yolo-gp convert` writes files that hold the cfg too"
    )


def test_an_onnx_model_is_no_source_of_weights_with_or_without_a_cfg(
    cfg: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"\x08\x08\x12\x07pytorch" + bytes(100))
    for source in (ModelSource(weights=path), ModelSource(weights=path, cfg=cfg)):
        with pytest.raises(WeightsError, match=r"is an ONNX model, whose weights cannot be read"):
            load_model(source)


def test_a_misspelt_pretrained_model_is_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = (
        "cannot read weights {}: no such file or directory\n"
        "expected: a file, or a pretrained model from the second table of `yolo-gp zoo list`"
    )
    with pytest.raises(WeightsError) as caught:
        load_model(ModelSource(weights="yolov4-tyni"))
    assert str(caught.value) == (
        expected.format("yolov4-tyni") + "\nhelp: did you mean yolov4-tiny?"
    )
    with pytest.raises(WeightsError) as caught:
        load_model(ModelSource(weights="zzz.pt"))
    assert str(caught.value) == expected.format("zzz.pt")
    with pytest.raises(WeightsError) as caught:  # a path, so no name
        load_model(ModelSource(weights="there/yolov4-tiny"))
    assert str(caught.value) == ("cannot read weights there/yolov4-tiny: no such file or directory")


def test_a_names_file_without_names_is_refused(cfg: Path, tmp_path: Path) -> None:
    (tmp_path / "x.names").write_text("\n\n")
    with pytest.raises(DataError) as caught:
        load_model(ModelSource(cfg=cfg, names=tmp_path / "x.names", random_weights=True))
    assert str(caught.value) == (
        f"{tmp_path}/x.names holds no class names\nexpected: one name a line"
    )


def test_neither_cfg_nor_weights_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        ModelSource()
    assert str(caught.value) == (
        "neither a cfg nor weights are given\n"
        "expected: --cfg CFG, or --weights FILE with a file that `yolo-gp convert` wrote"
    )


@pytest.mark.parametrize("epsilon", [0.0, -1e-4, float("nan"), float("inf")])
def test_an_epsilon_is_a_positive_number(epsilon: float) -> None:
    with pytest.raises(UsageError, match=r"^batch norm epsilon \S+ is out of range\nexpected: a"):
        ModelSource(cfg="elan", weights="x", batch_norm_epsilon=epsilon)


def test_weights_of_a_part_do_not_run(graph: Graph, tmp_path: Path) -> None:
    two = compile_text(
        CFG.replace(
            "[convolutional]",
            "[convolutional]\nfilters=3\nactivation=linear\n[convolutional]",
        ),
        "two.cfg",
    )
    path = tmp_path / "x.safetensors"
    write(path, two, cutoff=1)
    with pytest.raises(WeightsError) as caught:
        load_model(ModelSource(weights=path))
    assert str(caught.value) == (
        f"{path} holds the first 1 sections only, so it does not run\n"
        "expected: weights of all 3 sections\n"
        "help: a part starts a training; `yolo-gp convert` takes it too"
    )
    assert load_model(ModelSource(weights=path), accept_partial=True).cutoff == 1
