"""Weights of recurrent networks from one Darknet's order into the other's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from yolo_gp.errors import UsageError
from yolo_gp.tasks.convert import Converted, ConvertSettings, convert
from yolo_gp.tasks.models import ModelSource
from yolo_gp.weights.layout import WeightsDialect

CFG = "[net]\ninputs=3\n[lstm]\noutput=3\n[connected]\noutput=2\nactivation=linear\n"
# Eight layers of 3 biases and 9 weights: wf wi wg wo, uf ui ug uo; then 2 and 6.
LAYER, REST = 12, 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lstm.cfg").write_text(CFG)
    return tmp_path


def run(
    source: Path, target: str, reads: WeightsDialect | None, writes: WeightsDialect = "alexeyab"
) -> Converted:
    model = ModelSource(cfg=source.parent / "lstm.cfg", weights=source, weights_dialect=reads)
    path = source.parent / target
    return convert(ConvertSettings(model=model, target=path, weights_dialect=writes))


def pjreddies(folder: Path) -> Path:
    path = folder / "pj.weights"
    floats = np.arange(8 * LAYER + REST, dtype="<f4")
    path.write_bytes(np.array([0, 2, 0, 77, 0], dtype="<i4").tobytes() + floats.tobytes())
    return path


def layers(path: Path) -> list[int]:
    """The numbers of the layers as pjreddies() counts them, in the file's order."""
    floats = np.frombuffer(path.read_bytes()[20:], dtype="<f4")
    return [int(first) // LAYER for first in floats[: 8 * LAYER : LAYER]]


def test_pjreddies_order_becomes_alexeyabs(folder: Path) -> None:
    converted = run(pjreddies(folder), "ab.weights", "pjreddie")
    # pjreddie's wi wf wo wg are 0 to 3, ui uf uo ug 4 to 7; AlexeyAB's are wf wi wg wo ...
    assert layers(folder / "ab.weights") == [1, 0, 3, 2, 5, 4, 7, 6]
    header = np.frombuffer((folder / "ab.weights").read_bytes()[:20], dtype="<i4")
    assert header.tolist() == [0, 2, 5, 77, 0]
    assert converted.notes == (
        "[lstm]: written in the order of alexeyab's Darknet; the other reads another",
    )


def test_a_file_of_pjreddies_comes_back_byte_by_byte(folder: Path) -> None:
    source = pjreddies(folder)
    run(source, "mid.safetensors", "pjreddie")
    run(folder / "mid.safetensors", "back.weights", None, "pjreddie")
    assert (folder / "back.weights").read_bytes() == source.read_bytes()
    run(source, "straight.weights", "pjreddie", "pjreddie")
    assert (folder / "straight.weights").read_bytes() == source.read_bytes()


def test_only_weights_files_have_an_order(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(pjreddies(folder), "x.safetensors", "pjreddie", "pjreddie")
    assert str(caught.value) == (
        f"{folder / 'x.safetensors'} names its tensors, so none of them is in pjreddie's order\n"
        "expected: a file that ends in .weights"
    )


def test_a_dialect_without_weights_is_an_error() -> None:
    with pytest.raises(UsageError) as caught:
        ModelSource(cfg="x.cfg", weights_dialect="pjreddie")
    assert str(caught.value) == (
        "the weights' dialect is pjreddie, but no weights are given\n"
        "expected: a Darknet .weights file with it"
    )
