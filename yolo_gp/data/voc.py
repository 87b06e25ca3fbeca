"""Pascal VOC: an XML file for each image.

VOC counts pixels from 1 and includes the last one: xmin 1, xmax 10 are the ten leftmost pixels, the
edges 0 and 10 of our boxes. Coordinates need not be whole.  Source: VOC2012 development kit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo_gp.data.annotations import (
    MAX_EDGE,
    ImageAnnotations,
    ObjectAnnotation,
    Place,
    Problem,
    Samples,
    image_numbers,
    to_ground_truth,
)
from yolo_gp.data.dataset import GroundTruth, Sample
from yolo_gp.data.listing import is_image, read_text
from yolo_gp.data.xml_tree import Element, XmlError, parse_xml
from yolo_gp.errors import DataError, shown
from yolo_gp.files import os_reason


@dataclass(frozen=True, slots=True)
class VocFolders:
    """Where a VOC data set keeps its parts.

    Fields:
        split_list: the file that lists the images of a split; None takes all.
    """

    root: Path
    annotations: Path
    images: Path
    split_list: Path | None = None


def find_voc(folder: Path, split: str) -> VocFolders:
    """The parts of a folder with Annotations/ and JPEGImages/, or of XML files beside images.

    Raises:
        DataError: the folder lists splits, but not this one.
    """
    if not (folder / "Annotations").is_dir():
        return VocFolders(folder, folder, folder)
    images = folder / "JPEGImages"
    lists = folder / "ImageSets" / "Main"
    wanted = lists / f"{split}.txt"
    parts = VocFolders(folder, folder / "Annotations", images if images.is_dir() else folder)
    if wanted.is_file():
        return VocFolders(parts.root, parts.annotations, parts.images, wanted)
    there = sorted(path.stem for path in lists.glob("*.txt")) if lists.is_dir() else []
    if there:
        raise DataError(f"{lists} has no {split}.txt\nexpected: a split; it has {', '.join(there)}")
    return parts


class VocDataset:
    """Opening it reads every XML file once, for image sizes and class names; keeps no objects."""

    def __init__(
        self, parts: VocFolders, class_names: tuple[str, ...] | None, *, masks: bool = True
    ) -> None:
        """Without `class_names` they are those found in the XML files, sorted.

        Raises:
            DataError: no images, or a folder that cannot be read.
        """
        self.name = str(parts.split_list or parts.annotations)
        self._parts = parts
        self._masks = masks
        listed = _listed(parts)
        self._stems = [stem for stem, _ in listed]
        self._lines = [line for _, line in listed]
        found, sizes = _scan(parts.annotations)
        self.lists_classes = class_names is not None
        self.class_names = tuple(sorted(found)) if class_names is None else class_names
        self._ids = {name: number for number, name in enumerate(self.class_names)}
        self.category_ids = tuple(range(1, len(self.class_names) + 1))
        files = {Path(name).stem: name for name in _image_names(parts.images)}
        paths = [str(parts.images / files.get(stem, f"{stem}.jpg")) for stem in self._stems]
        stated = np.array([sizes.get(stem, (0, 0)) for stem in self._stems], np.int32)
        self.samples: Sequence[Sample] = Samples(paths, image_numbers(paths), stated.reshape(-1, 2))

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        return to_ground_truth(self.annotations(index, size), size, masks=self._masks)

    def annotations(self, index: int, size: tuple[int, int]) -> ImageAnnotations:
        file = self._parts.annotations / f"{self._stems[index]}.xml"
        if not file.exists():
            return ImageAnnotations((), missing=file)
        place = Place(str(file))
        try:
            root = parse_xml(file.read_bytes())
        except OSError as error:
            return ImageAnnotations((), (place.problem(f"cannot be read: {os_reason(error)}"),))
        except XmlError as error:
            return ImageAnnotations((), (Place(str(file), error.line).problem(str(error)),))
        objects, problems = [], []
        for element in root.all("object"):
            where = Place(str(file), element.line)
            try:
                objects.append(_parse_object(element, where, self._ids))
            except _BadObject as bad:
                problems.append(Place(str(file), bad.line).problem(bad.what, bad.help))
        return ImageAnnotations(tuple(objects), tuple(problems))

    def place(self, index: int) -> Place:
        if self._parts.split_list is not None:
            return Place(str(self._parts.split_list), self._lines[index])
        return Place(str(self._parts.annotations / f"{self._stems[index]}.xml"))

    def loose_ends(self) -> Iterator[Problem]:
        """XML files of which no image exists, where a split's list does not name them anyway."""
        known = {Path(sample.path).stem for sample in self.samples}
        known |= {Path(name).stem for name in _image_names(self._parts.images)}
        for file in sorted(self._parts.annotations.glob("*.xml")):
            if file.stem not in known:
                what = f"annotations without an image; there is no {file.stem} with an image's "
                yield Place(str(file)).problem(f"{what}suffix in {self._parts.images}")


