"""What the readers of annotated data sets have in common: objects, places, problems, samples.

Boxes are left, top, right, bottom in pixels of the image; sizes are (height, width).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.dataset import Dataset, GroundTruth, Sample
from yolo_gp.data.runs import mask_area, rasterise
from yolo_gp.detections import Rle
from yolo_gp.errors import DataError

Box = tuple[float, float, float, float]
Polygons = tuple[NDArray[np.float64], ...]

MAX_EDGE = 1e9  # pixels; a coordinate beyond is garbage
_SHOWN = 10  # problems of one image in an error


class Severity(enum.StrEnum):
    """A problem makes data wrong or unusable; a note is legal, but may not be meant."""

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a data set, and where.

    Fields:
        line: counted from 1; None where the format has no lines, or the whole file is meant.
    """

    file: str
    line: int | None
    what: str
    help: str | None = None
    severity: Severity = Severity.PROBLEM

    def render(self) -> str:
        """Place, severity and text on one line, the help on the next."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.severity}: {self.what}"
        return f"{text}\nhelp: {self.help}" if self.help else text


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data set says something.

    Fields:
        label: what to call it inside the file where lines do not tell, such as "annotation 17".
    """

    file: str
    line: int | None = None
    label: str = ""

    def problem(self, what: str, help: str | None = None) -> Problem:
        return Problem(self.file, self.line, self._labelled(what), help)

    def note(self, what: str, help: str | None = None) -> Problem:
        return Problem(self.file, self.line, self._labelled(what), help, Severity.NOTE)

    def __str__(self) -> str:
        return self.label or (self.file if self.line is None else f"line {self.line}")

    def _labelled(self, what: str) -> str:
        return f"{self.label}: {what}" if self.label else what


@dataclass(frozen=True, slots=True, eq=False)
class ObjectAnnotation:
    """One object as its data set describes it.

    Fields:
        polygons: outlines of its parts, each (P, 2) float64, x and y in pixels of the image; None
            if it has none.
        rle: its mask, where that is stated as run lengths.
        crowd: stands for many objects.
        difficult: VOC's mark: missing it costs nothing.
        area: in square pixels, as stated; None if it is not.
    """

    place: Place
    class_id: int
    box_xyxy: Box
    polygons: Polygons | None = None
    rle: Rle | None = None
    crowd: bool = False
    difficult: bool = False
    area: float | None = None

    @property
    def has_mask(self) -> bool:
        return self.polygons is not None or self.rle is not None

    @property
    def ignored(self) -> bool:
        return self.crowd or self.difficult

    def mask(self, size: tuple[int, int]) -> Rle:
        """Its pixels in an image of (height, width); all of the box where no mask is stated."""
        if self.rle is not None:
            return self.rle
        return rasterise(self.polygons or (rectangle(self.box_xyxy),), size)


def rectangle(box_xyxy: Box) -> NDArray[np.float64]:
    """The corners of a box, (4, 2), clockwise from the top left."""
    left, top, right, bottom = box_xyxy
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


@dataclass(frozen=True, slots=True)
class ImageAnnotations:
    """What a data set says about one image.

    Fields:
        problems: what could not be read; the objects are the rest.
        missing: the file that should describe the image does not exist; None if it does.
    """

    objects: tuple[ObjectAnnotation, ...]
    problems: tuple[Problem, ...] = ()
    missing: Path | None = None


class AnnotatedDataset(Dataset, Protocol):
    """A data set that can also say where each statement stands and what is wrong with it.

    Fields:
        class_names: empty where the data set neither names nor counts its classes; the digits of
            their ids where it only counts them.
        lists_classes: the data set has a list of its classes; without one, a class that no image
            shows is not among `class_names`.
    """

    lists_classes: bool

    def annotations(self, index: int, size: tuple[int, int]) -> ImageAnnotations:
        """The objects of sample `index`, whose upright image is (height, width) = `size`."""
        ...

    def place(self, index: int) -> Place:
        """Where the data set names the image of sample `index`."""
        ...

    def loose_ends(self) -> Iterator[Problem]:
        """What is wrong outside every sample, such as labels without an image."""
        ...


def to_ground_truth(
    found: ImageAnnotations, size: tuple[int, int], *, masks: bool = True
) -> GroundTruth:
    """Annotations as arrays.

    An area that is not stated is the mask's, or the box's without a mask. In an image where some
    objects have masks, the others get their box as one.

    Args:
        size: (height, width) of the upright image.
        masks: False leaves `GroundTruth.masks` out and saves making them.

    Raises:
        DataError: some of the annotations could not be read.
    """
    if found.problems:
        more = len(found.problems) - _SHOWN
        lines = [problem.render() for problem in found.problems[:_SHOWN]]
        raise DataError("\n".join(lines + ([f"... and {more} more"] if more > 0 else [])))
    objects = found.objects
    boxes = np.array([o.box_xyxy for o in objects], np.float64).reshape(-1, 4)
    wanted = masks and any(o.has_mask for o in objects)
    made = [o.mask(size) if wanted or _area_from_mask(o) else None for o in objects]
    areas = [_area(o, rle) for o, rle in zip(objects, made, strict=True)]
    return GroundTruth(
        boxes_xyxy=boxes,
        class_ids=np.array([o.class_id for o in objects], np.int64),
        ignored=np.array([o.ignored for o in objects], np.bool_),
        crowd=np.array([o.crowd for o in objects], np.bool_),
        areas=np.array(areas, np.float64),
        masks=tuple(rle for rle in made if rle) if wanted else None,
    )


def _area_from_mask(found: ObjectAnnotation) -> bool:
    return found.area is None and found.has_mask


def _area(found: ObjectAnnotation, rle: Rle | None) -> float:
    if found.area is not None:
        return found.area
    if found.has_mask and rle:
        return float(mask_area(rle))
    left, top, right, bottom = found.box_xyxy
    return (right - left) * (bottom - top)


class Samples(Sequence[Sample]):
    """Samples made when they are asked for, so that a large data set costs little memory."""

    def __init__(
        self,
        paths: Sequence[str],
        image_ids: NDArray[np.int64],
        sizes: NDArray[np.int32] | None = None,
    ) -> None:
        """Args: sizes: (N, 2) height and width as stated, 0 where not; None if none is."""
        self._paths = paths
        self._image_ids = image_ids
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        size = None
        if self._sizes is not None and self._sizes[index].all():
            height, width = self._sizes[index].tolist()
            size = (height, width)
        return Sample(int(self._image_ids[index]), Path(self._paths[index]), size)


def image_numbers(paths: Sequence[str]) -> NDArray[np.int64]:
    """Ids for images: the numbers that the files are named by, if all are and no two agree.

    Otherwise the running number from 1.
    """
    stems = [Path(path).stem for path in paths]
    if all(stem.isascii() and stem.isdecimal() and len(stem) <= 18 for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return np.array(numbers, np.int64)
    return np.arange(1, len(paths) + 1, dtype=np.int64)


def number_names(count: int) -> tuple[str, ...]:
    """What classes are called that are only counted: "0", "1" ..."""
    return tuple(map(str, range(count)))


def are_numbers(names: Sequence[str]) -> bool:
    return tuple(names) == number_names(len(names))
