"""`yolo-gp study`: variants of a network trained alike, side by side in a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yolo_gp.cli.flags import JsonOption, OfflineOption, SizeOption, parse_size, print_notes
from yolo_gp.cli.train_flags import (
    BatchOption,
    CacheOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    ValDataOption,
    WorkersOption,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from yolo_gp.cache import ModelCache
    from yolo_gp.tasks.study import Study
    from yolo_gp.tasks.study_plan import StudyPlan
    from yolo_gp.tasks.train_stop import StopRequest

_Cfgs = Annotated[
    list[str] | None,
    typer.Argument(metavar="CFG...", help="Cfg files, or names of those that come with yolo-gp."),
]
_Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", help="Of each training: 90s, 30m, 2h of steps; or 20epochs, 3000iterations."
    ),
]
_Seeds = Annotated[int, typer.Option("--seeds", help="Train each variant so many times.")]
_Recipe = Annotated[
    str, typer.Option("--recipe", help="modern: one for all; darknet: as each cfg says.")
]
_SaveDir = Annotated[
    Path | None,
    typer.Option("--save-dir", help="New or empty folder for results; runs/study/N by default."),
]
_Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="DIR", help="Go on with the study in this folder."),
]
_SETTINGS = (
    *("data", "val_data", "recipe", "size", "batch", "device", "dtype", "workers", "cache"),
)  # flags that are `TrainSettings` of every run


def study(
    context: typer.Context,
    cfgs: _Cfgs = None,
    data: DataOption = None,
    val_data: ValDataOption = None,
    budget: _Budget = None,
    seeds: _Seeds = 3,
    recipe: _Recipe = "modern",
    size: SizeOption = None,
    batch: BatchOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "auto",
    workers: WorkersOption = 2,
    cache: CacheOption = "none",
    save_dir: _SaveDir = None,
    resume: _Resume = None,
    as_json: JsonOption = False,
    offline: OfflineOption = False,
) -> None:
    """Train variants of a network under one budget, and compare them as the paper does.

    Each variant is trained with the same seeds on the same data. The table has its size, the
    figures of its gradient paths, its speed, and the accuracy at the end: the mean over the seeds,
    and in brackets the lowest and the highest. What is done is kept: --resume goes on.

    \b
    Example:
      yolo-gp study yolov3-tiny yolov3-tiny-prn --data shapes --budget 30m
    """
    if resume is not None and (cfgs or data or budget or save_dir):
        raise UsageError("--resume goes on as the study was begun\nexpected: --resume DIR alone")
    from yolo_gp.tasks.study import begin_study, read_study
    from yolo_gp.tasks.train_stop import stop_on_signals

    with stop_on_signals() as stop:
        if resume is not None:
            found = read_study(resume)
        else:
            found = begin_study(_plan(context, cfgs or [], budget, seeds), save_dir)
        _follow(found, stop, visible_cache(offline=offline))
    print(_result(found, as_json=as_json))
    if stop.signal is not None:
        print(f"stopped by {stop.signal.name}; go on with --resume {found.folder}", file=sys.stderr)
        raise typer.Exit(stop.exit_code)
    print(f"results are in {found.folder}", file=sys.stderr)


def _plan(context: typer.Context, cfgs: list[str], budget: str | None, seeds: int) -> StudyPlan:
    from yolo_gp.tasks.study_plan import make_plan, parse_budget
    from yolo_gp.tasks.train_settings import TrainSettings

    if not cfgs or context.params["data"] is None or budget is None:
        raise UsageError(
            "a study needs variants, data and a budget\n"
            "expected: CFG... --data DATA --budget 30m, or --resume DIR"
        )
    values: dict[str, Any] = {name: context.params[name] for name in _SETTINGS}
    values["size"] = parse_size(values["size"])
    for name in ("data", "val_data"):
        if values[name] is not None and Path(values[name]).exists():
            values[name] = str(Path(values[name]).absolute())
    cfgs = [str(Path(cfg).absolute()) if Path(cfg).is_file() else cfg for cfg in cfgs]
    settings = TrainSettings(cfg=cfgs[0], **values)
    return make_plan(cfgs, seeds, parse_budget(budget), settings)


def _follow(found: Study, stop: StopRequest, cache: ModelCache) -> None:
    """Make the runs that are left and tell how they go, on the side: the table comes last."""
    from yolo_gp.tasks.study import RunFinished, RunStarted, run_study

    runs, done = len(found.plan.runs), len(found.results)
    print(f"{runs} runs of {found.plan.budget} each, {done} of them done", file=sys.stderr)
    told: set[str] = set()
    for event in run_study(found, stop, cache):
        match event:
            case RunStarted():
                notes = [note for note in event.prepared.notes if note not in told]
                print_notes(notes)
                told.update(notes)
                length = event.prepared.run.length
                print(
                    f"{event.name}: {length.iterations} iterations, {length.epochs:.1f} epochs",
                    file=sys.stderr,
                )
            case RunFinished():
                result = event.result
                print(
                    f"{event.name}: AP {100 * result.ap:.1f} %, AP50 {100 * result.ap50:.1f} %, "
                    f"{result.seconds:.0f} s",
                    file=sys.stderr,
                )
            case _:
                if event.ap is not None:
                    print(f"  epoch {event.epoch}: AP {100 * event.ap:.1f} %", file=sys.stderr)


def _result(found: Study, *, as_json: bool) -> str:
    from yolo_gp.tasks.study_report import study_data, study_table

    return json.dumps(study_data(found)) if as_json else study_table(found)
