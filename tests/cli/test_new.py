"""`yolo-gp new`: from a template and images to a cfg that trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yolo_gp.graph import read_graph

from ..tasks.train_sets import write_tiny
from .conftest import Run

NANO = ("new", "--template", "nano-elan", "--size", "64x96")


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """scenes.json with a few annotated pictures of two classes."""
    write_tiny(tmp_path)
    return tmp_path


def test_a_cfg_for_the_data_is_written_with_its_names_and_trains(
    yolo_gp: Run, scenes: Path
) -> None:
    result = yolo_gp(*NANO, "--data", "scenes.json", "-o", "my.cfg")
    assert result.returncode == 0, result.stderr
    graph = read_graph(scenes / "my.cfg")
    assert graph.input_shape.size == (64, 96)
    params = f"{graph.total.params / 1e6:.2f} M parameters"
    flops = f"{2 * graph.total.macs / 1e9:.2f} GFLOPs"
    assert result.stdout == (
        f"my.cfg: 2 classes, input 64x96 (height x width), {params}, {flops}\n"
        "train it: yolo-gp train --cfg my.cfg --data scenes.json\n"
        "my.names\n"
    )
    known = json.loads((scenes / "scenes.json").read_text())["categories"]
    assert (scenes / "my.names").read_text().split() == [each["name"] for each in known]
    assert yolo_gp("lint", "my.cfg").returncode == 0
    trained = yolo_gp(
        *("train", "--cfg", "my.cfg", "--data", "scenes.json", "--workers", "0", "--no-val"),
        *("--iterations", "1", "--batch", "2"),
    )
    assert trained.returncode == 0, trained.stderr
    assert f"my: {graph.total.params:,} parameters, 2 classes" in trained.stdout


def test_nothing_is_overwritten_without_force(yolo_gp: Run, scenes: Path) -> None:
    (scenes / "my.names").write_text("mine\n")
    result = yolo_gp(*NANO, "--data", "scenes.json", "-o", "my.cfg")
    assert result.returncode == 2
    assert result.stderr.endswith(
        "error: my.names exists already\nexpected: a new name, or --force to overwrite\n"
    )
    assert not (scenes / "my.cfg").exists()
    assert (scenes / "my.names").read_text() == "mine\n"
    (scenes / "my.cfg").write_text("mine\n")
    assert yolo_gp(*NANO, "--classes", "2", "-o", "my.cfg").stderr.startswith(
        "error: my.cfg exists already\n"
    )
    assert (scenes / "my.cfg").read_text() == "mine\n"
    result = yolo_gp(*NANO, "--data", "scenes.json", "-o", "my.cfg", "--force")
    assert result.returncode == 0
    assert read_graph(scenes / "my.cfg").heads and (scenes / "my.names").read_text() != "mine\n"


def test_without_a_file_the_cfg_goes_to_stdout(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "my.names").write_text("a\nb\nc\n")
    result = yolo_gp(*NANO, "--names", "my.names")
    assert result.returncode == 0
    assert result.stdout.splitlines()[1].startswith("# Made by `yolo-gp new` from the template")
    assert "3 classes, input 64x96 (height x width)" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["my.names"]


@pytest.mark.parametrize("flags", [("--list",), ("--template", "list")])
def test_the_templates_are_listed_with_their_costs(
    yolo_gp: Run, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from yolo_gp.zoo import packaged_cfgs

    one = {name: packaged_cfgs()[name] for name in ("elan-nano", "resnet50")}
    monkeypatch.setattr("yolo_gp.tasks.templates.packaged_cfgs", lambda: one)
    head, line = yolo_gp("new", *flags, "--size", "320").stdout.splitlines()
    assert head.split() == ("template height x width parameters FLOPs strides recipes".split())
    assert line.split()[:7] == ["elan-nano", "320x320", "0.98", "M", "0.76", "G", "16,32"]
    found = json.loads(yolo_gp("new", *flags, "--json", "--classes", "3").stdout)
    assert [(each["name"], each["classes"]) for each in found["templates"]] == [("elan-nano", 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--template is not given\nexpected: a name that --list prints"),
        (
            ("--template", "elan-nano", "--json"),
            "--json has no effect without --list\nexpected: --list, or no --json",
        ),
        (
            ("--template", "elan-nano", "--classes", "1", "--darknet-data"),
            "--darknet-data and --force are for files\nexpected: -o FILE with them",
        ),
    ],
)
def test_flags_that_say_too_little_or_too_much_are_refused(
    yolo_gp: Run, arguments: tuple[str, ...], message: str
) -> None:
    result = yolo_gp("new", *arguments)
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")


def test_a_template_that_needs_the_modern_recipe_says_so(yolo_gp: Run, tmp_path: Path) -> None:
    result = yolo_gp("new", "--template", "elan-af", "--classes", "1", "-o", "a b.cfg")
    assert result.stdout.splitlines()[1] == (
        "train it: yolo-gp train --cfg 'a b.cfg' --data DATA --recipe modern"
    )


def test_a_template_whose_heads_have_no_loss_here_is_for_darknet(
    yolo_gp: Run, tmp_path: Path
) -> None:
    (tmp_path / "old.cfg").write_text(
        "[net]\nwidth=64\nheight=64\nchannels=3\n[convolutional]\nfilters=8\nstride=8\n"
        "activation=relu\n[convolutional]\nfilters=14\nactivation=linear\n"
        "[region]\nanchors=1,1, 2,2\nclasses=2\nnum=2\nsoftmax=1\n"
    )
    result = yolo_gp("new", "--template", "old.cfg", "--classes", "3", "-o", "my.cfg")
    assert result.stdout.splitlines()[1] == (
        "train it with Darknet: yolo-gp has no loss for its heads"
    )
    assert "Darknet cannot train" not in (tmp_path / "my.cfg").read_text()
    # (4 + 1 + 3) * 2 anchors
    assert "filters=16" in (tmp_path / "my.cfg").read_text().splitlines()
