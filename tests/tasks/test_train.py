"""The loop: it learns, it accumulates, it clips, it notices what is not finite."""

from __future__ import annotations

import csv
import math
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from yolo_gp.errors import DataError
from yolo_gp.losses.network_loss import LossValue
from yolo_gp.losses.targets import Targets
from yolo_gp.tasks.detector import Detector, DetectorSettings
from yolo_gp.tasks.models import ModelSource, load_model
from yolo_gp.tasks.train import Step, train
from yolo_gp.tasks.train_state import Training
from yolo_gp.tasks.train_stop import StopRequest, stop_on_signals
from yolo_gp.training.progress import Epoch

from .train_sets import CFG, OBJECTS, begun, finished, weights_of, write_tiny


def steps_of(run: Training) -> list[Step]:
    return [event for event in train(run, StopRequest()) if isinstance(event, Step)]


def test_four_images_are_learnt_by_heart(tmp_path: Path) -> None:
    run = finished(begun(tmp_path))
    last = run.progress.epochs[-1]
    assert last.ap50 is not None and last.ap50 > 0.95
    # what lies in the folder finds the objects, without cfg or names beside it
    source = ModelSource(weights=run.folder.best)
    found = Detector.load(DetectorSettings(model=source)).detect(tmp_path / "images/2.png")
    best = found.boxes_xyxy[0].tolist()
    left, top, right, bottom, _ = OBJECTS[1][0]
    assert best == pytest.approx((left, top, right, bottom), abs=6)
    assert found.names == ("square", "bar")


def test_the_final_darknet_weights_are_those_kept_last(tmp_path: Path) -> None:
    run = finished(begun(tmp_path, iterations=2, batch=8, validate=False))
    names = [str(run.folder.cfg), str(run.folder.final)]
    model = load_model(ModelSource(cfg=names[0], weights=names[1]))
    assert model.header is not None and model.header.seen == 2 * 8
    state = model.network.state_dict()
    for name, tensor in weights_of(run.folder.path).items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)
    assert not run.folder.best.exists()  # accuracy was not measured


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path: Path) -> None:
    runs = [
        finished(begun(tmp_path, f"run{i}", iterations=2, validate=False, seed=seed))
        for i, seed in enumerate((1, 1, 2))
    ]
    first, again, other = (weights_of(run.folder.path) for run in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        *(weights["convolutional_0.convolution.weight"] for weights in (first, other))
    )


def test_subdivisions_add_up_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    # Without batch norm, which sees its part of the batch only, parts make no difference.
    write_tiny(tmp_path, CFG.replace("batch_normalize=1\n", ""))
    whole = steps_of(begun(tmp_path, "a", iterations=3, lr=1e-3, validate=False))
    parts = steps_of(begun(tmp_path, "b", iterations=3, lr=1e-3, validate=False, subdivisions=4))
    assert [s.loss for s in whole] == pytest.approx([s.loss for s in parts], rel=1e-4)
    assert [s.images for s in whole] == [s.images for s in parts] == [4, 4, 4]
    first, second = (weights_of(tmp_path / name) for name in "ab")
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-6)


def test_the_rates_of_the_schedule_are_used_and_shown(tmp_path: Path) -> None:
    # [net] burn_in=4, power 4: iterations 1 to 3 have (i / 4)^4 of the rate, 4 the whole.
    write_tiny(tmp_path, CFG.replace("policy=sgdr", "policy=constant\nburn_in=4"))
    run = begun(tmp_path, iterations=60, lr=0.5, validate=False)
    found = [
        step.rate
        for step, _ in zip(train(run, StopRequest()), range(7), strict=False)
        if isinstance(step, Step)
    ]
    assert found[:4] == pytest.approx([0.5 / 4**4, 0.5 * 2**4 / 4**4, 0.5 * 3**4 / 4**4, 0.5])


def test_a_moving_average_is_what_is_measured_and_kept(tmp_path: Path) -> None:
    run = finished(begun(tmp_path, recipe="modern", iterations=30, batch=4, validate=False))
    assert run.ema is not None
    name = "convolutional_0.convolution.weight"
    kept = weights_of(run.folder.path)[name]
    assert torch.equal(kept, run.ema.values[name])
    assert not torch.equal(kept, run.network.state_dict()[name])


def test_every_epoch_ends_and_is_a_line_of_the_table(tmp_path: Path) -> None:
    # 4 images, 2 a batch: 2 iterations an epoch; 5 iterations are 2 epochs and a half.
    run = begun(tmp_path, iterations=5, batch=2, val_every=2)
    events = list(train(run, StopRequest()))
    epochs = [event for event in events if isinstance(event, Epoch)]
    steps = [event for event in events if isinstance(event, Step)]
    assert [(e.epoch, e.iteration) for e in epochs] == [(1, 2), (2, 4), (3, 5)]
    assert [e.ap is None for e in epochs] == [True, False, False]  # every second, and the last
    assert epochs[0].loss == pytest.approx((steps[0].loss + steps[1].loss) / 2)
    assert epochs[2].loss == pytest.approx(steps[4].loss)
    rows = list(csv.DictReader(run.folder.metrics.open()))
    assert [row["iteration"] for row in rows] == ["2", "4", "5"]
    assert float(rows[0]["loss"]) == pytest.approx(epochs[0].loss, rel=1e-5)
    assert [row["ap"] == "" for row in rows] == [True, False, False]


