"""Studies: variants of a network trained one after the other under the same conditions."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from yolo_gp.cache import ModelCache
from yolo_gp.errors import UsageError
from yolo_gp.files import os_reason, write_atomically
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.results import claim_folder, new_run_folder
from yolo_gp.tasks.study_plan import StudyPlan, Variant, require_unchanged_variants
from yolo_gp.tasks.train import Step, train
from yolo_gp.tasks.train_folder import holds_run, read_run
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_setup import Prepared, begin, go_on
from yolo_gp.tasks.train_state import Training
from yolo_gp.tasks.train_stop import StopRequest
from yolo_gp.training.progress import Epoch

_SCHEMA_VERSION = 1
_STUDY_FILE = "study.json"
_BASE = Path("runs/study")
_TRIAL = 16  # iterations by which the speed of a variant is measured
_SETTLING = 6  # the first of them, which are slower


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one run ended.

    Fields:
        iterations, images: what it learned from; `epochs` is the same in passes of the data.
        seconds: of training, without measuring.
        ap, ap50, ap75: COCO's, of the weights at its end.
    """

    variant: str
    seed: int
    iterations: int
    images: int
    epochs: float
    seconds: float
    ap: float
    ap50: float
    ap75: float


@dataclass(frozen=True, slots=True)
class Length:
    """How long the runs of a variant are, by the speed that was measured."""

    iterations: int
    batch: int
    subdivisions: int


@dataclass(slots=True)
class Study:
    """A study as far as it has come.

    Fields:
        lengths: by variant, where the budget is one of time.
        results: by run name.
    """

    folder: Path
    plan: StudyPlan
    lengths: dict[str, Length] = field(default_factory=dict)
    results: dict[str, RunResult] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return len(self.results) == len(self.plan.runs)

    def run_folder(self, variant: Variant, seed: int) -> Path:
        return self.folder / _run_name(variant, seed)

    def save(self) -> None:
        """Write down how far it has come.

        Raises:
            DataError: the file cannot be written.
        """
        content = {
            "schema_version": _SCHEMA_VERSION,
            "plan": self.plan.to_entries(),
            "lengths": {name: asdict(length) for name, length in self.lengths.items()},
            "results": [asdict(result) for result in self.results.values()],
        }
        write_atomically(self.folder / _STUDY_FILE, json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins, or goes on."""

    name: str
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run is over."""

    name: str
    result: RunResult


def begin_study(plan: StudyPlan, folder: Path | None = None) -> Study:
    """A new study in a folder of its own, by default the next of runs/study.

    Raises:
        UsageError: the folder holds something, or cannot be created.
        DataError: it cannot be written.
    """
    study = Study(claim_folder(folder) if folder else new_run_folder(_BASE), plan)
    study.save()
    return study


def read_study(folder: Path) -> Study:
    """The study in a folder, to go on with or to report.

    Raises:
        UsageError: there is none.
    """
    try:
        content = json.loads((folder / _STUDY_FILE).read_text(encoding="utf-8"))
        plan = StudyPlan.from_entries(content["plan"])
        results = [RunResult(**result) for result in content["results"]]
        lengths = {name: Length(**length) for name, length in content["lengths"].items()}
    except OSError as error:
        raise UsageError(
            f"{folder} holds no study: {_STUDY_FILE}: {os_reason(error)}\n"
            "expected: a folder that `yolo-gp study` has made"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder / _STUDY_FILE} does not describe a study") from error
    by_name = {f"{result.variant}-seed{result.seed}": result for result in results}
    return Study(folder, plan, lengths, by_name)


def run_study(
    study: Study, stop: StopRequest, cache: ModelCache | None = None
) -> Iterator[RunStarted | Epoch | RunFinished]:
    """Make the runs that are left. Ends early when `stop` asks for it; all is kept.

    Raises:
        UsageError, CfgError, DataError: as `train`; a cfg has changed since the study began.
    """
    require_unchanged_variants(study.plan)
    for variant, seed in study.plan.runs:
        name = _run_name(variant, seed)
        if name in study.results:
            continue
        prepared = _prepare(study, variant, seed, cache)
        yield RunStarted(name, prepared)
        for event in train(prepared.run, stop):
            if isinstance(event, Epoch):
                yield event
        if not prepared.run.is_over:
            return
        study.results[name] = _result(variant, seed, prepared.run)
        study.save()
        yield RunFinished(name, study.results[name])
        if stop:
            return


def _run_name(variant: Variant, seed: int) -> str:
    return f"{variant.name}-seed{seed}"


def _prepare(study: Study, variant: Variant, seed: int, cache: ModelCache | None) -> Prepared:
    """A run that begins, or goes on where it was interrupted."""
    folder = study.run_folder(variant, seed)
    if holds_run(folder):
        stored = read_run(folder)
        return go_on(stored, stored.settings, Ranks())
    if folder.exists():  # killed before it had written down what it was
        shutil.rmtree(folder)
    settings = _with_length(study, variant, study.plan.settings_of(variant, seed), cache)
    return begin(settings, Ranks(), save_dir=folder, cache=cache)


def _with_length(
    study: Study, variant: Variant, settings: TrainSettings, cache: ModelCache | None
) -> TrainSettings:
    """The settings of a run, as long as the budget says."""
    budget = study.plan.budget
    if budget.unit == "epochs":
        return replace(settings, epochs=int(budget.amount))
    if budget.unit == "iterations":
        return replace(settings, iterations=int(budget.amount))
    if variant.name not in study.lengths:
        study.lengths[variant.name] = _measured_length(budget.amount, settings, cache)
        study.save()
    return replace(settings, **asdict(study.lengths[variant.name]))


def _measured_length(seconds: float, settings: TrainSettings, cache: ModelCache | None) -> Length:
    """How many steps of this network the time allows here, by a short run that is thrown away."""
    trial = replace(settings, iterations=_TRIAL, validate=False, val_data=None, val_every=None)
    with tempfile.TemporaryDirectory() as folder:
        run = begin(trial, Ranks(), save_dir=Path(folder) / "trial", cache=cache).run
        steps = [event for event in train(run, StopRequest()) if isinstance(event, Step)]
    settled = sorted(step.seconds for step in steps[_SETTLING:])
    iterations = max(1, round(seconds / settled[len(settled) // 2]))
    return Length(iterations, run.recipe.batch, run.recipe.subdivisions)


def _result(variant: Variant, seed: int, run: Training) -> RunResult:
    batch, epochs = run.recipe.batch, run.progress.epochs
    before = [0, *(epoch.iteration for epoch in epochs)]
    seconds = sum(
        (epoch.iteration - start) * batch / epoch.images_per_second
        for start, epoch in zip(before, epochs, strict=False)
        if epoch.images_per_second
    )
    last = epochs[-1]
    iterations = run.progress.iteration
    nan = float("nan")
    return RunResult(
        variant=variant.name,
        seed=seed,
        iterations=iterations,
        images=iterations * batch,
        epochs=iterations * batch / len(run.data.training.samples),
        seconds=seconds,
        ap=nan if last.ap is None else last.ap,
        ap50=nan if last.ap50 is None else last.ap50,
        ap75=nan if last.ap75 is None else last.ap75,
    )
