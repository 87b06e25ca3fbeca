"""`--dialect`: one cfg, two networks; what leaves the program remembers which it was."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.conftest import Run
from yolo_gp.dialect import Dialect
from yolo_gp.graph import compile_text
from yolo_gp.tasks.models import ModelSource, load_model
from yolo_gp.tasks.val import val_preset

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
HEAD = (
    "[convolutional]\nfilters=7\nsize=32\nstride=32\nactivation=linear\n"
    "[yolo]\nclasses=2\nnum=1\nanchors=8,16\n"
)
VECTOR = "[implicit_add]\nfilters=4\n"
LN3 = math.log(3)  # its sigmoid is .75


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    """A cfg that either dialect reads."""
    path = tmp_path / "plain.cfg"
    path.write_text(NET + HEAD)
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A checkpoint of YOLOR's for it: whatever the image, the head's one cell holds the same."""
    state = {
        "module_list.0.Conv2d.weight": torch.zeros(7, 3, 32, 32),
        "module_list.0.Conv2d.bias": torch.tensor([0.0, 0.0, LN3, 0.0, LN3, LN3, -9.0]),
    }
    torch.save({"epoch": 3, "model": state}, tmp_path / "theirs.pt")
    return tmp_path / "theirs.pt"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_info_says_in_which_dialect_it_read(yolo_gp: Run, cfg: Path) -> None:
    said = "; read as YOLOR's code reads it\n"
    assert said in yolo_gp("info", cfg, "--dialect", "yolor").stdout
    assert said not in yolo_gp("info", cfg).stdout
    found = json.loads(yolo_gp("info", cfg, "--dialect", "yolor", "--json").stdout)
    assert found["dialect"] == "yolor"
    assert json.loads(yolo_gp("info", cfg, "--json").stdout)["dialect"] == "darknet"


def test_a_section_that_reads_nothing_is_listed_so(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "v.cfg").write_text(f"{NET}{CONV}{VECTOR}[route]\nlayers=0\n")
    (line,) = (x for x in yolo_gp("info", "v.cfg").stdout.splitlines() if "implicit_add" in x)
    assert line.split() == ["1", "implicit_add", "none", "4", "x", "1", "x", "1", "4"]
    found = json.loads(yolo_gp("info", "v.cfg", "--json").stdout)
    assert found["layers"][1]["sources"] == []


def test_a_dialect_that_does_not_exist_is_a_usage_error(yolo_gp: Run, cfg: Path) -> None:
    found = yolo_gp("info", cfg, "--dialect", "darkent")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "error: there is no dialect darkent\nexpected: one of darknet, yolor\n"
        "help: did you mean darknet?\n"
    )


def test_darknets_dialect_refuses_yolors_sections(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "v.cfg").write_text(NET + CONV + VECTOR)
    assert yolo_gp("info", "v.cfg").returncode == 0
    found = yolo_gp("info", "v.cfg", "--dialect", "darknet")
    assert found.returncode == 3
    assert "[implicit_add] is a section of the YOLOR dialect" in found.stderr


@pytest.mark.parametrize(
    ("flags", "width"),
    # 32 pixels, one cell, anchor 8 wide: (2 * .75)^2 * 8 = 18, but exp(ln 3) * 8 = 24 for Darknet.
    [(("--dialect", "yolor"), 18.0), ((), 24.0)],
)
def test_detect_decodes_as_the_dialect_says(
    yolo_gp: Run, cfg: Path, weights: Path, picture: Path, flags: tuple[str, ...], width: float
) -> None:
    found = yolo_gp(
        "detect", "--cfg", cfg, "--weights", weights, *flags, "--json", "--no-save", picture
    )
    assert found.returncode == 0, found.stderr
    (box,) = json.loads(found.stdout)["images"][0]["detections"]
    left, _, right, _ = box["box_xyxy"]
    assert right - left == pytest.approx(width, abs=1e-3)
    assert box["confidence"] == pytest.approx(0.75 * 0.75, abs=1e-4)


def test_what_convert_writes_runs_in_the_dialect_that_it_was_told(
    yolo_gp: Run, cfg: Path, weights: Path, picture: Path
) -> None:
    found = yolo_gp("convert", weights, "ours.safetensors", "--cfg", cfg, "--dialect", "yolor")
    assert (found.returncode, found.stderr) == (0, "")
    model = load_model(ModelSource(weights="ours.safetensors"))
    assert model.graph.dialect is Dialect.YOLOR
    found = yolo_gp("detect", "--weights", "ours.safetensors", "--json", "--no-save", picture)
    (box,) = json.loads(found.stdout)["images"][0]["detections"]
    left, top, right, bottom = box["box_xyxy"]
    # Centre (2 * .5 - .5) * 32 = 16; 18 wide and (2 * .5)^2 * 16 = 16 high.
    assert (left, top, right, bottom) == pytest.approx((7, 8, 25, 24), abs=1e-3)


