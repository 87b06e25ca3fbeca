"""Twenty times `kill -9` at a random moment of a training run, and the same weights in the end.

    python tests/benchmarks/bench_kills.py [--kills 20] [--seed 0] [--epochs 40]

Trains a tiny network on four pictures, once undisturbed and once with kills between which it is
resumed; moments are drawn over the length of an undisturbed run, start included. Prints what each
kill met, and whether weights, accuracy and losses are the same to the last bit.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from train_sets import results_of, weights_of, write_tiny

TRAIN = ("train", "--cfg", "tiny.cfg", "--data", "scenes.json", "--val-data", "scenes.json")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "yolo_gp", *arguments]


def options(epochs: int) -> tuple[str, ...]:
    return (*TRAIN, "--batch", "2", "--epochs", str(epochs), "--val-every", "3", "--workers", "1")


def next_command(folder: Path, epochs: int) -> list[str]:
    """Resume the run; begin it if no kill has let it begin so far."""
    if (folder / "run.json").exists():
        return command("train", "--resume", str(folder))
    shutil.rmtree(folder, ignore_errors=True)
    return command(*options(epochs), "--save-dir", str(folder))


def kill_after(arguments: list[str], place: Path, seconds: float) -> bool:
    """Run for so long, then kill; False if it ended before."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        arguments, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        if process.returncode:
            raise SystemExit((process.stderr.read() if process.stderr else b"").decode())
    return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_tiny(place)
        start = time.perf_counter()
        kill_after(command(*options(chosen.epochs), "--save-dir", "whole"), place, 3600)
        length = time.perf_counter() - start
        print(f"an undisturbed run takes {length:.1f} s")
        kills = 0
        while kills < chosen.kills:
            moment = draw.uniform(0, length)
            if kill_after(next_command(place / "cut", chosen.epochs), place, moment):
                kills += 1
                print(f"kill {kills} after {moment:.2f} s: {_state(place / 'cut')}", flush=True)
            else:  # done before all kills: start again
                print(f"ended before a kill at {moment:.2f} s: {_verdict(place)}", flush=True)
                shutil.rmtree(place / "cut")
        kill_after(next_command(place / "cut", chosen.epochs), place, 3600)
        print(_verdict(place))


def _state(folder: Path) -> str:
    if not (folder / "state.pt").exists():
        return "no checkpoint yet"
    state = torch.load(folder / "state.pt", weights_only=True)
    parts = len(list(folder.glob(".*")))
    return f"checkpoint of iteration {state['iteration']}, {parts} files half written"


def _verdict(place: Path) -> str:
    whole, cut = place / "whole", place / "cut"
    first, second = weights_of(whole), weights_of(cut)
    same = all(torch.equal(first[name], second[name]) for name in first)
    best = (whole / "best.safetensors").read_bytes() == (cut / "best.safetensors").read_bytes()
    table = results_of(whole) == results_of(cut)
    return f"weights the same: {same}, best weights: {best}, losses and accuracy: {table}"


if __name__ == "__main__":
    main()
