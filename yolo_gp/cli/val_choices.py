"""What `yolo-gp val` does with any kind of network: the flags' values, its progress, bad data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from yolo_gp.errors import DataError, ExitCode

if TYPE_CHECKING:
    import torch

    from yolo_gp.data.annotations import Problem
    from yolo_gp.tasks.ranks import Ranks
    from yolo_gp.tasks.val_results import Indexed
    from yolo_gp.tasks.val_run import Pace, Run, Work

_Result = TypeVar("_Result", bound="Indexed")
_SHOWN = 10  # problems of the data that are listed


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go, as the flags say."""

    save_dir: Path | None
    resume: Path | None
    plots: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class DataChoice:
    """Which data, as the flags say."""

    spec: str
    split: str
    images: Path | None


@dataclass(frozen=True, slots=True)
class Rules:
    """By what conventions, as the flags say; None takes the usual ones."""

    preset: str | None
    confidence: float | None
    iou: float | None
    max_det: int | None
    device: str
    dtype: str
    offline: bool


def chosen_device(rules: Rules, ranks: Ranks) -> torch.device:
    """The device that is asked for; of several processes each takes a GPU of its own.

    Raises:
        UsageError: there is no such device.
    """
    from yolo_gp.tasks.inference import find_device

    spread = rules.device == "cuda" and ranks.world > 1
    return find_device(f"cuda:{ranks.local_rank}" if spread else rules.device)


def print_problems(problems: Sequence[Problem], *, strict: bool, more: str) -> None:
    """Say what is wrong with the data before hours are spent on it.

    Args:
        more: who lists the problems beyond the first ten.

    Raises:
        DataError: something is, and `strict` is set.
    """
    if not problems:
        return
    lines = [problem.render() for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"... and {len(problems) - _SHOWN} more{more}")
    if strict:
        raise DataError("\n".join([*lines, "help: without --strict the run goes on past them"]))
    print("\n".join(lines), file=sys.stderr)


def worked_through(work: Work[_Result], run: Run, ranks: Ranks) -> Pace | None:
    """Work through all images; Ctrl-C ends the run so that it can go on later."""
    from tqdm import tqdm

    from yolo_gp.tasks.val_run import do_all

    hidden = ranks.rank > 0 or not sys.stderr.isatty()
    with tqdm(unit="image", disable=hidden) as bar:
        try:
            return do_all(work, run, ranks, begin=bar.reset, advance=bar.update)
        except KeyboardInterrupt:
            print(f"interrupted; go on with --resume {run.folder}", file=sys.stderr)
            raise typer.Exit(ExitCode.FINDINGS) from None


def write_and_print(figures: str, report: str, folder: Path, *, as_json: bool) -> None:
    """Write the figures, and print them or the report."""
    from yolo_gp.files import write_atomically

    write_atomically(folder / "metrics.json", f"{figures}\n")
    print(figures if as_json else report)
    print(f"results are in {folder}", file=sys.stderr)
