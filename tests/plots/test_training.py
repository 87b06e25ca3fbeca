"""The curves show what the epochs say."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from yolo_gp.plots.training import training_figure, write_training_curves
from yolo_gp.training.progress import Epoch


def epoch(number: int, box: float, ap: float | None = None) -> Epoch:
    return Epoch(
        epoch=number,
        iteration=10 * number,
        rate=0.1 / number,
        loss=box,
        parts={"box": box},
        images_per_second=1.0,
        waiting=0.0,
        ap=ap,
        ap50=None if ap is None else ap * 2,
        ap75=None if ap is None else ap / 2,
    )


EPOCHS = (epoch(1, 4.0), epoch(2, 2.0, 0.25), epoch(3, 1.0), epoch(4, 0.5, 0.375))


def test_the_curves_are_the_epochs() -> None:
    losses, rates, accuracy = training_figure(EPOCHS).axes
    assert losses.lines[0].get_xydata().tolist() == [[1, 4], [2, 2], [3, 1], [4, 0.5]]
    assert [line.get_label() for line in losses.lines] == ["box"]
    assert rates.lines[0].get_ydata().tolist() == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])
    found = {line.get_label(): line.get_xydata().tolist() for line in accuracy.lines}
    assert found["AP"] == [[2, 0.25], [4, 0.375]]  # where it was measured
    assert found["AP50"] == [[2, 0.5], [4, 0.75]]


def test_curves_of_a_run_that_has_not_ended_an_epoch_are_empty(tmp_path: Path) -> None:
    write_training_curves(tmp_path / "curves.png", ())
    assert Image.open(tmp_path / "curves.png").size[0] > 1000
