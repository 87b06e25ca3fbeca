"""`yolo-gp train` as a user runs it: what it prints, refuses, and leaves behind however it ends."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from yolo_gp.graph import read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.darknet import save_weights

from ..tasks.train_sets import CFG, results_of, weights_of, write_tiny
from .conftest import Run

TRAIN = ("train", "--cfg", "tiny.cfg", "--data", "scenes.json", "--workers", "0")
SHORT = (*TRAIN, "--no-val", "--batch", "2", "--iterations", "4")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    return tmp_path


def start(folder: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "yolo_gp", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def assert_same_results(folder: Path, other: Path) -> None:
    first, second = weights_of(folder), weights_of(other)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert results_of(folder) == results_of(other)


def test_a_run_tells_its_epochs_and_its_outcome(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(
        *(*TRAIN, "--val-data", "scenes.json", "--val-every", "1", "--iterations", "2"),
        *("--plots", "--save-dir", "out"),
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    parameters = sum(
        t.numel()
        for n, t in load_file(files / "out/last.safetensors").items()
        if "running" not in n
    )
    assert lines[0] == f"tiny: {parameters:,} parameters, 2 classes, input 64x64"
    assert lines[1] == "recipe darknet: 2 iterations of 4 images (2.0 epochs), 4 at a time"
    number = r"[\d.e+-]+"
    assert re.fullmatch(
        rf"epoch 1/2  iteration 1  rate {number}  loss {number} \(box {number}, class {number}, "
        rf"darknet {number}, objectness {number}\)  {number} images/s  AP 0\.\d{{4}}  "
        r"AP50 0\.\d{4}  best so far",
        lines[2],
    )
    assert lines[3].startswith("epoch 2/2  iteration 2  rate ")
    assert lines[4].split() == ["epoch", "AP", "AP50", "AP75", "weights"]
    assert [line.split()[0] for line in lines[5:]] == ["best", "last"]
    assert lines[6].endswith("out/last.safetensors")
    assert result.stderr.endswith("results are in out\n")
    assert {path.name for path in (files / "out").iterdir()} == {
        *("batch.png", "best.safetensors", "curves.png", "final.weights", "labels"),
        *("last.safetensors", "metrics.csv", "run.json", "state.pt", "tiny.cfg", "tiny.names"),
    }


def test_keys_without_effect_are_said(yolo_gp: Run, files: Path) -> None:
    (files / "tiny.cfg").write_text(CFG.replace("flip=0", "flip=0\nangle=7"))
    result = yolo_gp(*SHORT)
    assert "[net] angle (line 13) has no effect" in result.stderr
    assert result.stderr.endswith("results are in runs/train/1\n")
    modern = yolo_gp(*SHORT, "--recipe", "modern")
    assert "the modern recipe has its own, so these keys have no effect" in modern.stderr


def test_every_image_once_or_more_in_the_table(yolo_gp: Run, files: Path) -> None:
    yolo_gp(*SHORT)
    assert (files / "runs/train/1/metrics.csv").read_text().splitlines()[0] == (
        "epoch,iteration,rate,loss,loss_box,loss_class,loss_darknet,loss_objectness,"
        "ap,ap50,ap75,images_per_second,waiting"
    )
    assert len((files / "runs/train/1/metrics.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--epochs", "1", "--iterations", "3"), 2, "--epochs and --iterations exclude each other"),
        (("--batch", "0"), 2, "--batch 0 is too small\nexpected: at least 1"),
        (("--lr", "0"), 2, "--lr 0 is out of range\nexpected: a number above 0"),
        (("--close-mosaic", "3"), 2, "--close-mosaic needs --recipe modern"),
        (("--close-mosaic", "-1"), 2, "--close-mosaic -1 is too small\nexpected: at least 0"),
        (("--recipe", "yolo"), 2, "--recipe yolo is unknown\nexpected: darknet, modern"),
        (("--dtype", "amp"), 2, "--dtype amp needs a GPU: float16 gains nothing on a CPU"),
        (("--sync-bn",), 2, "--sync-bn needs several processes, each with a GPU"),
        (("--bn-momentum", "2"), 2, "--bn-momentum 2 is out of range"),
        (("--batch", "3", "--subdivisions", "2"), 2, "a batch of 3 images cannot be cut into 2"),
        (("--auto-batch", "--subdivisions", "2"), 2, "--auto-batch chooses --subdivisions"),
        (("--save-dir", "a", "--resume", "b"), 2, "--save-dir and --resume exclude each other"),
        (("--resume", "b"), 2, "b holds no training run: run.json: no such file or directory"),
        (("--weights", "gone.weights"), 4, "cannot read weights gone.weights"),
        (("--cfg", "gone.cfg"), 2, "there is no cfg gone.cfg"),
        (("--data", "gone.json"), 5, "there is no data set gone.json"),
        (("--names", "gone.names"), 5, "cannot read names gone.names"),
        (("--patience", "3"), 2, "--patience has no effect with --no-val"),
        (("--val-every", "3"), 2, "--val-every has no effect with --no-val"),
        (("--tensorboard",), 2, "--tensorboard needs the package tensorboard"),
    ],
)
def test_what_cannot_be_served_is_refused_and_leaves_nothing(
    yolo_gp: Run, files: Path, flags: tuple[str, ...], code: int, message: str
) -> None:
    result = yolo_gp(*SHORT[:-2], *flags)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
    assert not (files / "runs").exists()


def test_data_and_cfg_must_be_named(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp("train", "--cfg", "tiny.cfg")
    assert (result.returncode, result.stderr.splitlines()[0]) == (2, "error: --data is missing")
    result = yolo_gp("train", "--data", "scenes.json")
    assert result.returncode == 2
    assert "neither a cfg nor weights are given" in result.stderr


def test_a_run_that_torchrun_could_not_find_again_is_refused(
    yolo_gp: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "1")
    result = yolo_gp(*SHORT)
    assert (result.returncode, result.stderr) == (
        2,
        "error: torchrun would restart this run, but then could not find its folder\n"
        "expected: --save-dir DIR, or torchrun with --max-restarts 0\n",
    )
    assert not (files / "runs").exists()
    assert yolo_gp(*SHORT, "--save-dir", "out").returncode == 0
    # started again, it finds the run in its folder, at its end
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert "goes on after iteration 4" in yolo_gp(*SHORT, "--save-dir", "out").stderr


def test_warnings_about_the_cfg_are_errors_if_strict(yolo_gp: Run, files: Path) -> None:
    (files / "tiny.cfg").write_text(CFG.replace("flip=0", "flip=0\nflap=1"))
    result = yolo_gp(*SHORT, "--strict")
    assert result.returncode == 3
    assert "flap" in result.stderr
    assert yolo_gp(*SHORT).returncode == 0


def test_a_run_as_darknets_cpu_build_cannot_go_on(yolo_gp: Run, files: Path) -> None:
    assert yolo_gp(*SHORT, "--darknet-cpu", "--save-dir", "out").returncode == 0
    result = yolo_gp("train", "--resume", "out")
    assert result.returncode == 2
    assert "out was begun with --darknet-cpu, so it cannot go on" in result.stderr


def test_tensorboard_gets_losses_and_accuracy(
    yolo_gp: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == "out"

        def add_scalar(self, name: str, value: float, step: int) -> None:
            logged.append((name, step))

        def flush(self) -> None:
            """Nothing is kept back."""

    monkeypatch.setattr("yolo_gp.cli.train._summary_writer", lambda: Writer)
    settings = ("--val-data", "scenes.json", "--val-every", "1", "--iterations", "1")
    result = yolo_gp(*TRAIN, *settings, "--tensorboard", "--save-dir", "out")
    assert result.returncode == 0, result.stderr
    assert set(logged) >= {("loss/total", 1), ("loss/box", 1), ("rate", 1), ("accuracy/ap50", 1)}


def test_resuming_with_other_flags_lists_them(yolo_gp: Run, files: Path) -> None:
    yolo_gp(*SHORT, "--save-dir", "out")
    result = yolo_gp("train", "--resume", "out", "--batch", "4", "--size", "96", "--workers", "0")
    assert result.returncode == 2
    assert "  batch: 2 then, 4 now\n  size: nothing then, (96, 96) now\n" in result.stderr
    again = yolo_gp("train", "--resume", "out", "--batch", "2", "--data", "scenes.json")
    assert again.returncode == 0, again.stderr
    assert "goes on after iteration 4" in again.stderr


def test_a_full_disk_is_reported_before_anything_is_written(
    yolo_gp: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    class Usage:
        free = 1_200_000

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage)
    result = yolo_gp(*SHORT)
    assert result.returncode == 5
    assert result.stderr.startswith("error: no room for the whole run: it needs ")
    assert "1.2 MB left" in result.stderr
    assert not (files / "runs").exists()


def test_darknets_weights_are_trained_on_and_the_transfer_is_told(
    yolo_gp: Run, files: Path
) -> None:
    eighty = CFG.replace("classes=2 ", "classes=80 ").replace("filters=14 ", "filters=170 ")
    (files / "tiny.cfg").write_text(eighty)
    graph = read_graph(files / "tiny.cfg")
    network = compile_network(graph)
    initialise(network, seed=5)
    save_weights(files / "tiny.weights", graph, network)
    result = yolo_gp(*SHORT, "--weights", "tiny.weights", "--freeze", "5")
    assert result.returncode == 0, result.stderr
    assert "the cfg is trained with 2 classes at 64x64; it lies in runs/train/1/tiny.cfg" in (
        result.stderr
    )
    assert "moved 5 of 6 layers with weights" in result.stderr
    assert "sections 0 to 4 keep their weights and their statistics" in result.stderr
    found = load_file(files / "runs/train/1/last.safetensors")
    for layer in range(5):
        name = f"convolutional_{layer}.convolution.weight"
        assert torch.equal(found[name], network.state_dict()[name])
    shown = yolo_gp("info", "runs/train/1/tiny.cfg")
    assert "2 classes" in shown.stdout


def test_a_step_of_the_command_is_darknets(yolo_gp: Run, shared: Path, tmp_path: Path) -> None:
    # Darknet's own weights after one update; tests/test_darknet_training.py has the tolerances.
    folder = shared / "data/oracle/darknet-train"
    start_from = shared / "data/models/yolo-fastest-1.1.weights"
    (tmp_path / "one.txt").write_text(f"{folder / 'scene.png'}\n")
    cfg = folder / "ciou_steps1_sub1.cfg"
    result = yolo_gp(
        *("train", "--cfg", cfg, "--weights", start_from, "--data", "one.txt", "--no-val"),
        *("--darknet-cpu", "--workers", "0", "--save-dir", "out"),
    )
    assert result.returncode == 0, result.stderr
    graph = read_graph(cfg)
    before, ours, theirs = (compile_network(graph) for _ in range(3))
    from yolo_gp.weights.darknet import load_weights

    load_weights(start_from, graph, before)
    load_weights(tmp_path / "out/final.weights", graph, ours)
    load_weights(folder / "ciou_steps1_sub1.weights", graph, theirs)
    old, new, wanted = (network.state_dict() for network in (before, ours, theirs))
    learnt = [n for n in old if n.endswith((".weight", ".bias"))]
    error = sum(float((new[n] - wanted[n]).square().sum()) for n in learnt) ** 0.5
    size = sum(float((wanted[n] - old[n]).square().sum()) for n in learnt) ** 0.5
    assert error < 0.01 * size


def test_a_killed_run_goes_on_to_the_same_weights(files: Path, yolo_gp: Run) -> None:
    arguments = (*TRAIN, "--no-val", "--batch", "2", "--iterations", "12", "--workers", "1")
    assert yolo_gp(*arguments, "--save-dir", "whole").returncode == 0
    process = start(files, *arguments, "--save-dir", "cut")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (files / "cut/final.weights").exists()
    result = yolo_gp("train", "--resume", "cut")
    assert result.returncode == 0, result.stderr
    assert_same_results(files / "whole", files / "cut")


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_the_run_in_order(
    files: Path, yolo_gp: Run, number: signal.Signals, name: str
) -> None:
    arguments = (*TRAIN, "--no-val", "--batch", "2", "--iterations", "5000")
    process = start(files, *arguments, "--save-dir", "cut")
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.send_signal(number)
    said = process.stderr.read()
    assert process.wait() == 128 + number
    found = re.search(rf"stopped by {name} after iteration (\d+); go on with --resume cut", said)
    assert found
    state = torch.load(files / "cut/state.pt", weights_only=True)
    assert state["iteration"] == int(found[1])


def _small_files() -> None:
    """Let no file of this process grow beyond 60 kB, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_a_disk_that_refuses_leaves_the_last_checkpoint(files: Path, yolo_gp: Run) -> None:
    yolo_gp(*SHORT[:-1], "2", "--save-dir", "out")
    before = (files / "out/state.pt").read_bytes()
    assert len(before) > 60_000
    run = json.loads((files / "out/run.json").read_text())
    run["settings"]["iterations"] = 4  # two more to make
    (files / "out/run.json").write_text(json.dumps(run))
    process = start(files, "train", "--resume", "out", preexec_fn=_small_files)
    _, said = process.communicate()
    assert process.returncode in (4, 5), said
    assert re.search(r"cannot write (weights )?out/\S+: .*[Ff]ile too large", said), said
    assert (files / "out/state.pt").read_bytes() == before
    assert not list((files / "out").glob(".*"))
    assert yolo_gp("train", "--resume", "out").returncode == 0
