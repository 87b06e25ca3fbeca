"""The figure of precision, recall and F1: its lines are the curves, its dot the best F1."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from yolo_gp.errors import DataError
from yolo_gp.metrics.curves import THRESHOLDS, ConfidenceCurve, Curves
from yolo_gp.plots.curves import curves_figure, write_curves


def curve(level: float, objects: int = 5) -> ConfidenceCurve:
    """Precision rises to `level`, recall falls from it; the best F1 stands at .25."""
    return ConfidenceCurve(
        objects=objects,
        precision=level * THRESHOLDS,
        recall=level * (1 - THRESHOLDS),
        f1=level * THRESHOLDS * (1 - THRESHOLDS),
        best_confidence=0.25,
        best_f1=level * 0.1875,
    )


def of_levels(*levels: float) -> Curves:
    return Curves(0.5, curve(0.9, objects=20), tuple(curve(level) for level in levels))


def lines(figure: Figure, panel: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The data of the lines of a panel, row by row, by label."""
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in figure.axes[panel].lines
    }


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_panel_shows_what_its_axes_say() -> None:
    figure = curves_figure(of_levels(0.5, 0.7), ["cat", "dog"])
    dog = curve(0.7)
    panels = {
        ("recall", "precision"): (dog.recall, dog.precision),
        ("confidence", "F1"): (THRESHOLDS, dog.f1),
        ("confidence", "precision"): (THRESHOLDS, dog.precision),
        ("confidence", "recall"): (THRESHOLDS, dog.recall),
    }
    for number, (words, data) in enumerate(panels.items()):
        axes = figure.axes[number]
        assert (axes.get_xlabel(), axes.get_ylabel()) == words
        np.testing.assert_array_equal(lines(figure, number)["dog"], data)
    assert legend(figure) == ["cat", "dog", "all classes", "best F1"]


def test_a_dot_and_the_title_tell_the_best_f1() -> None:
    figure = curves_figure(of_levels(0.5), ["cat"])
    assert np.ravel(lines(figure, 0)["best F1"]) == pytest.approx([0.9 * 0.75, 0.9 * 0.25])
    assert np.ravel(lines(figure, 1)["best F1"]) == pytest.approx([0.25, 0.9 * 0.1875])
    assert figure.get_suptitle() == (
        "20 objects, found at IoU 0.5 or more: best F1 0.169 at confidence 0.250"
    )


def test_many_classes_share_one_colour_and_one_line_of_the_legend() -> None:
    figure = curves_figure(of_levels(*[0.5] * 80), [f"class {i}" for i in range(80)])
    assert len(figure.axes[0].lines) == 82
    assert len({line.get_color() for line in figure.axes[0].lines[:80]}) == 1
    assert legend(figure) == ["each of 80 classes", "all classes", "best F1"]


def test_classes_without_objects_are_left_out() -> None:
    curves = Curves(0.5, curve(0.9), (curve(0.5), curve(0.1, objects=0)))
    assert legend(curves_figure(curves, ["cat", "dog"])) == ["cat", "all classes", "best F1"]


def test_nothing_found_is_said_and_not_marked() -> None:
    nothing = np.full(len(THRESHOLDS), math.nan)
    empty = ConfidenceCurve(4, nothing, np.zeros_like(nothing), nothing, math.nan, math.nan)
    figure = curves_figure(Curves(0.5, empty, (empty,)), ["cat"])
    assert legend(figure) == ["cat", "all classes"]
    assert figure.get_suptitle() == "4 objects, found at IoU 0.5 or more: none"


def test_any_class_name_can_be_shown(tmp_path: Path) -> None:
    names = ["$x_$", "\u72ac", "a name of more than twenty-four letters", "a_b^c\\"]
    figure = curves_figure(of_levels(*[0.5] * 4), names)
    assert legend(figure)[:4] == [r"\$x_\$", "class 1", "a name of more than t...", "a_b^c\\"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of letters that its font lacks
        write_curves(tmp_path / "c.png", of_levels(*[0.5] * 4), names)


def test_the_file_is_a_png_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "curves.png"
    write_curves(path, of_levels(0.5), ["cat"])
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (1560, 1080))
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_curves(tmp_path / "file" / "c.png", of_levels(0.5), ["cat"])
