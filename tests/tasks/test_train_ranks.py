"""Two processes train as one that takes the same parts one after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from yolo_gp.tasks.train_state import Training
from yolo_gp.training.checkpoint import load_state

from .train_sets import begun, finished, results_of, write_tiny

TRAIN = (
    "-m",
    "yolo_gp",
    "train",
    "--cfg",
    "tiny.cfg",
    "--data",
    "scenes.json",
    "--workers",
    "0",
    "--batch",
    "4",
)


def torchrun(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`torchrun` with two processes on this machine."""
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return subprocess.run(
        [sys.executable, "-m", *launcher, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def followed(run: Training, momentum: float) -> tuple[Tensor, Tensor]:
    """Finish a run; running means of its first batch norm, as one process and as two merged.

    Where one process takes two parts of a batch one after the other, it moves its mean twice, by
    the share `momentum` of each. Two processes each move theirs once, and their mean moves by that
    share of the mean of both.
    """
    norm = run.network.get_submodule("convolutional_0.batch_norm")
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    finished(run)
    merged = torch.zeros_like(seen[0])
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        merged = (1 - momentum) * merged + momentum * (first + second) / 2
    return norm.running_mean, merged.detach()


def test_two_processes_equal_one_that_accumulates(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    result = torchrun(
        tmp_path,
        *(*TRAIN, "--val-data", "scenes.json", "--val-every", "2", "--iterations", "4"),
        *("--bn-momentum", "0.25", "--save-dir", "two"),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch 4/4") == 1  # one process speaks
    settings = {"subdivisions": 2, "batch": 4, "iterations": 4, "val_every": 2}
    run = begun(tmp_path, "one", bn_momentum=0.25, **settings)
    of_one, of_two = followed(run, 0.25)
    one, two = (load_state(tmp_path / name / "state.pt").network for name in ("one", "two"))
    for name, _ in run.network.named_parameters():
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    assert losses_in(tmp_path / "two") == pytest.approx(losses_in(tmp_path / "one"), rel=1e-4)
    mean = "convolutional_0.batch_norm.running_mean"
    torch.testing.assert_close(two[mean], of_two, rtol=1e-4, atol=1e-6)
    assert torch.equal(one[mean], of_one)


def losses_in(folder: Path) -> list[float]:
    """The mean losses of all epochs, and their parts."""
    names, *rows = results_of(folder)
    end = names.index("ap")  # accuracy goes by the running statistics, which differ
    return [float(cell) for row in rows for cell in row[:end]]


# A process that ends itself when it is about to make its third step, the first time.
FAILING = """
import os
from yolo_gp.training import optimiser
original = optimiser.set_rates
def failing(*arguments):
    if arguments[2] == 3 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), 9)
    return original(*arguments)
optimiser.set_rates = failing
from yolo_gp.cli.main import run
run()
"""


def test_a_run_is_started_again_from_its_checkpoint(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    (tmp_path / "failing.py").write_text(FAILING)
    arguments = (*TRAIN[2:], "--no-val", "--iterations", "4", "--save-dir", "two")
    for attempt in range(3):  # torch's own threads may abort a process that is told to end
        folder = tmp_path / str(attempt)
        shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("[0-9]", "two"))
        result = torchrun(folder, "--max-restarts", "1", "failing.py", *arguments)
        if "SIGABRT" not in result.stderr:
            break
    assert result.returncode == 0, result.stderr
    assert "goes on after iteration 2" in result.stderr
    assert load_state(folder / "two/state.pt").iteration == 4
