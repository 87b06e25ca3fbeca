"""Torch files: ours, those of Darknet's heirs in torch, and those that are refused unrun."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.checkpoint_info import describe
from yolo_gp.weights.header import WeightsHeader
from yolo_gp.weights.loading import load_any
from yolo_gp.weights.state_dicts import load_state_dict, open_torch_file, save_state_dict

NET = "[net]\nchannels=3\nheight=8\nwidth=8\n"
NORMED = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
LAST = "[convolutional]\nfilters=2\nactivation=linear\n"
CFG = f"{NORMED}[maxpool]\nsize=2\nstride=2\n{NORMED}[shortcut]\nfrom=-2\nactivation=linear\n{LAST}"


def prepared(sections: str, seed: int = 1) -> tuple[Graph, fx.GraphModule]:
    graph = compile_text(NET + sections, "test.cfg")
    network = compile_network(graph)
    initialise(network, seed)
    return graph, network


def numbers(network: nn.Module) -> dict[str, Tensor]:
    return {k: v for k, v in network.state_dict().items() if v.is_floating_point()}


def assert_same(found: nn.Module, wanted: nn.Module) -> None:
    assert numbers(found).keys() == numbers(wanted).keys()
    assert all(torch.equal(numbers(found)[k], v) for k, v in numbers(wanted).items())


def failure(path: Path, sections: str = CFG) -> str:
    graph, network = prepared(sections)
    with pytest.raises(WeightsError) as caught:
        load_any(path, graph, network)
    return str(caught.value)


# -- ours ------------------------------------------------------------------------------------------


def test_our_file_holds_a_state_dict_that_torch_itself_can_load(tmp_path: Path) -> None:
    graph, network = prepared(CFG)
    path = tmp_path / "new" / "x.pt"
    count = save_state_dict(path, graph, network, describe(graph, class_names=("a", "b")))
    content = torch.load(path, weights_only=True)
    # Two convolutions of weight and four numbers of batch norm, one of weight and bias.
    assert count == len(content["model"]) == 2 * 5 + 2
    assert content["cfg"] == NET + CFG
    assert (content["class_names"], content["fingerprint"]) == (["a", "b"], graph.fingerprint)
    fresh = prepared(CFG, seed=2)[1]
    fresh.load_state_dict(content["model"], strict=True)
    assert_same(fresh, network)
    assert [p.name for p in path.parent.iterdir()] == ["x.pt"]


def test_our_file_comes_back_with_all_that_it_says(tmp_path: Path) -> None:
    graph, network = prepared(CFG)
    info = describe(graph, class_names=("a",), header=WeightsHeader(seen=5_000_000_000))
    save_state_dict(tmp_path / "x.pt", graph, network, info)
    fresh = prepared(CFG, seed=2)[1]
    file = open_torch_file(tmp_path / "x.pt")
    load_state_dict(file, graph, fresh)
    assert file.info == info
    assert_same(fresh, network)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
@pytest.mark.parametrize("entry", [None, "model", "ema", "state_dict"])
def test_a_bare_state_dict_of_ours_is_read(
    entry: str | None, prefix: str, zipped: bool, tmp_path: Path
) -> None:
    graph, network = prepared(CFG)
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    content = {entry: state, "epoch": 3} if entry else state
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    fresh = prepared(CFG, seed=2)[1]
    assert load_any(tmp_path / "x.pt", graph, fresh).notes == ()
    assert_same(fresh, network)


def test_of_two_models_in_a_file_the_averaged_one_is_taken(tmp_path: Path) -> None:
    graph, network = prepared(CFG)
    live = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    torch.save({"model": live, "ema": network.state_dict()}, tmp_path / "x.pt")
    fresh = prepared(CFG, seed=2)[1]
    load_any(tmp_path / "x.pt", graph, fresh)
    assert_same(fresh, network)


def test_shared_tensors_stand_under_each_of_their_names(tmp_path: Path) -> None:
    square = "filters=3\nactivation=linear\nbatch_normalize=1\n"
    sections = f"[conv]\n{square}[conv]\nshare_index=0\n{square}"
    graph, network = prepared(sections)
    count = save_state_dict(tmp_path / "x.pt", graph, network, describe(graph))
    state = torch.load(tmp_path / "x.pt", weights_only=True)["model"]
    assert (count, len(state)) == (5, 10)
    fresh = prepared(sections, seed=2)[1]
    load_any(tmp_path / "x.pt", graph, fresh)
    assert_same(fresh, network)


def test_half_precision_loads_as_float32(tmp_path: Path) -> None:
    graph, network = prepared(CFG)
    save_state_dict(tmp_path / "x.pt", graph, network, describe(graph), "float16")
    state = torch.load(tmp_path / "x.pt", weights_only=True)["model"]
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    fresh = prepared(CFG, seed=2)[1]
    load_any(tmp_path / "x.pt", graph, fresh)
    for name, tensor in numbers(fresh).items():
        assert torch.equal(tensor, numbers(network)[name].half().float())


def test_a_part_holds_the_sections_before_its_cutoff(tmp_path: Path) -> None:
    graph, network = prepared(CFG)
    save_state_dict(tmp_path / "x.pt", graph, network, describe(graph, cutoff=2))
    state = torch.load(tmp_path / "x.pt", weights_only=True)["model"]
    assert {name.partition(".")[0] for name in state} == {"convolutional_0"}
    fresh = prepared(CFG, seed=2)[1]
    loaded = load_any(tmp_path / "x.pt", graph, fresh, accept_partial=True)
    assert (loaded.cutoff, loaded.notes) == (
        2,
        (
            f"{tmp_path / 'x.pt'} holds the first 2 sections only: it starts a training, but does "
            "not run",
        ),
    )
    assert failure(tmp_path / "x.pt") == (
        f"{tmp_path / 'x.pt'} holds the first 2 sections only, so it does not run\n"
        "expected: weights of all 5 sections\n"
        "help: a part starts a training; `yolo-gp convert` takes it too"
    )


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    graph, network = prepared(CFG)
    path = tmp_path / "x.pt"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WeightsError) as caught:
        save_state_dict(path, graph, network, describe(graph))
    assert str(caught.value) == f"cannot write weights {path}: no space left on device"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# -- theirs ----------------------------------------------------------------------------------------


class Theirs(nn.Module):
    """CFG as those repositories build it: a list of modules with an entry for each section."""

    def __init__(self, epsilon: float = 1e-4) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.module_list = nn.ModuleList(
            [
                self._convolution(3, epsilon),
                nn.MaxPool2d(2, 2),
                self._convolution(4, epsilon),
                nn.Identity(),
                nn.Sequential(),
            ]
        )
        self.module_list[4].add_module("Conv2d", nn.Conv2d(4, 2, 1))
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_var.uniform_(1e-4, 2e-3)  # small, so that the epsilon counts
                    module.running_mean.normal_(0, 0.1)
                    module.weight.uniform_(0.01, 0.05)
                    module.bias.normal_()
        self.eval()

    @staticmethod
    def _convolution(channels: int, epsilon: float) -> nn.Sequential:
        block = nn.Sequential()
        block.add_module("Conv2d", nn.Conv2d(channels, 4, 3, padding=1, bias=False))
        block.add_module("BatchNorm2d", nn.BatchNorm2d(4, eps=epsilon, momentum=0.03))
        block.add_module("activation", nn.LeakyReLU(0.1))
        return block

    def forward(self, x: Tensor) -> Tensor:
        x = self.module_list[1](self.module_list[0](x))
        out: Tensor = self.module_list[4](self.module_list[2](x) + x)
        return out


def outputs(network: fx.GraphModule, image: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = network(image)[0]
    return out


IMAGE = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
NOTE = (
    "the code that names tensors so has epsilon 0.0001 in its batch norms, Darknet 1e-05; the "
    "numbers are taken as they are, so outputs differ a little; `yolo-gp convert "
    "--batch-norm-epsilon 0.0001` makes up for it, and --dialect yolor reads the cfg as that code "
    "does"
)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("entry", [None, "model", "ema"])
def test_numbers_of_theirs_are_taken_as_they_are(
    entry: str | None, prefix: str, tmp_path: Path
) -> None:
    theirs = Theirs(epsilon=1e-5)  # Darknet's, so that nothing but names can differ
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    assert any(name.endswith("num_batches_tracked") for name in state)
    torch.save({entry: state, "optimizer": None} if entry else state, tmp_path / "x.pt")
    graph, network = prepared(CFG)
    assert load_any(tmp_path / "x.pt", graph, network).notes == (NOTE,)
    with torch.no_grad():
        wanted = theirs(IMAGE)
    assert wanted.std() > 0.1
    torch.testing.assert_close(outputs(network, IMAGE), wanted, rtol=0, atol=1e-6)


def test_their_epsilon_is_made_up_for_on_demand(tmp_path: Path) -> None:
    theirs = Theirs(epsilon=1e-4)
    torch.save({"model": theirs.state_dict()}, tmp_path / "x.pt")
    graph, network = prepared(CFG)
    with torch.no_grad():
        wanted = theirs(IMAGE)
    load_any(tmp_path / "x.pt", graph, network)
    assert (outputs(network, IMAGE) - wanted).abs().max() > 1e-2
    loaded = load_any(tmp_path / "x.pt", graph, network, batch_norm_epsilon=1e-4)
    torch.testing.assert_close(outputs(network, IMAGE), wanted, rtol=0, atol=1e-5)
    assert loaded.notes == (
        "batch norms were trained with epsilon 0.0001: the difference to Darknet's 1e-05 was added "
        "to the running variances",
    )


def test_the_scores_of_the_best_epoch_may_be_numpys(tmp_path: Path) -> None:
    content = {
        "model": Theirs().state_dict(),
        "best_fitness": np.array([[0.4]]),
        "training_results": "0/299\n",
        "score": np.float64(0.4),
        "epochs": np.int64(3),
    }
    torch.save(content, tmp_path / "x.pt")
    graph, network = prepared(CFG)
    load_any(tmp_path / "x.pt", graph, network)
    weight = network.get_parameter("convolutional_4.convolution.weight")
    assert torch.equal(weight, content["model"]["module_list.4.Conv2d.weight"])


WEIGHTED = f"{LAST * 3}[shortcut]\nfrom=-2,-3\nactivation=linear\nweights_type=per_feature\n"


def weighted_file(path: Path) -> dict[str, Tensor]:
    torch.manual_seed(3)
    state = {"module_list.3.w": torch.tensor([0.5, -1.0, 2.0])}
    for layer, channels in enumerate((3, 2, 2)):
        state[f"module_list.{layer}.Conv2d.weight"] = torch.randn(2, channels, 1, 1)
        state[f"module_list.{layer}.Conv2d.bias"] = torch.randn(2)
    torch.save(state, path)
    return state


def test_their_weighted_shortcut_multiplies_with_sigmoids(tmp_path: Path) -> None:
    state = weighted_file(tmp_path / "x.pt")
    graph, network = prepared(WEIGHTED)
    load_any(tmp_path / "x.pt", graph, network)
    maps = [IMAGE]
    for layer in (0, 1, 2):
        tensors = (state[f"module_list.{layer}.Conv2d.{name}"] for name in ("weight", "bias"))
        maps.append(nn.functional.conv2d(maps[-1], *tensors))
    # sigmoid(w) * 2 / n for n = 3 addends: the previous layer, layer 1, layer 0.
    x, y, z = (2 / 3 / (1 + np.exp(-w)) for w in (0.5, -1.0, 2.0))
    wanted = maps[3] * x + maps[2] * y + maps[1] * z
    torch.testing.assert_close(outputs(network, IMAGE), wanted, rtol=0, atol=1e-5)


def test_a_shortcut_that_normalises_once_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    weighted_file(path)
    assert failure(path, f"{WEIGHTED}weights_normalization=relu\n") == (
        f"{path} has layer 3 [shortcut], weight as 2/n sigmoid(w), which this cfg would normalise "
        "once more\nexpected: a [shortcut] without weights_normalization\n"
        "help: remove weights_normalization from the cfg's weighted shortcuts"
    )


def test_every_tensor_is_used_and_every_tensor_is_filled(tmp_path: Path) -> None:
    state = Theirs().state_dict()
    state["module_list.3.implicit"] = torch.zeros(1, 4, 1, 1)
    state["module_list.4.activation.weight"] = torch.zeros(1)
    del state["module_list.2.BatchNorm2d.bias"]
    state["module_list.4.Conv2d.weight"] = torch.zeros(6, 4, 1, 1)
    path = tmp_path / "x.pt"
    torch.save(state, path)
    assert failure(path) == (
        f"{path} does not fit this cfg; tensors 1 of another shape, 1 missing from the file, "
        "2 left over in the file\n"
        "  of another shape: layer 4 [convolutional], convolution.weight is 2x4x1x1 here, 6x4x1x1 "
        "as module_list.4.Conv2d.weight\n"
        "  missing from the file: layer 2 [convolutional], batch_norm.bias\n"
        "  left over in the file: module_list.3.implicit; module_list.4.activation.weight\n"
        "expected: exactly the 12 tensors of the network\n"
        "help: the file belongs to another cfg (classes, filters, a missing layer)"
    )


def test_their_numbers_of_layers_may_be_those_of_an_expansion(tmp_path: Path) -> None:
    """[csp] is convolutions, routes and so on: theirs count each of them."""
    sections = f"{LAST}[csp]\nfilters=4\nrepeat=1\nactivation=leaky\n{LAST}"
    graph, network = prepared(sections)
    names = {
        "convolution": "Conv2d",
        "batch_norm": "BatchNorm2d",
    }
    state = {}
    for name, tensor in numbers(network).items():
        layer, kind, tail = name.split(".")
        state[f"module_list.{layer.rpartition('_')[2]}.{names[kind]}.{tail}"] = tensor
    torch.save(state, tmp_path / "x.pt")
    fresh = prepared(sections, seed=2)[1]
    load_any(tmp_path / "x.pt", graph, fresh)
    assert_same(fresh, network)


# -- refused ---------------------------------------------------------------------------------------


class Malicious:
    """Unpickled without care, it leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.canary}'",)


