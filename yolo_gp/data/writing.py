"""The three formats that data sets are written in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

import numpy as np
import yaml
from numpy.typing import NDArray

from yolo_gp.data.annotations import ObjectAnnotation, rectangle
from yolo_gp.data.dataset import GroundTruth
from yolo_gp.data.yolo_txt import write_row
from yolo_gp.files import write_atomically

_DECIMALS = 6  # of a pixel: an edge is off by at most 5e-7


@dataclass(frozen=True, slots=True, eq=False)
class ExportedImage:
    """Fields:
    name: of its file in the new data set.
    size: (height, width) of the upright image.
    objects, truth: the same objects, in the same order.
    """

    name: str
    image_id: int
    size: tuple[int, int]
    channels: int
    objects: tuple[ObjectAnnotation, ...]
    truth: GroundTruth


class SplitWriter(Protocol):
    """Writes a data set, split after split."""

    def begin(self, split: str) -> Path:
        """Start a split; gives the folder for its images."""
        ...

    def add(self, image: ExportedImage) -> int:
        """Write an image's annotations; gives how many objects were written."""
        ...

    def finish(self) -> None:
        """Write what can only be written last."""
        ...


class CocoWriter:
    """images/SPLIT/, annotations/instances_SPLIT.json; VOC's difficult is a key of our own."""

    def __init__(self, folder: Path, names: Sequence[str], category_ids: Sequence[int]) -> None:
        self._folder = folder
        self._category_ids = category_ids
        self._categories = [
            {"id": number, "name": name} for number, name in zip(category_ids, names, strict=True)
        ]
        self._splits: list[tuple[str, list[object], list[object]]] = []

    def begin(self, split: str) -> Path:
        self._splits.append((split, [], []))
        return self._folder / "images" / split

    def add(self, image: ExportedImage) -> int:
        _, images, entries = self._splits[-1]
        height, width = image.size
        images.append(
            {"id": image.image_id, "file_name": image.name, "width": width, "height": height}
        )
        for found, area in zip(image.objects, image.truth.areas.tolist(), strict=True):
            left, top, right, bottom = found.box_xyxy
            annotation = {
                "id": len(entries) + 1,
                "image_id": image.image_id,
                "category_id": self._category_ids[found.class_id],
                "bbox": [round(v, _DECIMALS) for v in (left, top, right - left, bottom - top)],
                "area": round(area, _DECIMALS),
                "iscrowd": int(found.crowd),
                **({"difficult": 1} if found.difficult else {}),
                **_segmentation(found),
            }
            entries.append(annotation)
        return len(image.objects)

    def finish(self) -> None:
        for split, images, entries in self._splits:
            content = {
                "images": images,
                "annotations": entries,
                "categories": self._categories,
            }
            file = self._folder / "annotations" / f"instances_{split}.json"
            write_atomically(file, json.dumps(content))


def _segmentation(found: ObjectAnnotation) -> dict[str, object]:
    if found.polygons is not None:
        polygons = [points.ravel().round(_DECIMALS).tolist() for points in found.polygons]
        return {"segmentation": polygons}
    if found.rle is not None:
        return {"segmentation": {"size": list(found.rle.size), "counts": found.rle.counts}}
    return {}


class YoloWriter:
    """images/SPLIT/, labels/SPLIT/ and data.yaml."""

    def __init__(
        self, folder: Path, names: Sequence[str], left_out: Counter[str], *, polygons: bool
    ) -> None:
        self._folder = folder
        self._names = names
        self._left_out = left_out
        self._polygons = polygons
        self._splits: list[str] = []

    def begin(self, split: str) -> Path:
        self._splits.append(split)
        return self._folder / "images" / split

    def add(self, image: ExportedImage) -> int:
        objects = [found for found in image.objects if not found.ignored]
        self._count(image.objects)
        outlined = self._polygons and any(found.polygons for found in objects)
        rows = [
            write_row(found.class_id, _outline(found) if outlined else _box(found), image.size)
            for found in objects
        ]
        file = self._folder / "labels" / self._splits[-1] / f"{Path(image.name).stem}.txt"
        write_atomically(file, "".join(row + "\n" for row in rows))
        return len(rows)

    def _count(self, objects: Sequence[ObjectAnnotation]) -> None:
        for found in objects:
            if found.ignored:
                what = "crowds" if found.crowd else "difficult objects"
                self._left_out[f"{what}, which YOLO txt cannot mark, so they are not written"] += 1
            elif found.polygons is not None and not self._polygons:
                self._left_out["outlines; --polygons writes them in place of boxes"] += 1
            elif found.rle is not None:
                self._left_out["run-length masks, which YOLO txt has no form for"] += 1

    def finish(self) -> None:
        # without `path` readers take the yaml's own folder, wherever that is moved
        content: dict[str, object] = {split: f"images/{split}" for split in self._splits}
        content["names"] = dict(enumerate(self._names))
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_atomically(self._folder / "data.yaml", text)


