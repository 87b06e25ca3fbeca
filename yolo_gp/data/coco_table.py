"""The content of a COCO JSON as arrays, sorted by image: a fraction of what its objects would take.

Whatever the file holds, reading it ends in a table or in a DataError; an annotation that makes no
sense is kept with the reason.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.annotations import MAX_EDGE, Polygons
from yolo_gp.data.runs import check_runs, encode_runs
from yolo_gp.detections import Rle
from yolo_gp.errors import DataError, shown
from yolo_gp.files import os_reason

_Entry = dict[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class CocoTable:
    """N images, T annotations of them; rows are annotations, those of one image together.

    Fields:
        image_ids, files: (N,) each.
        sizes: (N, 2) int32, height and width; 0 where not stated.
        category_names, category_ids: by class, in order of category id.
        starts: (N + 1,) the first row of each image.
        annotation_ids: what to call each row.
        classes: (T,) class of each row.
        boxes_xywh: (T, 4) left, top, width, height in pixels.
        areas: (T,) as stated; NaN where not.
        crowd, difficult: (T,) bool. `difficult` is no key of COCO's: `data convert` writes it for
            VOC's mark.
        broken: why a row cannot be used.
        points: (P, 2) of all polygons behind one another.
        polygon_ends: the end of each polygon among the points.
        row_ends: (T + 1,) the end of each row's polygons, from row -1.
        rles: masks stated as run lengths.
        loose_ends: (label, what is wrong) outside every image.
    """

    image_ids: NDArray[np.int64]
    files: tuple[str, ...]
    sizes: NDArray[np.int32]
    category_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    starts: NDArray[np.int64]
    annotation_ids: NDArray[np.int64]
    classes: NDArray[np.int32]
    boxes_xywh: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]
    broken: dict[int, str]
    points: NDArray[np.float64]
    polygon_ends: NDArray[np.int64]
    row_ends: NDArray[np.int64]
    rles: dict[int, Rle]
    loose_ends: tuple[tuple[str, str], ...]

    @property
    def has_masks(self) -> bool:
        """Whether any annotation of the file has a segmentation."""
        return bool(self.rles) or len(self.polygon_ends) > 0

    def rows(self, index: int) -> range:
        """The rows of image `index`."""
        return range(int(self.starts[index]), int(self.starts[index + 1]))

    def segmentation(self, row: int) -> Polygons | Rle | None:
        if row in self.rles:
            return self.rles[row]
        first, last = int(self.row_ends[row]), int(self.row_ends[row + 1])
        if first == last:
            return None
        begins = [int(self.polygon_ends[n - 1]) if n else 0 for n in range(first, last)]
        ends = self.polygon_ends[first:last].tolist()
        return tuple(self.points[a:b] for a, b in zip(begins, ends, strict=True))


def read_table(file: Path) -> CocoTable:
    """Raises: DataError: the file cannot be read or is no COCO JSON."""
    content = _read_json(file)
    images = _entries(file, content, "images")
    annotations = _entries(file, content, "annotations")
    categories = _entries(file, content, "categories")
    image_ids = [_integer(file, entry, "images", n, "id") for n, entry in enumerate(images)]
    _refuse_repeats(file, "image", image_ids)
    if not images:
        raise DataError(f"{file} holds no images")
    by_id = dict(sorted(_categories(file, categories).items()))
    gathered = _Gathered({number: n for n, number in enumerate(image_ids)}, tuple(by_id))
    for number, entry in enumerate(annotations):
        gathered.add(number, entry)
        entry.clear()  # what is gathered takes far less
    order = np.argsort(np.array(gathered.image_rows, np.int64), kind="stable")
    return gathered.table(
        order,
        image_ids=np.array(image_ids, np.int64),
        files=tuple(_file_name(file, n, entry) for n, entry in enumerate(images)),
        sizes=np.array([_size(entry) for entry in images], np.int32),
        category_names=tuple(by_id.values()),
    )


def _read_json(file: Path) -> _Entry:
    try:
        content = json.loads(file.read_bytes(), object_hook=_pack)
    except OSError as error:
        raise DataError(f"cannot read {file}: {os_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no UTF-8 text, so it is no JSON") from error
    except RecursionError as error:
        raise DataError(f"{file} is no COCO JSON: it is nested too deeply") from error
    except ValueError as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{file}{line} is no JSON: {what.lower()}") from error
    if not isinstance(content, dict) or "images" not in content:
        raise DataError(f"{file} is no COCO JSON\nexpected: keys images, annotations, categories")
    return content


def _pack(entry: _Entry) -> _Entry:
    """Make arrays of polygons while the file is read: 8 bytes a number in place of 32."""
    polygons = entry.get("segmentation")
    if isinstance(polygons, list):
        try:
            entry["segmentation"] = [array("d", points) for points in polygons]
        except (TypeError, OverflowError):
            return entry  # no numbers: told with the annotation
    return entry


def _entries(file: Path, content: _Entry, key: str) -> list[_Entry]:
    found = content.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DataError(f"{file} is no COCO JSON: {key} is no list of objects")
    return found


def _integer(file: Path, entry: _Entry, kind: str, number: int, key: str) -> int:
    value = entry.get(key)
    if not _is_integer(value):
        raise DataError(f"{file}: {kind}[{number}] has {key} {shown(str(value))}, no whole number")
    return value


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62


def _refuse_repeats(file: Path, kind: str, ids: Sequence[int]) -> None:
    seen = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{file} has two entries with {kind} id {number}")
        seen.add(number)


def _file_name(file: Path, number: int, entry: _Entry) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{file}: images[{number}] has no file_name")
    return name


def _size(entry: _Entry) -> tuple[int, int]:
    height, width = entry.get("height"), entry.get("width")
    if not (_is_integer(height) and _is_integer(width)):
        return 0, 0
    return (height, width) if 0 < min(height, width) <= max(height, width) < 2**31 else (0, 0)


def _categories(file: Path, entries: Sequence[_Entry]) -> dict[int, str]:
    ids = [_integer(file, entry, "categories", n, "id") for n, entry in enumerate(entries)]
    _refuse_repeats(file, "category", ids)
    if not ids:
        raise DataError(f"{file} has no categories, so no classes")
    return {i: str(entry.get("name", i)) for i, entry in zip(ids, entries, strict=True)}


class _Gathered:
    """Annotations in the order of the file, before they are sorted by image."""

    def __init__(self, image_rows: dict[int, int], category_ids: tuple[int, ...]) -> None:
        self._rows_of_images = image_rows
        self._category_ids = category_ids
        self._classes = {number: n for n, number in enumerate(category_ids)}
        self.image_rows = array("q")
        self.ids = array("q")
        self.classes = array("i")
        self.boxes = array("d")
        self.areas = array("d")
        self.flags = array("b")  # 1 crowd, 2 difficult
        self.segmentations: list[list[array[float]] | Rle | None] = []
        self.broken: dict[int, str] = {}
        self.loose_ends: list[tuple[str, str]] = []
        self._seen: set[int] = set()

    def add(self, number: int, entry: _Entry) -> None:
        label, stated = self._name(number, entry)
        image = entry.get("image_id")
        if not _is_integer(image) or image not in self._rows_of_images:
            what = f"belongs to image {shown(str(image))}, which the file does not list"
            self.loose_ends.append((label, what))
            return
        row = len(self.ids)
        self.image_rows.append(self._rows_of_images[image])
        self.ids.append(stated)
        self.flags.append((entry.get("iscrowd") == 1) + 2 * (entry.get("difficult") == 1))
        area = entry.get("area")
        self.areas.append(area if _is_number(area) else math.nan)
        reasons = []
        for part in (self._add_class, self._add_box, self._add_segmentation):
            try:
                part(entry)
            except ValueError as error:
                reasons.append(str(error))
        if reasons:
            self.broken[row] = "; ".join(reasons)

    def _name(self, number: int, entry: _Entry) -> tuple[str, int]:
        """What to call an annotation, by its id or else its position."""
        stated = entry.get("id")
        if not _is_integer(stated):
            return f"annotations[{number}]", -1 - number
        label = f"annotation {stated}"
        if stated in self._seen:
            self.loose_ends.append((label, "its id stands twice; evaluators keep only one of them"))
        self._seen.add(stated)
        return label, stated

    def _add_class(self, entry: _Entry) -> None:
        category = entry.get("category_id")
        found = self._classes.get(category, -1) if isinstance(category, int) else -1
        self.classes.append(found)
        if found < 0:
            raise ValueError(f"category {shown(str(category))} is out of range: it is not listed")

    def _add_box(self, entry: _Entry) -> None:
        box = entry.get("bbox")
        if isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)):
            self.boxes.extend(box)
            return
        self.boxes.extend([math.nan] * 4)
        raise ValueError(f"bbox {shown(str(box))} is not four finite numbers")

    def _add_segmentation(self, entry: _Entry) -> None:
        found = entry.get("segmentation")
        self.segmentations.append(None)
        if not found:
            return
        if isinstance(found, dict):
            self.segmentations[-1] = _rle(found)
            return
        if not isinstance(found, list) or not all(isinstance(p, array) for p in found):
            raise ValueError("segmentation is neither polygons nor run lengths")
        if odd := next((len(points) for points in found if len(points) % 2), 0):
            raise ValueError(f"a polygon has {odd} coordinates, an odd number")
        self.segmentations[-1] = found

    def table(
        self,
        order: NDArray[np.int64],
        *,
        image_ids: NDArray[np.int64],
        files: tuple[str, ...],
        sizes: NDArray[np.int32],
        category_names: tuple[str, ...],
    ) -> CocoTable:
        """All that was gathered, in `order`."""
        images = np.array(self.image_rows, np.int64)[order]
        flags = np.array(self.flags, np.int8)[order]
        new_rows = {int(old): new for new, old in enumerate(order)} if self.broken else {}
        segments = [self.segmentations[old] for old in order.tolist()]
        outlines = [[] if s is None or isinstance(s, Rle) else s for s in segments]
        polygons = [points for outline in outlines for points in outline]
        lengths = [len(points) // 2 for points in polygons]
        return CocoTable(
            image_ids=image_ids,
            files=files,
            sizes=sizes,
            category_names=category_names,
            category_ids=self._category_ids,
            starts=np.searchsorted(images, np.arange(len(files) + 1)).astype(np.int64),
            annotation_ids=np.array(self.ids, np.int64)[order],
            classes=np.array(self.classes, np.int32)[order],
            boxes_xywh=np.array(self.boxes, np.float64).reshape(-1, 4)[order],
            areas=np.array(self.areas, np.float64)[order],
            crowd=(flags & 1).astype(np.bool_),
            difficult=(flags & 2).astype(np.bool_),
            broken={new_rows[row]: reason for row, reason in self.broken.items()},
            points=np.concatenate([np.zeros(0), *polygons]).reshape(-1, 2),
            polygon_ends=np.cumsum(lengths, dtype=np.int64),
            row_ends=np.cumsum([0, *map(len, outlines)], dtype=np.int64),
            rles={row: s for row, s in enumerate(segments) if isinstance(s, Rle)},
            loose_ends=tuple(self.loose_ends),
        )


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that pixels may be counted by; NaN is none."""
    return (_is_integer(value) or isinstance(value, float)) and abs(value) < MAX_EDGE


def _rle(entry: _Entry) -> Rle:
    """Raises: ValueError: no run lengths of an image."""
    size, counts = entry.get("size"), entry.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(map(_is_integer, size))):
        raise ValueError(f"segmentation has size {shown(str(size))}, not height and width")
    height, width = size
    if not (0 < height < 2**16 and 0 < width < 2**16):
        raise ValueError(f"segmentation has size {height}x{width}")
    if isinstance(counts, str) and counts.isascii():
        return Rle((height, width), counts)
    if isinstance(counts, list) and all(map(_is_integer, counts)):
        check_runs(counts, (height, width))
        return encode_runs(counts, (height, width))
    raise ValueError("segmentation has counts that are no run lengths")
