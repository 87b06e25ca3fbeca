"""Scenes on disk: a data set in COCO form, or one picture. Nothing appears before all is written.

Files come out the same, byte for byte, from the same versions of numpy, Pillow and this package.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from yolo_gp.data.annotations import ImageAnnotations, to_ground_truth
from yolo_gp.data.writing import CocoWriter, ExportedImage
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason, temporary_beside, write_atomically
from yolo_gp.scenes.outlines import CLASS_NAMES
from yolo_gp.scenes.painting import Scene, scene
from yolo_gp.scenes.processes import in_order
from yolo_gp.scenes.recipe import FIRST_VAL

_SIDES = (32, 4096)  # pixels
_PAYS = 64  # scenes a further process must have to make up for its start
_BYTES = 0.25  # on disk per pixel, as measured at 320x320


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesSettings:
    """Fields:
    images, val: scenes to train with and to validate on, which are others.
    size: (height, width) in pixels.
    workers: processes that make them; what comes out does not depend on it.
    """

    images: int
    val: int
    size: tuple[int, int] = (320, 320)
    seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.images <= FIRST_VAL:
            raise UsageError(f"--images is {self.images:,}\nexpected: 1 to {FIRST_VAL:,}")
        if not 0 <= self.val <= FIRST_VAL:
            raise UsageError(f"--val is {self.val:,}\nexpected: 0 to {FIRST_VAL:,}")
        if self.workers < 1:
            raise UsageError(f"--workers is {self.workers}\nexpected: at least 1")
        _check(self.seed, self.size)

    @property
    def splits(self) -> dict[str, range]:
        """The numbers of the scenes of each split."""
        val = range(FIRST_VAL, FIRST_VAL + self.val)
        return {"train": range(self.images)} | ({"val": val} if val else {})


def _check(seed: int, size: tuple[int, int]) -> None:
    low, high = _SIDES
    if not all(low <= side <= high for side in size):
        raise UsageError(
            f"--size {size[0]}x{size[1]} is no size for scenes\n"
            f"expected: {low} to {high} pixels each way"
        )
    if seed < 0:
        raise UsageError(f"--seed is {seed}\nexpected: 0 or more")


@dataclass(frozen=True, slots=True)
class ShapesReport:
    """How much was written."""

    images: int
    val: int
    objects: int


def write_shapes(
    out: Path, settings: ShapesSettings, *, advance: Callable[[int], object] | None = None
) -> ShapesReport:
    """Write images/SPLIT/ and annotations/instances_SPLIT.json, for train and val.

    Args:
        out: a folder that is absent or empty.
        advance: called with the number of scenes done since the last call.

    Raises:
        UsageError: `out` holds something.
        DataError: something cannot be written; `out` is then as it was.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already\nexpected: a new folder, or an empty one")
    temporary = temporary_beside(out.absolute())
    try:
        temporary.mkdir(parents=True)
        _require_room(temporary, settings)
        objects = _write_all(temporary, settings, advance)
        with contextlib.suppress(FileNotFoundError):
            out.rmdir()
        temporary.rename(out.absolute())
    except OSError as error:
        raise DataError(f"cannot write {out}: {os_reason(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ShapesReport(settings.images, settings.val, objects)


def write_picture(out: Path, *, seed: int, size: tuple[int, int]) -> int:
    """Write the first validation scene of a seed as PNG; gives how many objects it shows.

    Raises:
        UsageError: a seed or a size that cannot be served.
        DataError: the file cannot be written.
    """
    _check(seed, size)
    made = scene(seed, FIRST_VAL, size)
    write_atomically(out, _encoded(made, "PNG"))
    return len(made.objects)


def _require_room(folder: Path, settings: ShapesSettings) -> None:
    """Raises: DataError: the disk has no room for so many scenes."""
    height, width = settings.size
    needed = (settings.images + settings.val) * height * width * _BYTES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the scenes need about {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free\n"
            "help: fewer --images, a smaller --size, or another disk"
        )


def _write_all(
    folder: Path, settings: ShapesSettings, advance: Callable[[int], object] | None
) -> int:
    """Write images and annotations below a folder; gives the number of objects."""
    writer = CocoWriter(folder, CLASS_NAMES, range(1, len(CLASS_NAMES) + 1))
    objects = 0
    for split, numbers in settings.splits.items():
        images = writer.begin(split)
        images.mkdir(parents=True)
        tasks = [_Task(images, settings.seed, number, settings.size) for number in numbers]
        for image in _made(tasks, settings.workers):
            objects += writer.add(image)
            if advance:
                advance(1)
    writer.finish()
    return objects


@dataclass(frozen=True, slots=True)
class _Task:
    """One scene to be written. Fields: folder: of its image file."""

    folder: Path
    seed: int
    number: int
    size: tuple[int, int]


def _made(tasks: list[_Task], workers: int) -> Iterator[ExportedImage]:
    """The scenes, written, in order."""
    workers = min(workers, -(-len(tasks) // _PAYS))
    return map(_make, tasks) if workers == 1 else in_order(_make, tasks, workers)


def _make(task: _Task) -> ExportedImage:
    made = scene(task.seed, task.number, task.size)
    number = task.number + 1  # some readers take an image of number 0 for none
    name = f"{number:07d}.jpg"
    (task.folder / name).write_bytes(_encoded(made, "JPEG"))
    truth = to_ground_truth(ImageAnnotations(made.objects), task.size, masks=False)
    return ExportedImage(name, number, task.size, 3, made.objects, truth)


def _encoded(made: Scene, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(made.image).save(file, form, quality=made.jpeg_quality)
    return file.getvalue()
