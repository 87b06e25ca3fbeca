"""`yolo-gp train`: from a cfg and annotated images to a detector."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yolo_gp.cli.flags import (
    CfgOption,
    DialectOption,
    NamesOption,
    OfflineOption,
    SizeOption,
    StrictOption,
    parse_size,
    print_notes,
    print_warnings,
)
from yolo_gp.cli.train_flags import (
    AutoBatchOption,
    BatchOption,
    BnMomentumOption,
    CacheOption,
    CloseMosaicOption,
    CutoffOption,
    DarknetCpuOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    EpochsOption,
    FreezeOption,
    IterationsOption,
    LrOption,
    NonFiniteOption,
    NoValOption,
    PatienceOption,
    PlotsOption,
    RecipeOption,
    ResumeOption,
    SaveDirOption,
    SeedOption,
    SubdivisionsOption,
    SyncBnOption,
    TensorboardOption,
    ValDataOption,
    ValEveryOption,
    WeightsOption,
    WorkersOption,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import UsageError

if TYPE_CHECKING:
    from tqdm import tqdm

    from yolo_gp.tasks.ranks import Ranks
    from yolo_gp.tasks.train import Step
    from yolo_gp.tasks.train_folder import StoredRun
    from yolo_gp.tasks.train_settings import TrainSettings
    from yolo_gp.tasks.train_setup import Prepared
    from yolo_gp.tasks.train_state import Training
    from yolo_gp.tasks.train_stop import StopRequest
    from yolo_gp.training.progress import Epoch

_PATHS = ("data", "val_data", "weights", "names")  # flags that may be relative to here


def train(
    context: typer.Context,
    cfg: CfgOption = None,
    data: DataOption = None,
    val_data: ValDataOption = None,
    weights: WeightsOption = None,
    cutoff: CutoffOption = None,
    names: NamesOption = None,
    size: SizeOption = None,
    recipe: RecipeOption = "darknet",
    epochs: EpochsOption = None,
    iterations: IterationsOption = None,
    batch: BatchOption = None,
    subdivisions: SubdivisionsOption = None,
    auto_batch: AutoBatchOption = False,
    lr: LrOption = None,
    close_mosaic: CloseMosaicOption = None,
    freeze: FreezeOption = 0,
    bn_momentum: BnMomentumOption = None,
    sync_bn: SyncBnOption = False,
    darknet_cpu: DarknetCpuOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "auto",
    no_val: NoValOption = False,
    val_every: ValEveryOption = None,
    patience: PatienceOption = 0,
    non_finite: NonFiniteOption = "stop",
    workers: WorkersOption = 2,
    cache: CacheOption = "none",
    seed: SeedOption = 0,
    dialect: DialectOption = None,
    strict: StrictOption = False,
    save_dir: SaveDirOption = None,
    resume: ResumeOption = None,
    plots: PlotsOption = False,
    tensorboard: TensorboardOption = False,
    offline: OfflineOption = False,
) -> None:
    """Train a network on annotated images; interrupt it as you like, --resume goes on."""
    given = _given(context)
    if save_dir and resume:
        raise UsageError("--save-dir and --resume exclude each other; a run goes on in its folder")
    if auto_batch and subdivisions:
        raise UsageError("--auto-batch chooses --subdivisions; give one of them")
    code = _train(given, save_dir, resume, offline=offline)
    if code:
        raise typer.Exit(code)


def _given(context: typer.Context) -> dict[str, object]:
    """The settings that stand on the command line, by the names of `TrainSettings`."""
    given: dict[str, object] = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given[name] = value
    for name in ("save_dir", "resume", "offline"):
        given.pop(name, None)
    if given.pop("no_val", False):
        given["validate"] = False
    if isinstance(text := given.get("size"), str):
        given["size"] = parse_size(text)
    for name in _PATHS:
        if name in given:
            path = Path(str(given[name]))
            given[name] = str(path.absolute() if path.exists() else path)
    return given


def _train(
    given: Mapping[str, object], save_dir: Path | None, resume: Path | None, *, offline: bool
) -> int:
    """Train in this process and those beside it; the exit code."""
    from yolo_gp.tasks.ranks import joined_ranks, restarts
    from yolo_gp.tasks.train_folder import holds_run, read_run
    from yolo_gp.tasks.train_ranks import may_be_restarted
    from yolo_gp.tasks.train_stop import stop_on_signals

    if may_be_restarted() and not (save_dir or resume):
        raise UsageError(
            "torchrun would restart this run, but then could not find its folder\n"
            "expected: --save-dir DIR, or torchrun with --max-restarts 0"
        )
    with joined_ranks("train", gpus=True) as ranks, stop_on_signals() as stop:
        stored = None
        if ranks.rank == 0:  # the folder may be on its machine only
            if restarts() and save_dir and holds_run(save_dir):
                resume = save_dir
            stored = None if resume is None else read_run(resume)
        stored = ranks.from_first(stored)
        settings = _settings(given, stored)
        if settings.tensorboard:
            _summary_writer()  # before hours are spent
        prepared = _prepare(settings, stored, ranks, save_dir, offline=offline)
        return _follow(prepared, stop)


def _settings(given: Mapping[str, object], stored: StoredRun | None) -> TrainSettings:
    """Those of the flags; where a run goes on, its own, which the flags must not contradict."""
    from yolo_gp.tasks.train_folder import require_unchanged
    from yolo_gp.tasks.train_settings import WITHOUT_EFFECT_ON_RESULTS, TrainSettings

    values: dict[str, Any] = dict(given)
    if stored is None:
        if "data" not in given:
            raise UsageError("--data is missing\nexpected: --data with annotated images")
        return TrainSettings(**values)
    require_unchanged(stored.folder.path, stored.settings.to_entries(), given)
    free = {name: value for name, value in values.items() if name in WITHOUT_EFFECT_ON_RESULTS}
    return replace(stored.settings, **free)


def _prepare(
    settings: TrainSettings,
    stored: StoredRun | None,
    ranks: Ranks,
    save_dir: Path | None,
    *,
    offline: bool,
) -> Prepared:
    from yolo_gp.tasks.train_setup import begin, go_on

    if stored is not None:
        prepared = go_on(stored, settings, ranks)
    else:
        cache = visible_cache(offline=offline)
        prepared = begin(settings, ranks, save_dir=save_dir, cache=cache)
    if ranks.rank == 0:
        print_warnings(prepared.run.graph.warnings)
        print_notes(prepared.notes)
        print(_head(prepared.run))
    return prepared


def _head(run: Training) -> str:
    """What is trained, on what, for how long."""
    recipe, length = run.recipe, run.length
    height, width = run.graph.input_shape.size
    return (
        f"{run.folder.cfg_name}: {run.graph.total.params:,} parameters, "
        f"{len(run.data.names)} classes, input {height}x{width}\n"
        f"recipe {recipe.name}: {length.iterations} iterations of {recipe.batch} images "
        f"({length.epochs:.1f} epochs), {recipe.images_per_pass} at a time"
    )


def _follow(prepared: Prepared, stop: StopRequest) -> int:
    """Run the loop and tell what happens; the exit code."""
    from tqdm import tqdm

    from yolo_gp.tasks.train import Step, train

    run = prepared.run
    speaks = run.ranks.rank == 0
    if speaks and run.settings.plots:
        _write_pictures(run)
    board = _Board(run.folder.path) if speaks and run.settings.tensorboard else None
    bar: tqdm[Any]
    with tqdm(
        total=run.length.iterations,
        initial=run.progress.iteration,
        disable=not (speaks and sys.stderr.isatty()),
        unit="it",
        dynamic_ncols=True,
    ) as bar:
        for event in train(run, stop):
            if not speaks:
                continue
            if board is not None:
                board.add(event)
            if isinstance(event, Step):
                _tell_step(event, bar, run.ranks.world)
            else:
                bar.write(_line(event, run), file=sys.stdout)
                sys.stdout.flush()
    return _finish(run, stop) if speaks else stop.exit_code


def _tell_step(step: Step, bar: tqdm[Any], world: int) -> None:
    parts = {name: f"{value:.3g}" for name, value in step.parts.items()}
    speed = world * step.images / step.seconds
    bar.set_postfix({**parts, "images/s": f"{speed:.1f}"}, refresh=False)
    bar.update()
    for problem in step.problems:
        bar.write(problem, file=sys.stderr)
    if step.skipped:
        text = f"iteration {step.iteration} is left out: its loss or gradient is not finite"
        bar.write(text, file=sys.stderr)


def _line(epoch: Epoch, run: Training) -> str:
    """An epoch in one line."""
    parts = ", ".join(f"{name} {value:.4g}" for name, value in epoch.parts.items())
    text = (
        f"epoch {epoch.epoch}/{run.epochs}  iteration {epoch.iteration}  rate {epoch.rate:.3g}  "
        f"loss {epoch.loss:.4g} ({parts})  {epoch.images_per_second:.1f} images/s"
    )
    if epoch.ap is None:
        return text
    best = "  best so far" if epoch.best else ""
    return f"{text}  AP {_share(epoch.ap)}  AP50 {_share(epoch.ap50)}{best}"


def _share(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"  # nan is no number


def _finish(run: Training, stop: StopRequest) -> int:
    """Write the curves, print the outcome; the exit code."""
    if run.settings.plots:
        from yolo_gp.plots.training import write_training_curves  # loads matplotlib

        write_training_curves(run.folder.path / "curves.png", run.progress.epochs)
    print(_outcome(run))
    place = run.folder.path
    if not run.is_over:
        assert stop.signal is not None
        print(
            f"stopped by {stop.signal.name} after iteration {run.progress.iteration}; go on with "
            f"--resume {place}",
            file=sys.stderr,
        )
    else:
        print(f"results are in {place}", file=sys.stderr)
    return stop.exit_code


def _outcome(run: Training) -> str:
    """The accuracy of the best and of the last weights, as a table."""
    measured = [epoch for epoch in run.progress.epochs if epoch.ap is not None]
    if not measured:
        return f"{run.progress.iteration} iterations done; accuracy was not measured"
    best = [epoch for epoch in measured if epoch.epoch == run.progress.best_epoch]
    rows = [("", "epoch", "AP", "AP50", "AP75", "weights")]
    for name, epoch, path in (
        *(("best", epoch, run.folder.best) for epoch in best),
        ("last", measured[-1], run.folder.last),
    ):
        figures = (_share(epoch.ap), _share(epoch.ap50), _share(epoch.ap75))
        rows.append((name, str(epoch.epoch), *figures, str(path)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:5], widths[1:5], strict=True)]
            + [row[5]]
        ).rstrip()
        for row in rows
    )


def _write_pictures(run: Training) -> None:
    """The first batch with its boxes, and the labels of the data."""
    from yolo_gp.data.statistics import dataset_statistics
    from yolo_gp.plots.batches import write_batch
    from yolo_gp.plots.dataset import plot_statistics

    batch = next(run.loader.batches(run.progress.iteration * run.passes))
    write_batch(run.folder.path / "batch.png", batch.images, batch.targets, run.data.names)
    labels = run.folder.path / "labels"
    labels.mkdir(exist_ok=True)
    plot_statistics(dataset_statistics(run.data.training), labels)


def _summary_writer() -> Any:
    """TensorBoard's writer.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs the package tensorboard\nhelp: pip install tensorboard"
        ) from error
    return SummaryWriter


class _Board:
    """TensorBoard's log."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = _summary_writer()(str(folder))

    def add(self, event: Step | Epoch) -> None:
        """Log the losses of a step, the accuracy after an epoch."""
        scalars = {f"loss/{name}": value for name, value in event.parts.items()}
        scalars = {"loss/total": event.loss, "rate": event.rate, **scalars}
        if not hasattr(event, "ap"):
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, event.iteration)
            return
        for name in ("ap", "ap50", "ap75"):
            if (value := getattr(event, name)) is not None:
                self._writer.add_scalar(f"accuracy/{name}", value, event.iteration)
        self._writer.flush()
