"""A confusion matrix, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from yolo_gp.files import write_atomically
from yolo_gp.plots.class_names import readable

_INCHES_PER_CELL = 0.27
_SMALLEST, _LARGEST = 5.0, 60.0  # inches
_DOTS_PER_INCH = 100
_FONT, _LARGE_FONT = 7.0, 10.0  # points; the smallest cell holds four digits of the smaller
_FEW = 15  # classes; their cells have room for the larger font
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
    inches = min(max(_INCHES_PER_CELL * len(kept), _SMALLEST), _LARGEST)
    figure = Figure(figsize=(inches + 3, inches + 2), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    font = _LARGE_FONT if len(seen) <= _FEW else _FONT
    _draw_cells(axes, matrix[np.ix_(kept, kept)], font)
    ticks = range(len(kept))
    axes.set_xticks(ticks, [*labels, "(missed)"], rotation=90, fontsize=font + 1)
    axes.set_yticks(ticks, [*labels, "(nothing there)"], fontsize=font + 1)
    axes.set(xlabel="found as", ylabel="object")
    left_out = nothing - len(seen)
    if left_out:
        axes.set_title(f"left out: {left_out} of {nothing} classes, neither there nor found")
    return figure


def _draw_cells(axes: Axes, counts: NDArray[np.int64], font: float) -> None:
    """The matrix (N, N) as colours and numbers; zeros stay empty."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(np.arange(-0.5, len(counts)), minor=True)
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
