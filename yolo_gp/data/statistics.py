"""What a data set holds, counted: objects by class, sizes, shapes, positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.analysis.tables import SCHEMA_VERSION, align
from yolo_gp.data.annotations import AnnotatedDataset, number_names, to_ground_truth
from yolo_gp.data.dataset import GroundTruth
from yolo_gp.data.headers import upright_size
from yolo_gp.shapes import format_size

# COCO's limits between small, medium and large, in square pixels.
SMALL, MEDIUM = 32.0**2, 96.0**2
MAP_CELLS = 32  # of the map of positions, along either side
_LISTED = 10  # image sizes in the table


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Fields: images: those that show the class."""

    name: str
    objects: int
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class DatasetStatistics:
    """N images with T objects; crowds and difficult objects count, and are counted apart too.

    Fields:
        classes: by class id.
        ignored: crowds and difficult objects.
        objects_per_image: (N,) int64.
        image_sizes: (N, 2) int64, height and width in pixels.
        boxes_wh: (T, 2) float64, width and height in pixels.
        boxes_wh_relative: (T, 2) the same as shares of the image.
        areas: (T,) float64, square pixels; of the mask where there is one.
        positions: (MAP_CELLS, MAP_CELLS) int64; centres of boxes in each part of the image, rows
            from the top. Centres outside the image are not in it.
    """

    dataset: str
    classes: tuple[ClassCount, ...]
    ignored: int
    objects_per_image: NDArray[np.int64]
    image_sizes: NDArray[np.int64]
    boxes_wh: NDArray[np.float64]
    boxes_wh_relative: NDArray[np.float64]
    areas: NDArray[np.float64]
    positions: NDArray[np.int64]

    @property
    def objects(self) -> int:
        return len(self.areas)

    @property
    def by_size(self) -> dict[str, int]:
        """Objects that COCO calls small, medium and large."""
        small = int((self.areas < SMALL).sum())
        large = int((self.areas > MEDIUM).sum())
        return {"small": small, "medium": self.objects - small - large, "large": large}

    @property
    def aspect_ratios(self) -> NDArray[np.float64]:
        """Width by height of each box that has both."""
        solid = self.boxes_wh[(self.boxes_wh > 0).all(axis=1)]
        return solid[:, 0] / solid[:, 1]


def dataset_statistics(
    dataset: AnnotatedDataset, *, advance: Callable[[int], object] | None = None
) -> DatasetStatistics:
    """Count a data set. Opens image files only for sizes that the annotations do not state.

    Raises:
        DataError: annotations, or the size of an image, cannot be read.
    """
    truths, sizes = [], []
    for index in range(len(dataset.samples)):
        sample = dataset.samples[index]
        size = sample.size or upright_size(sample.path)
        truths.append(to_ground_truth(dataset.annotations(index, size), size, masks=False))
        sizes.append(size)
        if advance:
            advance(1)
    boxes = np.concatenate([truth.boxes_xyxy for truth in truths])
    image_sizes, counts = np.array(sizes, np.int64), np.array([len(t) for t in truths], np.int64)
    per_object = np.repeat(image_sizes[:, ::-1], counts, axis=0)
    wh = boxes[:, 2:] - boxes[:, :2]
    return DatasetStatistics(
        dataset=dataset.name,
        classes=_class_counts(dataset.class_names, truths),
        ignored=sum(int(truth.ignored.sum()) for truth in truths),
        objects_per_image=counts,
        image_sizes=image_sizes,
        boxes_wh=wh,
        boxes_wh_relative=wh / per_object,
        areas=np.concatenate([truth.areas for truth in truths]),
        positions=_positions((boxes[:, 2:] + boxes[:, :2]) / 2 / per_object),
    )


def _class_counts(names: tuple[str, ...], truths: Sequence[GroundTruth]) -> tuple[ClassCount, ...]:
    objects: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for truth in truths:
        classes = truth.class_ids.tolist()
        objects.update(classes)
        images.update(set(classes))
    known = names or number_names(max(objects, default=-1) + 1)
    return tuple(ClassCount(name, objects[n], images[n]) for n, name in enumerate(known))


