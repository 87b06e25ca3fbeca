"""A training tells [dropout] dropblock=1 how far it has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.layers.dropout_modules import DropBlock
from yolo_gp.tasks.train import Step, train
from yolo_gp.tasks.train_stop import StopRequest

from .train_sets import CFG, begun, write_tiny


def test_dropped_squares_grow_with_the_iterations(tmp_path: Path) -> None:
    block = "[dropout]\ndropblock=1\nprobability=0.1\n\n[convolutional]\n"
    write_tiny(tmp_path, block.join(CFG.rsplit("[convolutional]\n", 1)))
    run = begun(tmp_path, iterations=4, validate=False)
    (module,) = (m for m in run.network.modules() if isinstance(m, DropBlock))
    grown = [module.progress for event in train(run, StopRequest()) if isinstance(event, Step)]
    # The n-th of 4 iterations is n / 4 of the training, which is grown at .85.
    assert grown == pytest.approx([0.25 / 0.85, 0.5 / 0.85, 0.75 / 0.85, 1.0])