def zipped(content: object, path: Path) -> None:
    torch.save(content, path)


def legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def plain_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def recent_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=4))


@pytest.mark.parametrize("where", ["entry", "tensor", "whole"])
@pytest.mark.parametrize("write", [zipped, legacy, plain_pickle, recent_pickle])
def test_a_malicious_pickle_is_refused_and_does_not_run(
    write: Callable[[object, Path], None], where: str, tmp_path: Path
) -> None:
    canary, path = tmp_path / "canary", tmp_path / "x.pt"
    evil: Any = Malicious(canary)
    state = {name: tensor for name, tensor in Theirs().state_dict().items()}  # noqa: C416
    if where == "entry":
        evil = {"model": state, "optimizer": evil}
    elif where == "tensor":
        evil = {**state, "module_list.0.Conv2d.weight": evil}
    write(evil, path)
    text = failure(path)
    assert not canary.exists()
    assert text.startswith(f"{path} holds more than tensors and plain values: ")
    assert "; nothing of it was run\nexpected: a state dict, saved by torch.save\n" in text
    with path.open("rb") as file:  # the canary sings where nobody takes care
        if write in (plain_pickle, recent_pickle):
            pickle.load(file)
        else:
            torch.load(file, weights_only=False)
    assert canary.exists()


def test_a_pickled_module_is_refused_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"model": nn.Linear(2, 2)}, path)
    assert failure(path) == (
        f"{path} holds more than tensors and plain values: it asks for "
        "torch.nn.modules.linear.Linear, which is code; nothing of it was run\n"
        "expected: a state dict, saved by torch.save\n"
        "help: load it in the program that wrote it, if you trust it, and save its tensors alone: "
        'torch.save({"model": model.state_dict()}, "weights.pt")'
    )


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    assert "it asks for TorchScript, which is code; nothing of it was run\n" in failure(path)


