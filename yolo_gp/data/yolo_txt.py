"""YOLO txt: a text file for each image, a line for each object.

`class x y w h` (centre and size) or `class x1 y1 x2 y2 ...` (an outline of three points or more),
all relative to the image. Darknet differs: it reads numbers regardless of line ends, stops without
a word at the first that does not fit, and knows no outlines.  Source: darknet.md 7.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.annotations import (
    Box,
    ImageAnnotations,
    ObjectAnnotation,
    Place,
    Problem,
    Samples,
    image_numbers,
    to_ground_truth,
)
from yolo_gp.data.dataset import GroundTruth, Sample
from yolo_gp.data.images import IMAGE_SUFFIXES
from yolo_gp.data.listing import ImageList, is_file
from yolo_gp.errors import shown
from yolo_gp.files import os_reason

_BOX_COLUMNS = 5
_OUTLINE_COLUMNS = 7  # the fewest: a class and three points
_PIXELS = 2.0  # relative coordinates do not get near this; a larger one is meant in pixels
_MAX_CLASSES = 2**31  # where it is not known how many there are
_NO_LABELS = frozenset(
    {"classes.txt", "labels.txt", "notes.txt", "readme.txt"}
)  # by labelling tools


class YoloDataset:
    """Images with YOLO txt labels. Opening it reads no label."""

    lists_classes = True

    def __init__(
        self, name: str, images: ImageList, class_names: tuple[str, ...], *, masks: bool = True
    ) -> None:
        """Args: class_names: empty if not even their number is known."""
        self.name = name
        self.class_names = class_names
        self.category_ids = tuple(range(1, len(class_names) + 1))
        self.samples: Sequence[Sample] = Samples(images.paths, image_numbers(images.paths))
        self._images = images
        self._masks = masks

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        return to_ground_truth(self.annotations(index, size), size, masks=self._masks)

    def annotations(self, index: int, size: tuple[int, int]) -> ImageAnnotations:
        label = find_label(Path(self._images.paths[index]))
        try:
            content = label.read_bytes()
        except FileNotFoundError:
            return ImageAnnotations((), missing=label)
        except OSError as error:
            place = Place(str(label))
            return ImageAnnotations((), (place.problem(f"cannot be read: {os_reason(error)}"),))
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return ImageAnnotations((), (Place(str(label)).problem("is no UTF-8 text"),))
        return parse_labels(text, str(label), size, len(self.class_names) or None)

    def place(self, index: int) -> Place:
        return self._images.place(index)

    def loose_ends(self) -> Iterator[Problem]:
        """Label files beside those of the samples for which there is no image anywhere."""
        folders: dict[Path, Path] = {}
        labels = set()
        for path in map(Path, self._images.paths):
            label = find_label(path)
            labels.add(label)
            if label.parent != path.parent:
                folders[label.parent] = path.parent
        for folder, images in sorted(folders.items()):
            yield from _labels_without_image(folder, images, labels)


def _labels_without_image(folder: Path, images: Path, known: set[Path]) -> Iterator[Problem]:
    if not folder.is_dir():
        return
    found = {file.stem for file in images.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES}
    for file in sorted(folder.glob("*.txt")):
        if file not in known and file.stem not in found and file.name.lower() not in _NO_LABELS:
            what = f"labels without an image; there is no {file.stem} with an image's suffix"
            yield Place(str(file)).problem(f"{what} in {images}")


def find_label(image: Path) -> Path:
    """The label file of an image: the first that exists of `label_candidates`, else the first."""
    candidates = label_candidates(image)
    return next((path for path in candidates if is_file(path)), candidates[0])


def label_candidates(image: Path) -> tuple[Path, ...]:
    """Where the labels of an image may lie, most usual place first.

    Its path with the last folder `images` changed to `labels`, or else the first `JPEGImages`;
    then beside the image. Darknet differs: it changes `images` only before `train2017`, `val2017`,
    `train2014` or `val2014`, and so looks beside the image for other layouts; and it keeps the
    suffix of a .webp, .tif or .Jpg.  Source: darknet.md 7.2.
    """
    beside = image.with_suffix(".txt")
    parts = list(beside.parts)
    folders = parts[:-1]
    if "images" in folders:
        parts[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    elif "JPEGImages" in folders:
        parts[folders.index("JPEGImages")] = "labels"
    else:
        return (beside,)
    return Path(*parts), beside


def parse_labels(
    text: str, file: str, size: tuple[int, int], classes: int | None
) -> ImageAnnotations:
    """All rows of a label file; blank lines are skipped.

    Args:
        size: (height, width) of the image.
        classes: how many there are; None if that is not known.
    """
    objects, problems = [], []
    for line, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        try:
            objects.append(_parse_row(row, Place(file, line), size, classes))
        except _BadRow as error:
            problems.append(Place(file, line).problem(error.what, error.help))
    return ImageAnnotations(tuple(objects), tuple(problems))


class _BadRow(Exception):
    def __init__(self, what: str, help: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.help = help


def _parse_row(
    row: str, place: Place, size: tuple[int, int], classes: int | None
) -> ObjectAnnotation:
    words = row.split()
    values = _numbers(words)
    class_id = _class_id(words[0], values[0], classes)
    _check_columns(len(words))
    relative = np.array(values[1:], np.float64)
    if np.abs(relative).max() > _PIXELS:
        raise _BadRow(
            f"coordinate {words[1 + int(np.abs(relative).argmax())]} is not normalised",
            "divide x and w by the image's width in pixels, y and h by its height",
        )
    scale = np.array((size[1], size[0]), np.float64)
    if len(words) == _BOX_COLUMNS:
        return ObjectAnnotation(place, class_id, _box(relative, scale))
    points = relative.reshape(-1, 2) * scale
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return ObjectAnnotation(place, class_id, (left, top, right, bottom), polygons=(points,))


def _numbers(words: Sequence[str]) -> list[float]:
    values = []
    for word in words:
        try:
            values.append(float(word))
        except ValueError:
            raise _BadRow(
                f"{shown(word)!r} is no number", "one object a line: class x y w h, with blanks"
            ) from None
        if not np.isfinite(values[-1]):
            raise _BadRow(f"{word!r} is no finite number")
    return values


def _class_id(word: str, value: float, classes: int | None) -> int:
    if value != int(value):
        raise _BadRow(f"class {word} is no whole number", "a row begins with the class, from 0")
    if value < 0 or value >= (classes or _MAX_CLASSES):
        raise _BadRow(
            f"class {shown(word)} is out of range",
            f"the data set has {classes} classes, 0 to {classes - 1}" if classes else None,
        )
    return int(value)


def _check_columns(count: int) -> None:
    if count == _BOX_COLUMNS or (count >= _OUTLINE_COLUMNS and count % 2):
        return
    help = "5 columns for a box, class x y w h; 7, 9, 11 ... for an outline, class x1 y1 x2 y2 ..."
    if count == _BOX_COLUMNS + 1:
        help = "a sixth column, such as the confidence of a prediction, has no place in labels"
    raise _BadRow(f"{count} columns", help)


def _box(relative: NDArray[np.float64], scale: NDArray[np.float64]) -> Box:
    """Left, top, right, bottom in pixels from centre and size relative to the image."""
    x, y, width, height = (relative * np.concatenate((scale, scale))).tolist()
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def write_row(class_id: int, values: NDArray[np.float64], size: tuple[int, int]) -> str:
    """One line of a label file, without its end.

    Eight decimals: a centre and a size each half a unit off put an edge off by at most
    .75e-8 sides of the image, 1e-4 pixels in an image of 13,000.

    Args:
        values: (4,) box as left, top, right, bottom, or (P, 2) outline, in pixels.
        size: (height, width) of the image.
    """
    height, width = size
    if values.ndim == 1:
        left, top, right, bottom = values.tolist()
        cxcywh = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        relative = np.array(cxcywh) / (width, height, width, height)
    else:
        relative = (values / (width, height)).ravel()
    return " ".join([str(class_id), *(f"{value + 0.0:.8f}" for value in relative.tolist())])