@pytest.mark.parametrize(("every", "best"), [(1, [1, 0, 0, 0]), (3, [0, 0, 1, 0, 0, 0])])
def test_patience_ends_a_run_that_gets_no_better(
    tmp_path: Path, every: int, best: list[int]
) -> None:
    # At such a rate, and with frozen statistics, accuracy stays as it is when first measured; a run
    # ends only where it has been measured again.
    settings = {"lr": 1e-12, "freeze": 5, "val_every": every, "patience": 3}
    run = finished(begun(tmp_path, iterations=50, **settings))
    assert [int(epoch.best) for epoch in run.progress.epochs] == best
    assert run.folder.final.exists()
    assert run.is_over


class _Spoilt:
    """A loss that is no number at some calls."""

    def __init__(self, run: Training, calls: set[int]) -> None:
        self._loss = run.loss
        self._calls = calls
        self._count = 0

    def __call__(self, maps: list[Tensor], targets: Targets, size: tuple[int, int]) -> LossValue:
        self._count += 1
        value = self._loss(maps, targets, size)
        if self._count not in self._calls:
            return value
        return LossValue(value.total * math.nan, value.parts)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_images(tmp_path: Path) -> None:
    run = begun(tmp_path, iterations=5, validate=False)
    run.loss = _Spoilt(run, {3})  # type: ignore[assignment]
    with pytest.raises(DataError) as error:
        finished(run)
    text = str(error.value)
    assert text.startswith(
        "iteration 3: the loss is nan and the norm of the gradient nan; its images were\n"
    )
    assert any(f"{tmp_path / 'images'}/{n}.png" in text for n in (1, 2, 3, 4))
    assert text.endswith(f"the last checkpoint in {run.folder.path} is whole")
    assert run.progress.iteration == 2
    assert all(bool(p.isfinite().all()) for p in run.network.parameters())


def test_a_skipped_iteration_changes_neither_weights_nor_statistics(tmp_path: Path) -> None:
    run = begun(tmp_path, iterations=3, validate=False, non_finite="skip")
    run.loss = _Spoilt(run, {2})  # type: ignore[assignment]
    seen: list[dict[str, Tensor]] = []
    steps = []
    for event in train(run, StopRequest()):
        if isinstance(event, Step):
            steps.append(event)
            state = run.network.state_dict()
            seen.append({n: v.clone() for n, v in state.items() if v.is_floating_point()})
    assert [step.skipped for step in steps] == [False, True, False]
    assert all(torch.equal(seen[0][name], seen[1][name]) for name in seen[0])
    name = "convolutional_0.batch_norm.running_mean"
    assert not torch.equal(seen[1][name], seen[2][name])
    # neither its loss nor its images count in the mean
    assert run.progress.epochs[1].loss == 0.0


def test_ten_skipped_iterations_in_a_row_stop_the_run(tmp_path: Path) -> None:
    run = begun(tmp_path, iterations=50, validate=False, non_finite="skip")
    run.loss = _Spoilt(run, set(range(3, 60)))  # type: ignore[assignment]
    with pytest.raises(DataError, match=r"iteration 12: the loss is nan .* 10 times in a row"):
        finished(run)


def test_gradients_are_clipped_to_the_norm_of_the_recipe(tmp_path: Path) -> None:
    # One update of plain descent without momentum: weights move by the rate times the gradient,
    # whose norm is 10 at most, so they move by .01 * 10 at most; by that, if it was more.
    write_tiny(tmp_path)
    run = begun(tmp_path, recipe="modern", iterations=1, batch=4, lr=0.01, validate=False)
    assert run.recipe.gradient_clip == 10.0
    big = run.loss
    run.loss = lambda maps, targets, size: _times(big(maps, targets, size), 1e4)  # type: ignore[assignment]
    steps_of(run)
    norm = torch.nn.utils.get_total_norm([p.grad for p in run.learning if p.grad is not None])
    assert float(norm) == pytest.approx(10.0, rel=1e-4)


def _times(value: LossValue, factor: float) -> LossValue:
    return LossValue(value.total * factor, value.parts)


def test_a_signal_lets_the_step_end_and_the_run_be_saved(tmp_path: Path) -> None:
    run = begun(tmp_path, iterations=9, validate=False)
    with stop_on_signals() as stop:
        for event in train(run, stop):
            if isinstance(event, Step) and event.iteration == 3:
                signal.raise_signal(signal.SIGTERM)
    assert stop.signal is signal.SIGTERM
    assert run.progress.iteration == 3
    assert torch.load(run.folder.state, weights_only=True)["iteration"] == 3
    assert not run.folder.final.exists()


def test_a_second_signal_ends_the_process_at_once() -> None:
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal is signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_image_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    (tmp_path / "images/3.png").write_bytes(b"no picture")
    problems = [
        text
        for step in steps_of(begun(tmp_path, iterations=4, validate=False))
        for text in step.problems
    ]
    assert len(problems) == 1 and "3.png" in problems[0]


def test_lower_precision_gives_nearly_the_same_loss(tmp_path: Path) -> None:
    # bfloat16 has 8 bits of significand: an error of some percent after six convolutions.
    full, low = (
        steps_of(begun(tmp_path, dtype, dtype=dtype, iterations=1, validate=False))[0]
        for dtype in ("float32", "bfloat16")
    )
    assert low.loss == pytest.approx(full.loss, rel=0.05)
    assert low.loss != full.loss


def test_cached_images_are_read_once(tmp_path: Path) -> None:
    run = begun(tmp_path, recipe="modern", iterations=3, batch=4, validate=False, cache="memory")
    problems = []
    for event in train(run, StopRequest()):
        if isinstance(event, Step):
            problems += event.problems
            for path in (tmp_path / "images").iterdir():
                path.unlink()
    assert problems == []
    assert run.progress.iteration == 3
