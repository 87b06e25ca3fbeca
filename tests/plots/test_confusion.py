"""The figure of a confusion matrix: counts in their cells, labels at their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from yolo_gp.errors import DataError
from yolo_gp.metrics.top_k import NEVER, NOTHING, TopK, evaluate_top_k
from yolo_gp.plots.confusion import (
    class_confusion_figure,
    confusion_figure,
    write_class_confusion,
    write_confusion,
)

NAMES = ["cat", "dog", "cow"]
MATRIX = np.array([[6, 2, 0, 0], [0, 0, 0, 0], [1, 0, 3, 4], [0, 9, 0, 0]])


def numbers(figure: Figure) -> dict[tuple[float, float], str]:
    """The texts in the cells by (row, column)."""
    return {
        (text.get_position()[1], text.get_position()[0]): text.get_text()
        for text in figure.axes[0].texts
    }


def rows(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_counts_stand_in_their_cells_and_zeros_are_left_empty() -> None:
    figure = confusion_figure(MATRIX, NAMES)
    assert rows(figure) == ["cat", "dog", "cow", "(nothing there)"]
    columns = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert columns == ["cat", "dog", "cow", "(missed)"]
    assert numbers(figure) == {
        (0, 0): "6",
        (0, 1): "2",
        (2, 0): "1",
        (2, 2): "3",
        (2, 3): "4",
        (3, 1): "9",
    }


def test_the_colour_is_the_share_of_the_row() -> None:
    picture = confusion_figure(MATRIX, NAMES).axes[0].images[0]
    expected = [[0.75, 0.25, 0, 0], [0, 0, 0, 0], [0.125, 0, 0.375, 0.5], [0, 1, 0, 0]]
    assert np.asarray(picture.get_array()) == pytest.approx(np.array(expected))
    assert picture.get_clim() == (0, 1)


def test_classes_that_never_occur_are_left_out_and_counted() -> None:
    matrix = np.zeros((81, 81), dtype=np.int64)
    matrix[3, 3], matrix[80, 70] = 5, 2
    figure = confusion_figure(matrix, [f"class {i}" for i in range(80)])
    assert rows(figure) == ["class 3", "class 70", "(nothing there)"]
    assert numbers(figure) == {(0, 0): "5", (2, 1): "2"}
    title = figure.axes[0].get_title()
    assert title == "left out: 78 of 80 classes, neither there nor found"
    assert confusion_figure(np.ones((4, 4), dtype=np.int64), NAMES).axes[0].get_title() == ""


def test_eighty_classes_have_cells_that_hold_their_numbers() -> None:
    figure = confusion_figure(np.diag(np.full(81, 1234)), [f"class {i}" for i in range(80)])
    # Two inches at most go to labels. Four digits of 7 points are .6 of that wide each.
    inches_per_cell = (min(figure.get_size_inches()) - 2) / 81
    assert inches_per_cell > 4 * 0.6 * 7 / 72
    assert {text.get_fontsize() for text in figure.axes[0].texts} == {7}


def test_the_file_is_a_png(tmp_path: Path) -> None:
    write_confusion(tmp_path / "confusion.png", MATRIX, NAMES)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (800, 700))


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_confusion(tmp_path / "file" / "c.png", MATRIX, NAMES)


def classified(*pairs: tuple[int, int], classes: int) -> TopK:
    """Images of one class that were given another."""
    shown, said = np.array(pairs, np.int64).T
    ranks = np.where(shown == said, 0, NEVER)
    return evaluate_top_k(shown, said, ranks, classes)


def test_a_classifiers_figure_has_no_row_for_nothing() -> None:
    top_k = classified((0, 0), (0, 0), (0, 2), (2, 2), (2, NOTHING), classes=3)
    figure = class_confusion_figure(top_k, NAMES)
    assert rows(figure) == ["cat", "cow"]
    columns = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert columns == ["cat", "cow", "(none of these)"]
    assert numbers(figure) == {(0, 0): "2", (0, 1): "1", (1, 1): "1", (1, 2): "1"}
    assert figure.axes[0].get_title() == "left out: 1 of 3 classes, with fewer errors"


def test_of_many_classes_those_with_most_errors_are_shown() -> None:
    # every class is right once, 150 is given 151 twice
    pairs = [(n, n) for n in range(200)] + [(150, 151)] * 2
    top_k = classified(*pairs, classes=200)
    names = [f"class {n}" for n in range(200)]
    shown = rows(class_confusion_figure(top_k, names))
    assert len(shown) == 60
    assert {"class 150", "class 151"} <= set(shown)


def test_a_classifiers_file_is_a_png(tmp_path: Path) -> None:
    write_class_confusion(tmp_path / "c.png", classified((0, 1), classes=3), NAMES)
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.format == "PNG"
