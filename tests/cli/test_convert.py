"""`yolo-gp convert`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from yolo_gp.files import write_atomically
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import describe, read_info
from yolo_gp.weights.layout import file_layout
from yolo_gp.zoo import packaged_cfgs

from .conftest import Run

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=4
activation=leaky
[convolutional]
filters=7
activation=linear
[yolo]
classes=2
num=1
anchors=8,8
"""
# 4 x (bias, scale, mean, variance), 4 x 3 weights; 7 biases, 7 x 4 weights.
FLOATS = 4 * 4 + 4 * 3 + 7 + 7 * 4


def trained(graph: Graph, path: Path, *names: str) -> torch.nn.Module:
    """A network with random weights, batch norms included, saved in our format."""
    network = compile_network(graph)
    initialise(network, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, tensor in network.state_dict().items():
        if "running_var" in name or "batch_norm.weight" in name:
            tensor.uniform_(0.8, 1.2, generator=generator)
        elif "batch_norm" in name and tensor.is_floating_point():
            tensor.normal_(0.0, 0.1, generator=generator)
    save_checkpoint(path, graph, network, describe(graph, class_names=names))
    return network


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    trained(compile_text(CFG, "small.cfg"), path, "cat", "dog")
    return path


def test_what_was_written_is_said_in_one_line(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    result = yolo_gp("convert", small, "x.weights")
    fingerprint = compile_text(CFG, "x").fingerprint[:8]
    size = 20 + 4 * FLOATS
    assert (tmp_path / "x.weights").stat().st_size == size
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        f"wrote x.weights: darknet, 7 tensors, {size} bytes, fingerprint {fingerprint}\n"
    )


def test_a_pretrained_model_comes_back_byte_by_byte(
    yolo_gp: Run, shared: Path, tmp_path: Path
) -> None:
    weights = shared / "data/models/yoloface-50k.weights"
    cfg, names = weights.with_suffix(".cfg"), weights.with_name("face.names")
    there = yolo_gp("convert", weights, "m.safetensors", "--cfg", cfg, "--names", names)
    back = yolo_gp("convert", "m.safetensors", "m.weights")
    assert there.returncode == back.returncode == 0
    assert (tmp_path / "m.weights").read_bytes() == weights.read_bytes()
    assert read_info(tmp_path / "m.safetensors").class_names == ("face",)


def test_notes_go_to_stderr(yolo_gp: Run, tmp_path: Path) -> None:
    csp = CFG.replace("[convolutional]\nfilters=7", "[csp]\nfilters=8\n[convolutional]\nfilters=7")
    trained(compile_text(csp, "csp.cfg"), tmp_path / "csp.safetensors")
    result = yolo_gp("convert", "csp.safetensors", "csp.weights")
    assert result.returncode == 0
    assert result.stderr == (
        "note: Darknet cannot read the cfg as it is; the one that `yolo-gp expand` writes from it "
        "goes with these weights\n"
    )


def test_warnings_about_the_cfg_go_to_stderr(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.cfg").write_text(CFG.replace("filters=7", "filters=7\nfilterz=7"))
    result = yolo_gp("convert", small, "x.weights", "--cfg", "odd.cfg")
    assert result.returncode == 0
    assert result.stderr.startswith("odd.cfg:11:1: warning: ")
    strict = yolo_gp("convert", small, "y.weights", "--cfg", "odd.cfg", "--strict")
    assert strict.returncode == 3
    assert not (tmp_path / "y.weights").exists()


def test_a_part_is_written(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    result = yolo_gp("convert", small, "x.weights", "--cutoff", "1")
    assert result.stdout.endswith(", sections 0 to 0 only\n")
    assert (tmp_path / "x.weights").stat().st_size == 20 + 4 * (4 * 4 + 4 * 3)
    (tmp_path / "small.cfg").write_text(CFG)
    again = yolo_gp("convert", "x.weights", "part.safetensors", "--cfg", "small.cfg")
    assert again.returncode == 0
    assert read_info(tmp_path / "part.safetensors").cutoff == 1


def test_the_dtype_is_that_of_the_file(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    assert yolo_gp("convert", small, "x.pt", "--dtype", "bfloat16").returncode == 0
    content = torch.load(tmp_path / "x.pt", weights_only=True)
    assert {tensor.dtype for tensor in content["model"].values()} == {torch.bfloat16}


def test_an_epsilon_is_added_to_the_variances(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    yolo_gp("convert", small, "a.pt")
    result = yolo_gp("convert", small, "b.pt", "--batch-norm-epsilon", "1e-2")
    assert result.stderr.startswith("note: batch norms were trained with epsilon 0.01: ")
    name = "convolutional_0.batch_norm.running_var"
    a, b = (torch.load(tmp_path / f, weights_only=True)["model"] for f in ("a.pt", "b.pt"))
    torch.testing.assert_close(b[name] - a[name], torch.full((4,), 1e-2 - 1e-5))
    assert [key for key in a if not torch.equal(a[key], b[key])] == [name]


def test_weights_move_to_another_cfg_as_a_map_says(
    yolo_gp: Run, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.cfg").write_text(CFG.replace("[convolutional]", "[maxpool]\n[conv]", 1))
    (tmp_path / "map.txt").write_text("0 1\n")
    result = yolo_gp("convert", small, "x.pt", "--to", "other.cfg", "--map", "map.txt")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("moved 1 of 2 layers with weights, 28 of 63 floats")
    assert " 0 -> 1 (as mapped" in lines[1]
    assert lines[-1].startswith("wrote x.pt: torch, 7 tensors, ")
    assert yolo_gp("convert", small, "y.pt", "--map", "map.txt").returncode == 2


def test_onnx_flags_are_for_onnx_files(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    for flags in (("--nms",), ("--raw",), ("--size", "64")):
        result = yolo_gp("convert", small, "x.pt", *flags)
        assert result.returncode == 2 and "for ONNX files only" in result.stderr
    alone = yolo_gp("convert", small, "x.onnx", "--conf", "0.5")
    assert alone.returncode == 2
    assert alone.stderr == (
        "error: --conf and --iou are thresholds of --nms\nexpected: --nms with them\n"
    )
    both = yolo_gp("convert", small, "x.onnx", "--nms", "--raw")
    assert both.returncode == 2 and "exclude each other" in both.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small.safetensors"]


def test_onnx_files_take_size_and_thresholds(yolo_gp: Run, small: Path) -> None:
    result = yolo_gp("convert", small, "x.onnx", "--size", "16x8", "--nms", "--conf", "0.5")
    assert result.returncode == 0
    assert result.stdout.startswith("wrote x.onnx: onnx, ")
    assert "head_2 (N x 7 x 16 x 8): " in result.stdout


def test_each_kind_of_error_has_its_exit_code(yolo_gp: Run, small: Path, tmp_path: Path) -> None:
    (tmp_path / "other.cfg").write_text(CFG.replace("filters=4", "filters=8"))
    assert yolo_gp("convert", small, "x.png").returncode == 2
    assert yolo_gp("convert", small, "x.pt", "--cfg", "other.cfg").returncode == 4
    (tmp_path / "page.weights").write_bytes(b"<html>404 not found, for sure</html>")
    page = yolo_gp("convert", "page.weights", "x.pt", "--cfg", "other.cfg")
    assert (page.returncode, page.stdout) == (4, "")
    assert page.stderr.startswith("error: page.weights is a web page, not a weights file\n")
    (tmp_path / "x.names").write_text("one\n")
    assert yolo_gp("convert", small, "x.pt", "--names", "x.names").returncode == 5
    assert not (tmp_path / "x.pt").exists()


# -- from our sections to OpenCV -------------------------------------------------------------------

TOLERANCE = 1e-4
OURS = """[net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky
[csp]
filters=16
repeat=2
activation=leaky
name=stage
[elan]
filters=24
hidden=8
activation=swish
[convolutional]
batch_normalize=1
filters=16
size=1
stride=1
activation=leaky
[partial_shortcut]
from=@stage
[convolutional]
filters=21
size=1
stride=1
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 8,8, 16,16
num=3
classes=2
"""


def packaged_text(name: str) -> str:
    return packaged_cfgs()[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["csp, elan, partial_shortcut", "elan-nano", "elan-tiny"])
def test_opencv_computes_the_same_from_expand_and_convert(
    name: str, yolo_gp: Run, tmp_path: Path
) -> None:
    text = packaged_text(name) if name in packaged_cfgs() else OURS
    write_atomically(tmp_path / "ours.cfg", text)
    graph = read_graph(tmp_path / "ours.cfg", input_size=(64, 64))
    network = trained(graph, tmp_path / "ours.safetensors")
    assert yolo_gp("expand", "ours.cfg", "-o", "plain.cfg").returncode == 0
    converted = yolo_gp("convert", "ours.safetensors", "plain.weights")
    assert converted.returncode == 0
    assert "`yolo-gp expand`" in converted.stderr

    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = network(image)
    plain = read_graph(tmp_path / "plain.cfg")
    judge = cv2.dnn.readNetFromDarknet(
        np.frombuffer((tmp_path / "plain.cfg").read_bytes(), np.uint8),
        np.frombuffer(for_opencv(plain, (tmp_path / "plain.weights").read_bytes()), np.uint8),
    )
    judge.setInput(image.numpy())
    names = [f"conv_{node.inputs[0].source}" for node, _ in plain.heads]
    found = [np.array(blob) for blob in judge.forward(names)]
    assert len(found) == len(wanted) > 0
    for blob, raw, (node, _) in zip(found, wanted, plain.heads, strict=True):
        convolution = plain.nodes[node.inputs[0].source].layer
        assert isinstance(convolution, Convolutional)
        if convolution.activation == "logistic":  # OpenCV's conv_N is the map before it
            raw = raw.logit()
        assert blob.std() > 0.05
        np.testing.assert_allclose(blob, raw.numpy(), rtol=0, atol=TOLERANCE)


def for_opencv(graph: Graph, content: bytes) -> bytes:
    """The weights with 9e-6 more in every variance: OpenCV's epsilon is that much smaller."""
    floats = np.frombuffer(content, dtype="<f4", offset=20).copy()
    for placed in file_layout(graph):
        if placed.block.tensor.endswith("running_var"):
            floats[placed.offset : placed.end] += np.float32(9e-6)
    return content[:20] + floats.tobytes()


# -- whose .weights --------------------------------------------------------------------------------


def test_weights_of_pjreddies_darknet_become_alexeyabs(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "gru.cfg").write_text("[net]\ninputs=1\n[gru]\noutput=1\n")
    floats = np.arange(12, dtype="<f4")  # six layers of a bias and a weight: sz sr sh, iz ir ih
    header = np.array([0, 2, 0, 7, 0], dtype="<i4").tobytes()
    (tmp_path / "pj.weights").write_bytes(header + floats.tobytes())
    flags = ("--cfg", "gru.cfg", "--weights-dialect", "pjreddie")
    result = yolo_gp("convert", "pj.weights", "ab.weights", *flags, "--to-dialect", "alexeyab")
    assert result.returncode == 0
    found = np.frombuffer((tmp_path / "ab.weights").read_bytes()[20:], dtype="<f4")
    assert found.tolist() == [*range(6, 12), *range(6)]
    assert result.stderr.endswith(
        "note: [gru]: written in the order of alexeyab's Darknet; the other reads another\n"
    )


@pytest.mark.parametrize(
    ("target", "flags", "message"),
    [
        (
            "x.pt",
            ("--weights-dialect", "pjreddie"),
            "--weights-dialect is for .weights files, and neither file is one\n"
            "expected: IN or OUT that ends in .weights",
        ),
        (
            "x.pt",
            ("--to-dialect", "pjreddie"),
            "--to-dialect is for .weights files\nexpected: OUT that ends in .weights",
        ),
        (
            "x.weights",
            ("--weights-dialect", "pjredie"),
            "pjredie is no dialect of .weights files\nexpected: alexeyab or pjreddie\n"
            "help: did you mean pjreddie?",
        ),
    ],
)
def test_a_dialect_that_nothing_can_have_is_refused(
    target: str, flags: tuple[str, ...], message: str, yolo_gp: Run, small: Path
) -> None:
    result = yolo_gp("convert", small, target, *flags)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {message}\n"
