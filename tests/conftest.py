"""What several tests need: the folder of real models and oracles, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """../shared of the project: real cfgs, weights, images, Darknet's own output."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not here: real models and oracles are not tested")
    return folder
