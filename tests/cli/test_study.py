"""`yolo-gp study` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..tasks.train_sets import CFG, write_tiny
from .conftest import Run

STUDY = (
    *("study", "tiny.cfg", "wider.cfg", "--data", "scenes.json", "--val-data", "scenes.json"),
    *("--batch", "2", "--workers", "0"),
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    (tmp_path / "wider.cfg").write_text(CFG.replace("filters=16", "filters=24", 1))
    return tmp_path


def test_a_study_prints_its_table_alone(yolo_gp: Run, files: Path) -> None:
    result = yolo_gp(*STUDY, "--budget", "1epochs", "--seeds", "1")
    assert result.returncode == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split()[-3:] == ["AP", "AP50", "AP75"]
    assert [row.split()[0] for row in rows] == ["tiny", "wider"]
    assert "2 runs of 1 epochs each, 0 of them done" in result.stderr
    assert result.stderr.endswith("results are in runs/study/1\n")
    assert (files / "runs/study/1/wider-seed0/best.safetensors").is_file()
    again = yolo_gp("study", "--resume", "runs/study/1", "--json")
    names = [variant["variant"] for variant in json.loads(again.stdout)["variants"]]
    assert names == ["tiny", "wider"]


def test_an_interrupted_study_says_how_to_go_on(yolo_gp: Run, files: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "yolo_gp", *STUDY, "--budget", "400iterations"],
        cwd=files,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("tiny-seed0: 400 iterations"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "stopped by SIGINT; go on with --resume runs/study/1\n" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("study",), "a study needs variants, data and a budget\nexpected: CFG... --data DATA"),
        ((*STUDY, "--budget", "3 days"), "--budget 3 days is no budget"),
        ((*STUDY, "--budget", "1m", "--seeds", "0"), "--seeds 0 is too small"),
        ((*STUDY, "gone.cfg", "--budget", "1m"), "there is no cfg gone.cfg"),
        ((*STUDY, "--resume", "a"), "--resume goes on as the study was begun"),
        (("study", "--resume", "a"), "a holds no study: study.json: no such file or directory"),
    ],
)
def test_what_a_study_refuses(
    yolo_gp: Run, files: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = yolo_gp(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (files / "runs").exists()