def _positions(centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """Counts by row and column, from relative (x, y)."""
    grid, _, _ = np.histogram2d(
        centres[:, 1], centres[:, 0], bins=MAP_CELLS, range=((0, 1), (0, 1))
    )
    return grid.astype(np.int64)


def statistics_data(found: DatasetStatistics) -> dict[str, object]:
    """The statistics for JSON."""
    common = Counter((int(h), int(w)) for h, w in found.image_sizes.tolist())
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.dataset,
        "images": len(found.objects_per_image),
        "images_without_objects": int((found.objects_per_image == 0).sum()),
        "objects": found.objects,
        "ignored": found.ignored,
        "objects_per_image": _spread(found.objects_per_image),
        "classes": [
            {"class_id": n, "name": c.name, "objects": c.objects, "images": c.images}
            for n, c in enumerate(found.classes)
        ],
        "objects_by_size": found.by_size,
        "box_width": _spread(found.boxes_wh[:, 0]),
        "box_height": _spread(found.boxes_wh[:, 1]),
        "aspect_ratio": _spread(found.aspect_ratios),
        "image_height": _spread(found.image_sizes[:, 0]),
        "image_width": _spread(found.image_sizes[:, 1]),
        "image_sizes": [
            {"height": h, "width": w, "images": n} for (h, w), n in common.most_common()
        ],
        "positions": found.positions.tolist(),
    }


def _spread(values: NDArray[np.float64] | NDArray[np.int64]) -> dict[str, float] | None:
    """Minimum, quartiles, maximum and mean; None of nothing."""
    if not len(values):
        return None
    low, first, middle, third, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return {
        "min": low,
        "quartile_1": first,
        "median": middle,
        "quartile_3": third,
        "max": high,
        "mean": float(values.mean()),
    }


def statistics_text(found: DatasetStatistics) -> str:
    """The statistics for people."""
    images = len(found.objects_per_image)
    empty = int((found.objects_per_image == 0).sum())
    ignored = f", {found.ignored:,} of them crowds or difficult" if found.ignored else ""
    head = [
        f"{found.dataset}: {images:,} images, {empty:,} without objects; "
        f"{found.objects:,} objects{ignored}",
        "  ".join(
            f"{name} {count:,} ({_percent(count, found.objects)})"
            for name, count in found.by_size.items()
        )
        + "  (area to 32^2, to 96^2, above, in pixels)",
    ]
    return "\n\n".join(["\n".join(head), _spreads(found), _sizes(found), _classes(found)])


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "-"


def _spreads(found: DatasetStatistics) -> str:
    rows = [("", "min", "25 %", "median", "75 %", "max", "mean")]
    for name, values in (
        ("objects per image", found.objects_per_image),
        ("box width", found.boxes_wh[:, 0]),
        ("box height", found.boxes_wh[:, 1]),
        ("box width / height", found.aspect_ratios),
        ("image height", found.image_sizes[:, 0]),
        ("image width", found.image_sizes[:, 1]),
    ):
        if (spread := _spread(values)) is not None:
            low, first, middle, third, high, mean = (f"{v:.2f}" for v in _ordered(spread))
            rows.append((name, low, first, middle, third, high, mean))
    return align(rows, range(1, 7))


def _ordered(spread: dict[str, float]) -> list[float]:
    return [spread[key] for key in ("min", "quartile_1", "median", "quartile_3", "max", "mean")]


def _sizes(found: DatasetStatistics) -> str:
    common = Counter((int(h), int(w)) for h, w in found.image_sizes.tolist())
    rows = [("image size (height x width)", "images")]
    rows += [(format_size(size), f"{count:,}") for size, count in common.most_common(_LISTED)]
    if len(common) > _LISTED:
        rest = len(found.image_sizes) - sum(n for _, n in common.most_common(_LISTED))
        rows.append((f"{len(common) - _LISTED:,} more sizes", f"{rest:,}"))
    return align(rows, {1})


def _classes(found: DatasetStatistics) -> str:
    rows = [("id", "class", "objects", "share", "images")]
    rows += [
        (str(n), c.name, f"{c.objects:,}", _percent(c.objects, found.objects), f"{c.images:,}")
        for n, c in enumerate(found.classes)
    ]
    return align(rows, {0, 2, 3, 4})
