"""A confusion matrix, as a PNG."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from yolo_gp.files import write_atomically
from yolo_gp.metrics.top_k import NOTHING, TopK, confusion_table
from yolo_gp.plots.class_names import readable

_INCHES_PER_CELL = 0.27
_SMALLEST, _LARGEST = 5.0, 60.0  # inches
_DOTS_PER_INCH = 100
_FONT, _LARGE_FONT = 7.0, 10.0  # points; the smallest cell holds four digits of the smaller
_FEW = 15  # classes; their cells have room for the larger font
_MOST_CLASSES = 60  # of a classifier's; more would make a picture nobody opens
_DARK = 0.5  # of the colour scale: from here on numbers are white


def write_confusion(path: Path, matrix: NDArray[np.int64], names: Sequence[str]) -> None:
    """Write `confusion_figure` to a PNG.

    Raises:
        DataError: the file cannot be written.
    """
    png = io.BytesIO()
    confusion_figure(matrix, names).savefig(png, format="png")
    write_atomically(path, png.getvalue())


def confusion_figure(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    """How often objects of each class (rows) were found as each class (columns).

    The colour is the share of the row, the number the count. Classes that have neither objects nor
    detections are left out.

    Args:
        matrix: (C + 1, C + 1), as `metrics.confusion.confusion_matrix` returns it.
        names: by class id.
    """
    nothing = len(matrix) - 1
    seen = [i for i in range(nothing) if matrix[i].any() or matrix[:, i].any()]
    kept = [*seen, nothing]
    labels = [readable(names[i], i) for i in seen]
    rows, columns = [*labels, "(nothing there)"], [*labels, "(missed)"]
    figure = _figure(matrix[np.ix_(kept, kept)], rows, columns)
    figure.axes[0].set(xlabel="found as", ylabel="object")
    left_out = nothing - len(seen)
    if left_out:
        figure.axes[0].set_title(
            f"left out: {left_out} of {nothing} classes, neither there nor found"
        )
    return figure


def write_class_confusion(path: Path, top_k: TopK, names: Sequence[str]) -> None:
    """Write `class_confusion_figure` to a PNG.

    Raises:
        DataError: the file cannot be written.
    """
    png = io.BytesIO()
    class_confusion_figure(top_k, names).savefig(png, format="png")
    write_atomically(path, png.getvalue())


def class_confusion_figure(top_k: TopK, names: Sequence[str]) -> Figure:
    """How often images of each class (rows) were given each class (columns).

    The colour is the share of the row, the number the count. Of many classes only those are shown
    that take part in most errors.

    Args:
        names: by class id.
    """
    chosen = _worst_classes(top_k)
    labels = [readable(names[i], i) for i in chosen]
    table = confusion_table(top_k.confusions, chosen)
    figure = _figure(table, labels, [*labels, "(none of these)"])
    figure.axes[0].set(xlabel="given class", ylabel="class of the image")
    left_out = len(names) - len(chosen)
    if left_out:
        figure.axes[0].set_title(f"left out: {left_out} of {len(names)} classes, with fewer errors")
    return figure


def _worst_classes(top_k: TopK) -> list[int]:
    """The classes that occur, or of many those in most errors; by class id."""
    errors: Counter[int] = Counter()
    for one in top_k.confusions:
        wrong = one.images if one.shown != one.said else 0
        errors[one.shown] += wrong
        errors[one.said] += wrong
    del errors[NOTHING]
    return sorted(class_id for class_id, _ in errors.most_common(_MOST_CLASSES))


def _figure(cells: NDArray[np.int64], rows: Sequence[str], columns: Sequence[str]) -> Figure:
    """The cells with their labels."""
    inches = min(max(_INCHES_PER_CELL * len(columns), _SMALLEST), _LARGEST)
    figure = Figure(figsize=(inches + 3, inches + 2), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    font = _LARGE_FONT if len(columns) <= _FEW + 1 else _FONT
    _draw_cells(axes, cells, font)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=font + 1)
    axes.set_yticks(range(len(rows)), rows, fontsize=font + 1)
    return figure


def _draw_cells(axes: Axes, counts: NDArray[np.int64], font: float) -> None:
    """The matrix as colours and numbers; zeros stay empty."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(np.arange(-0.5, counts.shape[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, len(counts)), minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    for row, column in zip(*counts.nonzero(), strict=True):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=font,
            color="white" if shares[row, column] > _DARK else "black",
        )