def test_a_checkpoint_with_vectors_is_converted_by_its_cfg_alone(
    yolo_gp: Run, tmp_path: Path
) -> None:
    (tmp_path / "v.cfg").write_text(
        f"{NET}{VECTOR}[BatchNorm2d]\n[convolutional]\nfilters=2\nactivation=linear\n"
    )
    vector = torch.tensor([1.0, 2.0, -3.0, 4.0])
    state = {"module_list.0.implicit": vector.reshape(1, 4, 1, 1)}
    for name, value in (("weight", 2.0), ("bias", 1.0), ("running_mean", 0.5)):
        state[f"module_list.1.{name}"] = torch.full((4,), value)
    state["module_list.1.running_var"] = torch.full((4,), 1e-4)
    state["module_list.2.Conv2d.weight"] = torch.eye(2, 4).reshape(2, 4, 1, 1)
    state["module_list.2.Conv2d.bias"] = torch.zeros(2)
    torch.save({"model": state, "optimizer": None, "epoch": -1}, "theirs.pt")
    found = yolo_gp("convert", "theirs.pt", "ours.safetensors", "--cfg", "v.cfg")
    assert (found.returncode, found.stderr) == (0, "")
    network = load_model(ModelSource(weights="ours.safetensors")).network
    with torch.no_grad():
        result = network(torch.zeros(2, 3, 32, 32))[0]
    # The vector's first two numbers, normalised: 2 (v - .5) / sqrt(1e-4 + 1e-4) + 1.
    scale = 2 / math.sqrt(2e-4)
    wanted = torch.tensor([0.5 * scale + 1, 1.5 * scale + 1]).reshape(1, 2, 1, 1)
    assert torch.allclose(result, wanted.expand(2, 2, 1, 1), rtol=1e-5)


def test_a_pickled_network_of_theirs_is_refused(yolo_gp: Run, cfg: Path, tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Conv2d(3, 7, 1)}, tmp_path / "theirs.pt")
    found = yolo_gp("convert", "theirs.pt", "ours.safetensors", "--cfg", cfg, "--dialect", "yolor")
    assert found.returncode == 4
    assert "holds more than tensors and plain values" in found.stderr
    assert not (tmp_path / "ours.safetensors").exists()


def test_expand_has_no_plain_cfg_to_give(yolo_gp: Run, cfg: Path, tmp_path: Path) -> None:
    found = yolo_gp("expand", cfg, "--dialect", "yolor", "-o", "out.cfg")
    assert found.returncode == 3
    assert "is read as YOLOR's code reads it, which no cfg for Darknet can say" in found.stderr
    assert not (tmp_path / "out.cfg").exists()
    assert yolo_gp("expand", cfg, "-o", "out.cfg").returncode == 0


def test_diff_tells_a_cfg_from_itself_in_another_dialect(
    yolo_gp: Run, cfg: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs.cfg").write_text(cfg.read_text().replace("[net]", "[net]\ndialect=yolor"))
    assert yolo_gp("diff", cfg, "theirs.cfg").returncode == 1
    assert yolo_gp("diff", cfg, "theirs.cfg", "--dialect", "yolor").returncode == 0


def test_analyze_reads_in_the_dialect_too(yolo_gp: Run, cfg: Path, tmp_path: Path) -> None:
    (tmp_path / "v.cfg").write_text(NET + CONV + VECTOR + "[route]\nlayers=0\n" + HEAD)
    assert yolo_gp("analyze", "v.cfg").returncode == 0
    assert yolo_gp("analyze", "v.cfg", "--dialect", "darknet").returncode == 3


def test_set_changes_the_classes_of_a_head_behind_a_vector(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "v.cfg").write_text(
        f"{NET}{CONV}[implicit_mul]\nfilters=7\n[route]\nlayers=0\n"
        "[convolutional]\nfilters=7\nactivation=linear\n[control_channels]\nfrom=1\n"
        "[yolo]\nclasses=2\nnum=1\nanchors=8,16\n"
    )
    found = yolo_gp("set", "v.cfg", "classes=4")
    assert found.returncode == 0, found.stderr
    text = (tmp_path / "v.cfg").read_text()
    # 5 + 4 channels of the map: numbers that are multiplied, and filters before.
    assert (text.count("filters=9\n"), text.count("filters=7\n")) == (2, 0)
    assert yolo_gp("info", "v.cfg").returncode == 0


def test_train_refuses_darknets_recipe_for_it(
    yolo_gp: Run, cfg: Path, picture: Path, tmp_path: Path
) -> None:
    picture.with_suffix(".txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "list.txt").write_text(f"{picture}\n")
    (tmp_path / "two.names").write_text("a\nb\n")
    data = ("--data", "list.txt", "--names", "two.names", "--no-val")
    length = ("--batch", "2", "--iterations", "2")
    found = yolo_gp("train", "--cfg", cfg, *data, *length, "--dialect", "yolor")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (  # of the cfg that the run keeps, whose [net] says dialect=yolor
        f"error: {cfg}:11:1: Darknet's recipe cannot train [yolo] of the YOLOR dialect\n"
        "expected: a cfg in Darknet's own dialect\nhelp: train it with --recipe modern\n"
    )
    assert not (tmp_path / "runs").exists()


def test_val_goes_by_yolors_conventions_where_none_are_given() -> None:
    for dialect, name in ((Dialect.YOLOR, "coco"), (Dialect.DARKNET, "darknet")):
        graph = compile_text(NET + HEAD, "x.cfg", dialect=dialect)
        assert val_preset(None, graph).name == name