def test_a_name_that_needs_no_code_is_not_allowed_either(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"model": Theirs().state_dict(), "path": Path("runs")}, path)
    assert f"{path} holds more than tensors and plain values: it asks for pathlib" in failure(path)


@pytest.mark.parametrize("kept", [-1, -300, 200])
@pytest.mark.parametrize("write", [zipped, legacy])
def test_a_cut_file_is_a_weights_error(
    write: Callable[[object, Path], None], kept: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.pt"
    write(Theirs().state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    assert failure(path) == (
        f"{path} cannot be read as a torch file: it was cut off or damaged\n"
        "help: fetch or write it again"
    )


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(300), b"\x80\x02garbage" + bytes(300)])
def test_garbage_behind_a_good_beginning_is_a_weights_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    assert str(path) in failure(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"backbone.0.weight": torch.zeros(2)}, "its first tensor is backbone.0.weight"),
        ({"model": {"0.weight": torch.zeros(2)}}, "its first tensor is 0.weight"),
        ({"epoch": 3}, "it holds no tensors"),
        ([1, 2], "it holds no tensors"),
        (torch.zeros(3), "it holds no tensors"),
        ({"module_list.0.n": torch.zeros(1, dtype=torch.long)}, "it holds no tensors"),
    ],
    ids=str,
)
def test_a_state_dict_of_something_else_is_refused(
    content: object, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pt"
    torch.save(content, path)
    assert failure(path) == (
        f"{path} is no state dict of a network that a cfg describes: {found}\n"
        "expected: names such as convolutional_0.convolution.weight, as yolo-gp writes them, or "
        "module_list.0.Conv2d.weight, as YOLOR, PyTorch_YOLOv4 and ultralytics/yolov3 did"
    )


def test_an_onnx_model_cannot_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"\x08\x08\x12\x07pytorch" + bytes(100))
    assert failure(path) == (
        f"{path} is an ONNX model, whose weights cannot be read back\n"
        "help: use the weights that it was made from"
    )
