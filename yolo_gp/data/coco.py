"""COCO JSON: one file with all images, annotations and categories of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from yolo_gp.data.annotations import (
    Box,
    ImageAnnotations,
    ObjectAnnotation,
    Place,
    Polygons,
    Problem,
    Samples,
    to_ground_truth,
)
from yolo_gp.data.coco_table import read_table
from yolo_gp.data.dataset import GroundTruth, Sample
from yolo_gp.data.listing import is_file
from yolo_gp.data.runs import check_polygon, check_runs, decode_runs
from yolo_gp.detections import Rle
from yolo_gp.errors import DataError

_PROBED = 20  # images that are looked for to find the image folder


class CocoDataset:
    """Annotations in memory as arrays; images are found beside the JSON."""

    lists_classes = True

    def __init__(self, file: Path, *, images: Path | None = None, masks: bool = True) -> None:
        """Args: images: the folder that file names are relative to; looked for if None.

        Raises:
            DataError: the file cannot be read, is no COCO JSON, or its images are nowhere.
        """
        if images is not None and not images.is_dir():
            raise DataError(
                f"there is no folder {images}\nexpected: --images with the one that holds the "
                f"images of {file}"
            )
        self.name = str(file)
        self._table = table = read_table(file)
        self._masks = masks
        self.class_names = table.category_names
        self.category_ids = table.category_ids
        self.folder = _image_folder(file, table.files) if images is None else images
        paths = [str(self.folder / name) for name in table.files]
        self.samples: Sequence[Sample] = Samples(paths, table.image_ids, table.sizes)

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        truth = to_ground_truth(self.annotations(index, size), size, masks=self._masks)
        if not len(truth) and self._masks and self._table.has_masks:
            return replace(truth, masks=())  # an image without objects has all of its masks
        return truth

    def annotations(self, index: int, size: tuple[int, int]) -> ImageAnnotations:
        objects, problems = [], []
        for row in self._table.rows(index):
            place = self._annotation_place(row)
            if (reason := self._table.broken.get(row)) is not None:
                problems.append(place.problem(reason))
                continue
            try:
                objects.append(self._object(row, place, size))
            except ValueError as error:
                problems.append(place.problem(str(error)))
        return ImageAnnotations(tuple(objects), tuple(problems))

    def place(self, index: int) -> Place:
        return Place(self.name, label=f"image {self._table.image_ids[index]}")

    def loose_ends(self) -> Iterator[Problem]:
        for label, what in self._table.loose_ends:
            yield Place(self.name, label=label).problem(what)

    def _annotation_place(self, row: int) -> Place:
        return Place(self.name, label=f"annotation {self._table.annotation_ids[row]}")

    def _object(self, row: int, place: Place, size: tuple[int, int]) -> ObjectAnnotation:
        """Raises: ValueError: its mask cannot be used."""
        table = self._table
        left, top, width, height = table.boxes_xywh[row].tolist()
        box: Box = (left, top, left + width, top + height)
        area = float(table.areas[row])
        polygons, rle = self._segmentation(row, size)
        return ObjectAnnotation(
            place,
            int(table.classes[row]),
            box,
            polygons,
            rle,
            crowd=bool(table.crowd[row]),
            difficult=bool(table.difficult[row]),
            area=None if np.isnan(area) else area,
        )

    def _segmentation(self, row: int, size: tuple[int, int]) -> tuple[Polygons | None, Rle | None]:
        found = self._table.segmentation(row)
        if found is None or isinstance(found, Rle):
            if found is not None:
                check_runs(decode_runs(found.counts), found.size)
                if found.size != size:
                    raise ValueError(
                        f"its mask is {found.size[0]}x{found.size[1]}, but the image is "
                        f"{size[0]}x{size[1]}"
                    )
            return None, found
        for points in found:
            check_polygon(points, size)
        return found, None


def _image_folder(file: Path, names: Sequence[str]) -> Path:
    """The folder below which most of the first images lie, the nearest of equals.

    Raises:
        DataError: none lies anywhere.
    """
    probed = names[:_PROBED]
    places = _likely_folders(file)
    counts = [sum(is_file(place / name) for name in probed) for place in places]
    best = max(counts)
    if not best:
        lines = "".join(f"\n  {place}" for place in places)
        raise DataError(
            f"the images of {file} are not found; looked for {probed[0]} in{lines}\n"
            "help: name their folder with --images"
        )
    return places[counts.index(best)]


def _likely_folders(file: Path) -> list[Path]:
    """images/val, val, images and the folder itself: beside the JSON, then one folder up."""
    splits = [file.stem.removeprefix("instances_"), file.stem.rpartition("_")[2]]
    splits += [split.rstrip("0123456789") for split in splits]
    found = []
    for parent in (file.parent, file.parent / ".."):
        found += [parent / "images" / split for split in splits if split]
        found += [parent / split for split in splits if split]
        found += [parent / "images", parent]
    return list(dict.fromkeys(path.resolve() if ".." in path.parts else path for path in found))