def _box(found: ObjectAnnotation) -> NDArray[np.float64]:
    return np.array(found.box_xyxy, np.float64)


def _outline(found: ObjectAnnotation) -> NDArray[np.float64]:
    """One outline of an object: its parts joined; its box where it has none.

    Where one object of an image has an outline all get one, since readers such as Ultralytics
    take a box among outlines for an outline of two points.
    """
    if found.polygons is None:
        return rectangle(found.box_xyxy)
    joined, *rest = found.polygons
    while rest:
        nearest = min(range(len(rest)), key=lambda n: _gap(joined, rest[n])[0])
        joined = _bridge(joined, rest.pop(nearest))
    return joined


def _gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, int, int]:
    """Squared distance of the nearest two points of (P, 2) and (Q, 2), and which they are."""
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    i, j = np.unravel_index(squared.argmin(), squared.shape)
    return float(squared[i, j]), int(i), int(j)


def _bridge(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outline `a` with `b` spliced in: over at the nearest points, round `b`, and back."""
    _, i, j = _gap(a, b)
    return np.concatenate((a[: i + 1], b[j:], b[: j + 1], a[i:]))


class VocWriter:
    """JPEGImages/, Annotations/, ImageSets/Main/SPLIT.txt and the class names.

    VOC has no mark for crowds: they are written as difficult, with `iscrowd` beside it.
    """

    def __init__(self, folder: Path, names: Sequence[str], left_out: Counter[str]) -> None:
        self._folder = folder
        self._names = names
        self._left_out = left_out
        self._splits: dict[str, list[str]] = {}

    def begin(self, split: str) -> Path:
        self._splits[split] = []
        return self._folder / "JPEGImages"

    def add(self, image: ExportedImage) -> int:
        stem = Path(image.name).stem
        self._splits[next(reversed(self._splits))].append(stem)
        self._left_out["masks, which VOC's XML has no form for"] += sum(
            found.has_mask for found in image.objects
        )
        root = _voc_image(image)
        for found in image.objects:
            root.append(_voc_object(found, self._names[found.class_id]))
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="unicode")
        write_atomically(self._folder / "Annotations" / f"{stem}.xml", text + "\n")
        return len(image.objects)

    def finish(self) -> None:
        for split, stems in self._splits.items():
            file = self._folder / "ImageSets" / "Main" / f"{split}.txt"
            write_atomically(file, "".join(stem + "\n" for stem in stems))
        write_atomically(self._folder / "voc.names", "".join(n + "\n" for n in self._names))


def _voc_image(image: ExportedImage) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = "JPEGImages"
    ElementTree.SubElement(root, "filename").text = image.name
    size = ElementTree.SubElement(root, "size")
    height, width = image.size
    for tag, value in (("width", width), ("height", height), ("depth", image.channels)):
        ElementTree.SubElement(size, tag).text = str(value)
    return root


def _voc_object(found: ObjectAnnotation, name: str) -> ElementTree.Element:
    element = ElementTree.Element("object")
    ElementTree.SubElement(element, "name").text = name
    ElementTree.SubElement(element, "difficult").text = str(int(found.ignored))
    if found.crowd:
        ElementTree.SubElement(element, "iscrowd").text = "1"
    box = ElementTree.SubElement(element, "bndbox")
    left, top, right, bottom = found.box_xyxy
    edges = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}  # counted from 1
    for tag, edge in edges.items():
        ElementTree.SubElement(box, tag).text = f"{round(edge, _DECIMALS):.15g}"
    return element
