"""Where a run's results go: its folder, safe writing, and the report of what was found."""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from yolo_gp.detections import Detections, Rle
from yolo_gp.errors import UsageError
from yolo_gp.files import os_reason
from yolo_gp.masks import encode_rle
from yolo_gp.tasks.frames import Failure, Frame

_SCHEMA_VERSION = 1
_PIXEL_LIMIT = 1e9  # an overflowing box is infinite, which JSON cannot say
_FILE_COLUMN = 40  # characters of a file name in the table

Box = tuple[float, float, float, float]


def new_run_folder(base: Path = Path("runs/detect")) -> Path:
    """Create the next numbered folder in `base`: one more than the highest there.

    Two processes never get the same one.

    Raises:
        UsageError: the folder cannot be created.
    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        numbers = [int(p.name) for p in base.iterdir() if p.name.isascii() and p.name.isdecimal()]
        for number in count(max(numbers, default=0) + 1):
            folder = base / str(number)
            with contextlib.suppress(FileExistsError):  # another process was quicker
                folder.mkdir()
                return folder
    except OSError as error:
        raise UsageError(f"cannot create a folder in {base}: {os_reason(error)}") from error
    raise AssertionError("unreachable: count() does not end")


def claim_folder(folder: Path) -> Path:
    """Take a folder the user named for a run; it must be absent (it is created) or empty.

    Raises:
        UsageError: it holds something, is not a folder, or cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot use {folder} for the results: {os_reason(error)}") from error
    if occupied:
        raise UsageError(f"{folder} is not empty; name a new folder, or empty it first")
    return folder


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One detection, on the upright image.

    Fields:
        box_xyxy: left, top, right, bottom in pixels.
        mask: the object's pixels; None if the network has no head for masks.
    """

    class_id: int
    name: str
    confidence: float
    box_xyxy: Box
    mask: Rle | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What was found in one frame; keeps no pixels. Sizes in pixels."""

    file: str
    frame: int | None
    width: int
    height: int
    detections: tuple[FoundObject, ...]


def found_objects(detections: Detections) -> tuple[FoundObject, ...]:
    """The detections as plain records: confidence to 6 decimals, pixels to 3."""
    rows = zip(
        detections.class_ids.tolist(),
        detections.confidences.tolist(),
        finite_boxes(detections),
        _encoded_masks(detections),
        strict=True,
    )
    return tuple(
        FoundObject(class_id, detections.name(class_id), round(confidence, 6), _rounded(box), mask)
        for class_id, confidence, box, mask in rows
    )


def _encoded_masks(detections: Detections) -> list[Rle | None]:
    if detections.instance_masks is None:
        return [None] * len(detections)
    return [encode_rle(mask, detections.image_size) for mask in detections.instance_masks]


def finite_boxes(detections: Detections) -> list[Box]:
    """Left, top, right, bottom in pixels; edges that overflowed to infinity become +-1e9."""
    boxes = []
    for edges in detections.boxes_xyxy.tolist():
        left, top, right, bottom = (min(max(edge, -_PIXEL_LIMIT), _PIXEL_LIMIT) for edge in edges)
        boxes.append((left, top, right, bottom))
    return boxes


def _rounded(box: Box) -> Box:
    left, top, right, bottom = (round(edge, 3) + 0.0 for edge in box)  # + 0.0: no minus zero
    return left, top, right, bottom


@dataclass(slots=True)
class Report:
    """All that a run found and all that it could not read, in order.

    Fields:
        preset: the conventions the run followed.
    """

    preset: str
    images: list[ImageRecord] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, frame: Frame, detections: Detections) -> None:
        height, width = frame.size
        objects = found_objects(detections)
        self.images.append(ImageRecord(frame.name, frame.frame_index, width, height, objects))

    def fail(self, failure: Failure) -> None:
        self.failures.append(failure)

    def to_json(self) -> str:
        """One JSON object on one line; docs of the command list its keys."""
        failed = [{"file": failure.name, "reason": failure.reason} for failure in self.failures]
        return json.dumps(
            {
                "schema_version": _SCHEMA_VERSION,
                "preset": self.preset,
                "images": [_image_as_json(image) for image in self.images],
                "failed": failed,
            }
        )

    def to_table(self) -> str:
        """A table for people: one line a detection, or one that says there are none."""
        rows: list[tuple[str, ...]] = [
            ("file", "class", "confidence", "left", "top", "right", "bottom")
        ]
        for image in self.images:
            rows.extend(_table_rows(image))
        return aligned(rows)


def _image_as_json(image: ImageRecord) -> dict[str, object]:
    frame = {} if image.frame is None else {"frame": image.frame}
    return {
        "file": image.file,
        **frame,
        "width": image.width,
        "height": image.height,
        "detections": [_object_as_json(found) for found in image.detections],
    }


def _object_as_json(found: FoundObject) -> dict[str, object]:
    mask = found.mask and {"size": list(found.mask.size), "counts": found.mask.counts}
    return {
        "class_id": found.class_id,
        "name": found.name,
        "confidence": found.confidence,
        "box_xyxy": list(found.box_xyxy),
        **({"mask": mask} if mask else {}),
    }


def file_cell(file: str, frame: int | None) -> str:
    """How tables name a file, or a frame of it: "clip.mp4 #7"."""
    suffix = "" if frame is None else f" #{frame}"
    return shorten(printable(file), _FILE_COLUMN - len(suffix)) + suffix


def _table_rows(image: ImageRecord) -> list[tuple[str, ...]]:
    file = file_cell(image.file, image.frame)
    if not image.detections:
        return [(file, "no detections", "", "", "", "", "")]
    rows: list[tuple[str, ...]] = []
    for found in image.detections:
        left, top, right, bottom = (f"{edge:.0f}" for edge in found.box_xyxy)
        name, confidence = printable(found.name), f"{found.confidence:.2f}"
        rows.append((file, name, confidence, left, top, right, bottom))
    return rows


def shorten(text: str, width: int) -> str:
    """At most `width` columns of a terminal; what is too long loses its middle to one "…"."""
    if _columns(text) <= width:
        return text
    head = tail = ""
    while True:
        if _columns(head) <= _columns(tail):
            longer = text[: len(head) + 1], tail
        else:
            longer = head, text[len(text) - len(tail) - 1 :]
        if _columns(longer[0]) + 1 + _columns(longer[1]) > width:
            return f"{head}…{tail}"
        head, tail = longer


def _columns(text: str) -> int:
    """Columns a terminal takes: 2 for wide East Asian characters, 0 for combining ones."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def printable(text: str) -> str:
    """The text with a ? for what a terminal would not show, or obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """File and class to the left, numbers to the right; columns two spaces apart."""
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            padding = " " * (width - _columns(cell))
            cells.append(cell + padding if number < 2 else padding + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
