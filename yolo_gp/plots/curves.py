"""Curves of precision, recall and F1, as one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yolo_gp.files import write_atomically
from yolo_gp.metrics.curves import THRESHOLDS, ConfidenceCurve, Curves
from yolo_gp.metrics.matching import Floats
from yolo_gp.plots.class_names import readable

_INCHES = (13.0, 9.0)
_DOTS_PER_INCH = 120
_FEW = 10  # classes that each have a colour and a name; of more, all are grey
_PANELS = (
    (("recall", "precision"), ("confidence", "F1")),
    (("confidence", "precision"), ("confidence", "recall")),
)


def write_curves(path: Path, curves: Curves, names: Sequence[str]) -> None:
    """Write `curves_figure` to a PNG.

    Raises:
        DataError: the file cannot be written.
    """
    png = io.BytesIO()
    curves_figure(curves, names).savefig(png, format="png")
    write_atomically(path, png.getvalue())


def curves_figure(curves: Curves, names: Sequence[str]) -> Figure:
    """Precision over recall, and F1, precision and recall over confidence, in four panels.

    The thick line is all classes together, a thin one each class that has objects. A dot marks
    where F1 is best.

    Args:
        names: by class id.
    """
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    figure.suptitle(_title(curves))
    panels = figure.subplots(2, 2)
    for axes_row, words_row in zip(panels, _PANELS, strict=True):
        for axes, words in zip(axes_row, words_row, strict=True):
            _draw(axes, curves, names, words)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def _title(curves: Curves) -> str:
    pooled = curves.pooled
    what = f"{pooled.objects} objects, found at IoU {curves.iou_threshold:g} or more"
    if math.isnan(pooled.best_f1):
        return f"{what}: none"
    return f"{what}: best F1 {pooled.best_f1:.3f} at confidence {pooled.best_confidence:.3f}"


def _draw(axes: Axes, curves: Curves, names: Sequence[str], words: tuple[str, str]) -> None:
    """One panel, of what is called by `words` along x and y."""
    present = [(i, one) for i, one in enumerate(curves.classes) if one.objects]
    few = len(present) <= _FEW
    for number, (class_id, one) in enumerate(present):
        label = readable(names[class_id], class_id) if few else f"each of {len(present)} classes"
        axes.plot(
            *(_values(one, word) for word in words),
            color=f"C{number}" if few else "0.8",
            linewidth=1.2 if few else 0.6,
            label=label if few or not number else None,
        )
    pooled = curves.pooled
    axes.plot(
        *(_values(pooled, word) for word in words),
        color="black",
        linewidth=2.5,
        label="all classes",
    )
    if not math.isnan(pooled.best_confidence):
        best = int(pooled.best_confidence * (len(THRESHOLDS) - 1))
        x, y = (_values(pooled, word)[best] for word in words)
        axes.plot(x, y, "o", color="red", markersize=8, zorder=3, label="best F1")
    axes.set(xlabel=words[0], ylabel=words[1], xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)


def _values(curve: ConfidenceCurve, word: str) -> Floats:
    """What the axes call by a word: (1001,)."""
    if word == "precision":
        return curve.precision
    if word == "recall":
        return curve.recall
    return curve.f1 if word == "F1" else THRESHOLDS
