"""A run that was cut off anywhere goes on to the very weights of one that was not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import temporary_beside
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.train import Step, train
from yolo_gp.tasks.train_folder import read_run, require_unchanged
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_setup import go_on
from yolo_gp.tasks.train_stop import StopRequest

from .train_sets import CFG, begun, finished, results_of, resumed, weights_of, write_tiny

# two images a batch, so that an epoch has two iterations; dropout draws random numbers
SETTINGS = {"iterations": 6, "batch": 2, "validate": False}
WITH_DROPOUT = CFG.replace("flip=0\n", "flip=0\nema_alpha=.9\n").replace(
    "[convolutional]\nfilters=14", "[dropout]\nprobability=.3\n\n[convolutional]\nfilters=14"
)


class Crash(BaseException):
    """The process is gone."""


def assert_same_results(folder: Path, other: Path) -> None:
    first, second = weights_of(folder), weights_of(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert results_of(folder) == results_of(other)
    assert (folder / "final.weights").read_bytes() == (other / "final.weights").read_bytes()


@pytest.mark.parametrize("recipe", ["darknet", "modern"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, after: int, recipe: str
) -> None:
    write_tiny(tmp_path, WITH_DROPOUT)
    settings = {**SETTINGS, "recipe": recipe, "subdivisions": 1}
    whole = finished(begun(tmp_path, "whole", **settings))
    parts = begun(tmp_path, "parts", **settings)
    stop = StopRequest()
    for event in train(parts, stop):
        if isinstance(event, Step) and event.iteration == after:
            stop._ask(15, None)
    assert parts.progress.iteration == after
    assert_same_results(whole.folder.path, finished(resumed(parts.folder.path)).folder.path)


def crash_at(monkeypatch: pytest.MonkeyPatch, call: int, *, before: bool) -> None:
    """End the process at the n-th time that a file takes its name."""
    replace: Callable[[Path, Path], Path] = Path.replace
    calls = 0

    def crashing(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == call and before:
            raise Crash
        result = replace(self, target)
        if calls == call:
            raise Crash
        return result

    monkeypatch.setattr(Path, "replace", crashing)


# Each save names three files: the weights, the table, the state.
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("call", [4, 5, 6])
def test_a_crash_within_a_save_costs_at_most_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, before: bool
) -> None:
    whole = finished(begun(tmp_path, "whole", **SETTINGS))
    cut = begun(tmp_path, "cut", **SETTINGS)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, call, before=before)
        finished(cut)
    again = resumed(cut.folder.path)
    assert again.progress.iteration == (4 if (call, before) == (6, False) else 2)
    assert_same_results(whole.folder.path, finished(again).folder.path)


def test_a_crash_after_the_best_weights_were_written_loses_them_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"iterations": 3, "val_every": 1, "lr": 1e-3}
    whole = finished(begun(tmp_path, "whole", **settings))
    cut = begun(tmp_path, "cut", **settings)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(patch, 2, before=False)  # the last weights, then the best
        finished(cut)
    assert cut.folder.best.exists()
    assert resumed(cut.folder.path).progress.best_ap is None  # its state does not know of them yet
    finished(resumed(cut.folder.path))
    assert cut.folder.best.read_bytes() == whole.folder.best.read_bytes()
    assert results_of(cut.folder.path) == results_of(whole.folder.path)


def test_a_finished_run_resumed_makes_no_step(tmp_path: Path) -> None:
    run = finished(begun(tmp_path, **SETTINGS))
    before = run.folder.state.read_bytes()
    assert list(train(resumed(run.folder.path), StopRequest())) == []
    assert run.folder.state.read_bytes() == before


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    leftover = temporary_beside(run.folder.state)
    leftover.write_bytes(b"half a state")
    resumed(run.folder.path)
    assert not leftover.exists()


def test_a_run_without_its_state_is_refused(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    run.folder.state.unlink()
    with pytest.raises(DataError, match=r"cannot read .*state\.pt: no such file or directory"):
        resumed(run.folder.path)


def test_changed_settings_are_refused_with_the_list(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    then = read_run(run.folder.path).settings.to_entries()
    with pytest.raises(UsageError) as error:
        require_unchanged(run.folder.path, then, {"batch": 4, "lr": 0.1, "workers": 7})
    assert str(error.value) == (
        f"{run.folder.path} was begun with other settings, so it cannot go on\n"
        "  batch: 2 then, 4 now\n"
        "  lr: nothing then, 0.1 now\n"
        "help: resume without these flags; or start anew from its weights: --weights "
        f"{run.folder.path}/last.safetensors"
    )
    require_unchanged(run.folder.path, then, {"batch": 2, "workers": 7})


def test_changed_data_is_refused(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    content = json.loads((tmp_path / "scenes.json").read_text())
    content["images"].pop()
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] < 4]
    (tmp_path / "scenes.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"data: 4 images, \w{16} then, 3 images, \w{16} now"):
        resumed(run.folder.path)


def test_a_changed_cfg_in_the_folder_is_refused(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    run.folder.cfg.write_text(CFG.replace("momentum=0.9", "momentum=0.8"))
    with pytest.raises(UsageError, match=r"cfg: \w{16} then, \w{16} now"):
        resumed(run.folder.path)


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    one, other = (begun(tmp_path, name, **SETTINGS) for name in ("one", "other"))
    shutil.copy(one.folder.state, other.folder.state)
    with pytest.raises(UsageError, match=r"state\.pt belongs to another run than its folder"):
        resumed(other.folder.path)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    content = run.folder.state.read_bytes()
    run.folder.state.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        DataError, match=r"state\.pt is no checkpoint of a training run, or a damaged"
    ):
        resumed(run.folder.path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_run(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds no training run: run.json: no such file or directory\n"
        "expected: a folder that `yolo-gp train` has made"
    )
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"run\.json does not describe a training run"):
        read_run(tmp_path)


def test_what_has_no_effect_on_results_may_change(tmp_path: Path) -> None:
    run = begun(tmp_path, **SETTINGS)
    stored = read_run(run.folder.path)
    changed = TrainSettings.from_entries({**stored.settings.to_entries(), "workers": 1})
    whole = finished(begun(tmp_path, "whole", **SETTINGS))
    assert_same_results(
        whole.folder.path, finished(go_on(stored, changed, Ranks()).run).folder.path
    )


def test_a_run_leaves_no_part_files(tmp_path: Path) -> None:
    run = finished(begun(tmp_path, iterations=2))
    assert sorted(path.name for path in run.folder.path.iterdir()) == [
        "best.safetensors",
        "final.weights",
        "last.safetensors",
        "metrics.csv",
        "run.json",
        "state.pt",
        "tiny.cfg",
        "tiny.names",
    ]