def _listed(parts: VocFolders) -> list[tuple[str, int]]:
    """The names of the images, without suffix, and the line that lists each."""
    if parts.split_list is not None:
        lines = read_text(parts.split_list, "split").splitlines()
        found = [(text.split()[0], n) for n, text in enumerate(lines, start=1) if text.split()]
    else:
        stems = {Path(name).stem for name in _image_names(parts.images)}
        stems |= {file.stem for file in parts.annotations.glob("*.xml")}
        found = [(stem, 0) for stem in sorted(stems)]
    if not found:
        raise DataError(f"{parts.split_list or parts.annotations} names no image")
    return found


def _image_names(folder: Path) -> list[str]:
    try:
        return sorted(file.name for file in folder.iterdir() if is_image(file.name))
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {os_reason(error)}") from error


def _scan(folder: Path) -> tuple[set[str], dict[str, tuple[int, int]]]:
    """The class names in all XML files of a folder, and the image size each file states."""
    names: set[str] = set()
    sizes = {}
    for file in sorted(folder.glob("*.xml")):
        try:
            root = parse_xml(file.read_bytes())
        except (OSError, XmlError):
            continue  # told when the annotations are read
        names.update(element.word("name") for element in root.all("object"))
        size = root.first("size")
        height, width = (size.word("height"), size.word("width")) if size else ("", "")
        if height.isdecimal() and width.isdecimal() and max(len(height), len(width)) < 9:
            sizes[file.stem] = int(height), int(width)
    return names - {""}, sizes


class _BadObject(Exception):
    def __init__(self, line: int, what: str, help: str | None = None) -> None:
        super().__init__(what)
        self.line = line
        self.what = what
        self.help = help


def _parse_object(element: Element, place: Place, ids: dict[str, int]) -> ObjectAnnotation:
    name = element.word("name")
    if name not in ids:
        what = f"class {shown(name)!r} is out of range" if name else "an object without a name"
        names = ", ".join(list(ids)[:10]) + (" ..." if len(ids) > 10 else "")
        raise _BadObject(element.line, what, f"the classes are {names}")
    box = element.first("bndbox")
    if box is None:
        raise _BadObject(element.line, "an object without bndbox")
    left, top, right, bottom = (_edge(box, tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
    return ObjectAnnotation(
        place,
        ids[name],
        (left - 1, top - 1, right, bottom),
        crowd=element.word("iscrowd") == "1",
        difficult=element.word("difficult") == "1",
    )


def _edge(box: Element, tag: str) -> float:
    found = box.first(tag)
    if found is None:
        raise _BadObject(box.line, f"bndbox without {tag}")
    try:
        value = float(found.text)
    except ValueError:
        raise _BadObject(found.line, f"{tag} {shown(found.text)!r} is no number") from None
    if not abs(value) < MAX_EDGE:
        raise _BadObject(found.line, f"{tag} {shown(found.text.strip())} is no pixel's number")
    return value
