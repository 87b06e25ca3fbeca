"""What a classifier said of many images: as a table, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field

from yolo_gp.tasks.classifier import ClassScore
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.results import aligned, file_cell, printable

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class ClassifiedImage:
    """What was said of one frame; keeps no pixels. Sizes in pixels.

    Fields:
        frame: its number in its video; None for a still.
        classes: best first.
    """

    file: str
    frame: int | None
    width: int
    height: int
    classes: tuple[ClassScore, ...]


@dataclass(slots=True)
class ClassifyReport:
    """All that a run said and all that it could not read, in order."""

    images: list[ClassifiedImage] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, frame: Frame, classes: tuple[ClassScore, ...]) -> None:
        height, width = frame.size
        image = ClassifiedImage(frame.name, frame.frame_index, width, height, classes)
        self.images.append(image)

    def fail(self, failure: Failure) -> None:
        self.failures.append(failure)

    def to_json(self) -> str:
        """One JSON object on one line; a score that is no finite number is null."""
        failed = [{"file": failure.name, "reason": failure.reason} for failure in self.failures]
        images = [_as_json(image) for image in self.images]
        return json.dumps({"schema_version": _SCHEMA_VERSION, "images": images, "failed": failed})

    def to_csv(self) -> str:
        """A line for each image and class, under a line with the columns' names."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("file", "frame", "rank", "class_id", "name", "score"))
        for image in self.images:
            for rank, said in enumerate(image.classes, 1):
                frame = "" if image.frame is None else image.frame
                row = (image.file, frame, rank, said.class_id, said.name, f"{said.score:.6g}")
                writer.writerow(row)
        return text.getvalue().removesuffix("\n")

    def to_table(self) -> str:
        """A table for people: a line for each image and class; the file stands at its first."""
        rows = [("file", "class", "score")]
        for image in self.images:
            file = file_cell(image.file, image.frame)
            for said in image.classes:
                rows.append((file, printable(said.name), f"{said.score:.4f}"))
                file = ""
        return aligned(rows)


def _as_json(image: ClassifiedImage) -> dict[str, object]:
    frame = {} if image.frame is None else {"frame": image.frame}
    classes = [
        {
            "class_id": said.class_id,
            "name": said.name,
            "score": float(f"{said.score:.6g}") if math.isfinite(said.score) else None,
        }
        for said in image.classes
    ]
    size = {"width": image.width, "height": image.height}
    return {"file": image.file, **frame, **size, "classes": classes}
