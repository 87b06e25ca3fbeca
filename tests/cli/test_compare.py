"""`yolo-gp compare`: what it prints, and what its exit code says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.darknet import save_weights

from .conftest import Run

CFG = (
    "[net]\nchannels=3\nheight=16\nwidth=24\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=7\nstride=4\nactivation=linear\n"
    "[yolo]\nclasses=2\nnum=1\nanchors=9,8\n"
)
AGREED = "\nthey agree within 0.0001, relative to the largest magnitude\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """net.cfg, two equal files of weights, and one with another bias in layer 1."""
    graph = compile_text(CFG, "net.cfg")
    network = compile_network(graph)
    initialise(network, seed=1)
    (tmp_path / "net.cfg").write_text(CFG)
    save_weights(tmp_path / "a.weights", graph, network, None)
    save_weights(tmp_path / "same.weights", graph, network, None)
    network.get_parameter("convolutional_1.convolution.bias").data[4] += 2
    save_weights(tmp_path / "other.weights", graph, network, None)
    return tmp_path


def test_equal_networks_exit_with_0_and_a_table(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("compare", "a.weights", "same.weights", "--cfg", "net.cfg")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(
        "a: a.weights\nb: same.weights\ninput: one image of random numbers, 3 x 16 x 24\n"
    )
    assert result.stdout.endswith(AGREED)


def test_different_networks_exit_with_1_and_the_layer(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("compare", "a.weights", "other.weights", "--cfg", "net.cfg")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.endswith(
        "\nlayer 1 [convolutional] departs first: its inputs agree, but its convolution.bias "
        "differs by up to 2.0e+00\n"
    )


def test_json_is_one_object(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("compare", "a.weights", "other.weights", "--cfg", "net.cfg", "--json")
    assert result.returncode == 1
    data = json.loads(result.stdout)
    assert (data["agrees"], data["first_departure"]) == (False, 1)
    assert data["values"][1]["largest"] == pytest.approx(2)


def test_images_may_follow_the_networks(yolo_gp: Run, folder: Path) -> None:
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(folder / "x.png")
    result = yolo_gp("compare", "a.weights", "same.weights", "x.png", "--cfg", "net.cfg")
    assert result.returncode == 0
    assert "input: 1 image, 3 x 16 x 24\n" in result.stdout
    result = yolo_gp("compare", "a.weights", "same.weights", "none.png", "--cfg", "net.cfg")
    assert (result.returncode, result.stdout) == (5, "")
    assert result.stderr == "error: cannot read none.png: no such file or directory\n"


def test_each_network_may_have_a_cfg_of_its_own(yolo_gp: Run, folder: Path) -> None:
    (folder / "relu.cfg").write_text(CFG.replace("leaky", "relu"))
    flags = ("--cfg-a", "net.cfg", "--cfg-b", "relu.cfg")
    result = yolo_gp("compare", "a.weights", "a.weights", *flags)
    assert result.returncode == 1
    assert (
        "layer 0 [convolutional] departs first: its inputs agree, but activation is leaky in"
        in (result.stdout)
    )
    result = yolo_gp("compare", "a.weights", "a.weights", "--cfg", "net.cfg", "--cfg-b", "relu.cfg")
    assert result.returncode == 1


def test_the_tolerance_and_the_size_are_the_users(yolo_gp: Run, folder: Path) -> None:
    flags = ("--cfg", "net.cfg", "--tolerance", "1", "--size", "32x40")
    result = yolo_gp("compare", "a.weights", "other.weights", *flags)
    assert result.returncode == 0
    assert "random numbers, 3 x 32 x 40\n" in result.stdout
    assert "they agree within 1," in result.stdout
    result = yolo_gp(
        "compare", "a.weights", "other.weights", "--cfg", "net.cfg", "--tolerance", "0"
    )
    assert result.returncode == 2
    assert result.stderr == (
        "error: the tolerance is 0\nexpected: a number above 0, such as 1e-4\n"
    )


@pytest.mark.parametrize("name", ["x.onnx", "net.cfg"])
def test_a_cfg_for_what_needs_none_is_refused(yolo_gp: Run, folder: Path, name: str) -> None:
    result = yolo_gp("compare", "a.weights", name, "--cfg", "net.cfg", "--cfg-b", "net.cfg")
    assert result.returncode == 2
    assert result.stderr == (
        f"error: --cfg-b has no effect on {name}\nexpected: --cfg-b with weights only\n"
    )


def test_a_missing_file_is_named(yolo_gp: Run, folder: Path) -> None:
    result = yolo_gp("compare", "a.weights", "none.weights", "--cfg", "net.cfg")
    assert (result.returncode, result.stdout) == (4, "")
    assert "none.weights" in result.stderr and "no such file or directory" in result.stderr


def test_warnings_about_a_cfg_go_to_stderr_or_stop_the_run(yolo_gp: Run, folder: Path) -> None:
    (folder / "odd.cfg").write_text(CFG.replace("size=3\n", "size=3\nmax_bananas=3\n"))
    result = yolo_gp("compare", "a.weights", "a.weights", "--cfg", "net.cfg", "--cfg-b", "odd.cfg")
    assert result.returncode == 0 and "max_bananas" in result.stderr
    flags = ("--cfg", "net.cfg", "--cfg-b", "odd.cfg", "--strict")
    result = yolo_gp("compare", "a.weights", "a.weights", *flags)
    assert result.returncode == 3 and "max_bananas" in result.stderr


def test_without_the_onnx_packages_it_says_what_to_install(
    yolo_gp: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    (folder / "x.onnx").write_bytes(b"any")
    result = yolo_gp("compare", "a.weights", "x.onnx", "--cfg", "net.cfg")
    assert result.returncode == 2
    assert result.stderr.endswith("help: pip install 'yolo-gp[onnx]'\n")
    assert yolo_gp("compare", "a.weights", "same.weights", "--cfg", "net.cfg").returncode == 0
