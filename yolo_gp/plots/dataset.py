"""The statistics of a data set as pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yolo_gp.data.statistics import MEDIUM, SMALL, ClassCount, DatasetStatistics
from yolo_gp.files import write_atomically

_BLUE = "#2f6690"
_DPI = 120
_BARS = 100  # classes in the picture; with more the names could not be read
_SIDES = (1, 2, 4, 8, 16, 32, 96, 256, 512, 1024, 2048)
_RATIOS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)


def plot_statistics(found: DatasetStatistics, folder: Path) -> tuple[Path, ...]:
    """Write classes.png, boxes.png and images.png.

    Raises:
        DataError: a file cannot be written.
    """
    pictures = {
        "classes.png": _classes(found),
        "boxes.png": _boxes(found),
        "images.png": _images(found),
    }
    for name, figure in pictures.items():
        content = io.BytesIO()
        figure.savefig(content, format="png")
        write_atomically(folder / name, content.getvalue())
    return tuple(folder / name for name in pictures)


def _three_axes() -> tuple[Figure, list[Axes]]:
    """A figure with three axes beside one another."""
    figure = Figure(figsize=(13.5, 4.2), dpi=_DPI)
    axes = [figure.add_subplot(1, 3, number) for number in (1, 2, 3)]
    # set by hand: a constrained layout takes as long as all of the drawing
    figure.subplots_adjust(left=0.055, right=0.965, bottom=0.14, top=0.9, wspace=0.26)
    return figure, axes


def _classes(found: DatasetStatistics) -> Figure:
    """A bar for each class, most objects first."""
    ordered = sorted(found.classes, key=lambda c: -c.objects)
    shown = ordered[:_BARS]
    figure = Figure(figsize=(8, 1.4 + 0.2 * len(shown)), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(range(len(shown)), [c.objects for c in shown], color=_BLUE, height=0.75)
    axes.bar_label(bars, labels=[_bar_text(c) for c in shown], padding=3, fontsize=7)
    axes.set_yticks(range(len(shown)), [c.name for c in shown], fontsize=8)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    rest = f"; the {_BARS} most frequent of {len(ordered)} classes" if len(ordered) > _BARS else ""
    axes.set_title(f"{found.objects:,} objects by class{rest}", fontsize=10)
    axes.set_xlabel("objects")
    _plain(axes)
    return figure


def _bar_text(count: ClassCount) -> str:
    images = "image" if count.images == 1 else "images"
    return f"{count.objects:,} in {count.images:,} {images}" if count.objects else "none"


def _boxes(found: DatasetStatistics) -> Figure:
    figure, (shapes, areas, ratios) = _three_axes()
    if found.objects:
        _shapes(shapes, found)
        _areas(areas, found)
    if len(found.aspect_ratios):
        _ratios(ratios, found)
    return figure


def _shapes(axes: Axes, found: DatasetStatistics) -> None:
    relative = np.clip(found.boxes_wh_relative, 0, 1)
    *_, picture = axes.hist2d(
        relative[:, 0], relative[:, 1], bins=40, range=((0, 1), (0, 1)), norm=LogNorm(), cmin=1
    )
    bar = axes.figure.colorbar(picture, ax=axes, label="objects", format="%d")
    bar.ax.minorticks_off()
    axes.set(xlabel="width / image width", ylabel="height / image height", aspect="equal")
    axes.set_title("box sizes", fontsize=10)


def _areas(axes: Axes, found: DatasetStatistics) -> None:
    sides = np.sqrt(np.maximum(found.areas, 1))
    low, high = min(float(sides.min()), 16.0), max(float(sides.max()), 256.0)
    ticks = [tick for tick in _SIDES if low <= tick <= high]
    axes.hist(sides, bins=np.geomspace(low, high, 40).tolist(), color=_BLUE)
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    for limit in (SMALL, MEDIUM):
        axes.axvline(limit**0.5, color="black", linewidth=1, linestyle="--")
    counts = "   ".join(f"{name} {count:,}" for name, count in found.by_size.items())
    axes.set_title(f"object sizes: {counts}", fontsize=10)
    axes.set(xlabel="square root of the area, pixels", ylabel="objects")
    _plain(axes)


def _ratios(axes: Axes, found: DatasetStatistics) -> None:
    ratios = np.clip(found.aspect_ratios, _RATIOS[0], _RATIOS[-1])
    axes.hist(ratios, bins=np.geomspace(_RATIOS[0], _RATIOS[-1], 49).tolist(), color=_BLUE)
    axes.set_xscale("log", base=2)
    axes.set_xticks(_RATIOS, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_title("box shapes", fontsize=10)
    axes.set(xlabel="width / height (the ends: and beyond)", ylabel="objects")
    _plain(axes)


def _images(found: DatasetStatistics) -> Figure:
    figure, (numbers, sizes, positions) = _three_axes()
    _numbers(numbers, found)
    _sizes(sizes, found)
    picture = positions.imshow(found.positions, extent=(0, 1, 1, 0), cmap="viridis", vmin=0)
    figure.colorbar(picture, ax=positions, label="box centres")
    positions.set(xlabel="x / image width", ylabel="y / image height")
    positions.set_title("where the objects are", fontsize=10)
    return figure


def _numbers(axes: Axes, found: DatasetStatistics) -> None:
    most = int(found.objects_per_image.max())
    step = most // 40 + 1
    axes.hist(
        found.objects_per_image, bins=np.arange(-0.5, most + step, step).tolist(), color=_BLUE
    )
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_title(f"objects in an image ({len(found.objects_per_image):,} images)", fontsize=10)
    axes.set(xlabel="objects", ylabel="images")
    _plain(axes)


def _sizes(axes: Axes, found: DatasetStatistics) -> None:
    """A dot for each size; its area says how many images have it."""
    sizes, counts = np.unique(found.image_sizes, axis=0, return_counts=True)
    area = 12 + 300 * counts / counts.max()
    axes.scatter(sizes[:, 1], sizes[:, 0], s=area, color=_BLUE, alpha=0.5, linewidths=0)
    largest = 1.15 * float(found.image_sizes.max())
    axes.set(xlim=(0, largest), ylim=(0, largest), aspect="equal")
    axes.set(xlabel="width, pixels", ylabel="height, pixels")
    axes.set_title(f"image sizes ({len(sizes):,} different)", fontsize=10)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
