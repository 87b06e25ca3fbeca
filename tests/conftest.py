"""What several tests need: the folder of real models and oracles, where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two processes run the tests, one on each core. torch reads this once, when it is imported; runs
# that are compared to the last digit need equal numbers of threads.
os.environ["OMP_NUM_THREADS"] = "1"

PROJECT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def cache_of_this_test(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test reads or fills the user's own cache."""
    monkeypatch.setenv("YOLO_GP_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("YOLO_GP_MIRROR", raising=False)
    monkeypatch.delenv("YOLO_GP_OFFLINE", raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """../shared of the project: real cfgs, weights, images, Darknet's own output."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not here: real models and oracles are not tested")
    return folder
