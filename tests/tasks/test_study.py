"""Studies: budgets, the same conditions for every variant, and what an interruption leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yolo_gp.errors import UsageError
from yolo_gp.tasks.study import RunFinished, RunStarted, Study, begin_study, read_study, run_study
from yolo_gp.tasks.study_plan import Budget, StudyPlan, make_plan, parse_budget
from yolo_gp.tasks.study_report import study_data, study_table
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_stop import StopRequest

from .train_sets import CFG, write_tiny

WIDER = CFG.replace("filters=16", "filters=24", 1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tiny(tmp_path)
    (tmp_path / "wider.cfg").write_text(WIDER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings() -> TrainSettings:
    return TrainSettings(
        cfg="tiny.cfg",
        data="scenes.json",
        val_data="scenes.json",
        recipe="modern",
        batch=2,
        workers=0,
    )


def plan(budget: str = "2iterations", seeds: int = 2) -> StudyPlan:
    return make_plan(["tiny.cfg", "wider.cfg"], seeds, parse_budget(budget), settings())


def finished(study: Study) -> list[str]:
    return [e.name for e in run_study(study, StopRequest()) if isinstance(e, RunFinished)]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("90s", Budget(90, "seconds")),
        ("1.5h", Budget(5400, "seconds")),
        ("30m", Budget(1800, "seconds")),
        ("20epochs", Budget(20, "epochs")),
        ("3000 iterations", Budget(3000, "iterations")),
    ],
)
def test_a_budget_is_time_or_passes_or_steps(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "30", "m", "0m", "1.5epochs", "-3h", "3 days", "nanm"])
def test_anything_else_is_no_budget(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_budget(text)
    assert str(caught.value) == (
        f"--budget {text} is no budget\n"
        "expected: time, such as 90s, 30m or 2h, or 20epochs, or 3000iterations"
    )


def test_every_variant_is_trained_with_every_seed_in_the_same_length(files: Path) -> None:
    study = begin_study(plan(), files / "out")
    assert finished(study) == ["tiny-seed0", "wider-seed0", "tiny-seed1", "wider-seed1"]
    assert study.is_over
    assert {(run.iterations, run.images) for run in study.results.values()} == {(2, 4)}
    data = study_data(study)
    tiny, wider = data["variants"]
    assert tiny["params"] < wider["params"]
    assert [run["seed"] for run in tiny["runs"]] == [0, 1]


def test_a_seed_gives_the_same_run_as_train(files: Path) -> None:
    from yolo_gp.tasks.ranks import Ranks
    from yolo_gp.tasks.train import train
    from yolo_gp.tasks.train_setup import begin

    study = begin_study(plan(seeds=1), files / "out")
    finished(study)
    alone = replace(settings(), cfg="wider.cfg", iterations=2, seed=0)
    run = begin(alone, Ranks(), save_dir=files / "alone").run
    list(train(run, StopRequest()))
    expected = (files / "alone/last.safetensors").read_bytes()
    assert (files / "out/wider-seed0/last.safetensors").read_bytes() == expected


def test_a_time_budget_buys_as_many_steps_as_were_measured(files: Path) -> None:
    study = begin_study(plan("0.05s", seeds=2), files / "out")
    finished(study)
    for name, length in study.lengths.items():
        runs = [run for run in study.results.values() if run.variant == name]
        assert [run.iterations for run in runs] == [length.iterations] * 2
        assert all(run.images == 2 * length.iterations for run in runs)


def test_an_interrupted_study_goes_on_and_ends_the_same(files: Path) -> None:
    whole = begin_study(plan(), files / "whole")
    finished(whole)
    cut = begin_study(plan(), files / "cut")
    stop = StopRequest()
    for event in run_study(cut, stop):
        if isinstance(event, RunStarted) and event.name == "wider-seed0":
            stop._ask(15, None)
    assert list(cut.results) == ["tiny-seed0"]
    (files / "cut/tiny-seed1").mkdir()  # as if killed before anything was written there
    rest = read_study(files / "cut")
    assert finished(rest) == ["wider-seed0", "tiny-seed1", "wider-seed1"]
    for name in whole.results:
        expected = (files / "whole" / name / "last.safetensors").read_bytes()
        assert (files / "cut" / name / "last.safetensors").read_bytes() == expected


def test_the_table_has_the_mean_and_the_extremes(files: Path) -> None:
    study = begin_study(plan(), files / "out")
    finished(study)
    values = {("tiny", 0): 0.25, ("tiny", 1): 0.5, ("wider", 0): 0.125, ("wider", 1): 0.125}
    study.results = {
        name: replace(run, ap=values[run.variant, run.seed]) for name, run in study.results.items()
    }
    header, tiny, wider = study_table(study).splitlines()
    assert header.split()[:3] == ["variant", "params", "FLOPs"]
    assert "37.5 (25.0-50.0)" in tiny  # (.25 + .5) / 2
    assert "12.5 (12.5-12.5)" in wider


def test_a_cfg_that_changed_stops_the_study(files: Path) -> None:
    study = begin_study(plan(), files / "out")
    (files / "wider.cfg").write_text(CFG)
    with pytest.raises(UsageError, match=r"wider\.cfg is not what it was when the study began"):
        finished(read_study(study.folder))


def test_two_variants_of_one_name_are_refused(files: Path) -> None:
    (files / "copy").mkdir()
    (files / "copy/tiny.cfg").write_text(WIDER)
    with pytest.raises(UsageError, match="two cfgs are called tiny\nexpected: a name of its own"):
        make_plan(["tiny.cfg", "copy/tiny.cfg"], 1, parse_budget("1m"), settings())


def test_a_folder_without_a_study_is_named(files: Path) -> None:
    with pytest.raises(UsageError, match=r"gone holds no study: study\.json: no such file"):
        read_study(Path("gone"))
    (files / "study.json").write_text("{}")
    with pytest.raises(UsageError, match=r"study\.json does not describe a study"):
        read_study(files)
