"""A first pass over a data set that tells everything that is wrong with it, and where."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.analysis.tables import SCHEMA_VERSION
from yolo_gp.data.annotations import (
    AnnotatedDataset,
    ObjectAnnotation,
    Place,
    Problem,
    Severity,
)
from yolo_gp.data.dataset import Sample
from yolo_gp.data.headers import ImageHeader, read_header, upright_size
from yolo_gp.data.images import decode_image
from yolo_gp.data.listing import is_file
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason
from yolo_gp.shapes import format_size

_SLACK = 0.5  # pixels a box may reach beyond the image: what rounding does
_BLOCK = 256  # images handed to the workers at a time
_MANY = 200  # images from which workers pay

_Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Fields:
        objects: those that could be read.
        found: problems and notes, in the order of the data.
    """

    dataset: str
    images: int
    objects: int
    found: tuple[Problem, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.found if p.severity is Severity.PROBLEM)

    @property
    def notes(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.found if p.severity is Severity.NOTE)

    def most_severe(self, count: int) -> tuple[Problem, ...]:
        """At most so many findings, problems before notes."""
        return (self.problems + self.notes)[:count]


def check_dataset(
    dataset: AnnotatedDataset,
    *,
    decode_images: bool,
    advance: Callable[[int], object] | None = None,
) -> CheckReport:
    """Look at every image and every annotation once.

    Args:
        decode_images: decode every image, and compare them by content. Without it an image is only
            looked for, or has its header read where the annotations state no size.
        advance: called with the number of images done since the last call.
    """
    found: list[Problem] = []
    objects = 0
    digests: dict[bytes, str] = {}
    seen: dict[str, int] = {}
    for index, image in _all_images(dataset, decode_images, advance):
        path, place = str(dataset.samples[index].path), dataset.place(index)
        found += image.found
        objects += image.objects
        if path in seen:
            first = dataset.place(seen[path])
            found.append(place.problem(f"{path} stands here again; first at {first}"))
        elif image.digest in digests:
            other = digests[image.digest]
            found.append(place.note(f"{path} is the same file as {other}, byte for byte"))
        seen.setdefault(path, index)
        if image.digest:
            digests.setdefault(image.digest, path)
    found += dataset.loose_ends()
    return CheckReport(dataset.name, len(dataset.samples), objects, tuple(found))


@dataclass(frozen=True, slots=True)
class _Checked:
    """One image. Fields: digest: of its file's bytes; empty if they were not read."""

    found: list[Problem]
    objects: int
    digest: bytes = b""


def _all_images(
    dataset: AnnotatedDataset, decode: bool, advance: Callable[[int], object] | None
) -> Iterator[tuple[int, _Checked]]:
    """Every image in order. Threads do: Pillow and the file system wait without holding Python."""
    count = len(dataset.samples)
    workers = (os.cpu_count() or 1) if decode and count >= _MANY else 1
    check = functools.partial(_check_image, dataset, decode)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, _BLOCK):
            block = range(start, min(start + _BLOCK, count))
            results = pool.map(check, block) if workers > 1 else map(check, block)
            for index, checked in zip(block, results, strict=True):
                if advance:
                    advance(1)
                yield index, checked


def _check_image(dataset: AnnotatedDataset, decode: bool, index: int) -> _Checked:
    sample, place = dataset.samples[index], dataset.place(index)
    found: list[Problem] = []
    size, digest = sample.size, b""
    if not is_file(sample.path):
        found.append(place.problem(f"there is no image {sample.path}"))
    elif decode:
        header, digest = _decode(sample.path, found)
        if header is not None:
            found += _pixel_format(sample.path, header)
            found += _stated_size(sample, place, header)
            size = header.size
    elif size is None:
        try:
            size = upright_size(sample.path)
        except DataError as error:
            found.append(place.problem(str(error)))
    if size is None:
        return _Checked(found, 0, digest)
    annotations = dataset.annotations(index, size)
    found += annotations.problems
    if annotations.missing is not None:
        where = Place(str(annotations.missing))
        found.append(where.note(f"does not exist, so {sample.path} counts as without objects"))
    found += _boxes(annotations.objects, size)
    found += _repeats(annotations.objects, dataset.class_names)
    return _Checked(found, len(annotations.objects), digest)


def _decode(path: Path, found: list[Problem]) -> tuple[ImageHeader | None, bytes]:
    """Read and decode an image file; what goes wrong is added to `found`."""
    place = Place(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        found.append(place.problem(f"cannot be read: {os_reason(error)}"))
        return None, b""
    try:
        decode_image(io.BytesIO(content), 3)
        header = read_header(io.BytesIO(content))
    except DataError as error:
        found.append(place.problem(str(error)))
        return None, b""
    return header, hashlib.blake2b(content, digest_size=16).digest()


def _pixel_format(path: Path, header: ImageHeader) -> Iterator[Problem]:
    """Notes on how pixels are converted that are not plain 8-bit grey or RGB."""
    place = Place(str(path))
    if header.sixteen_bits:
        yield place.note("16 bits a channel; the low 8 are dropped")
    if header.mode == "CMYK":
        yield place.note("CMYK colours; converted to RGB without regard to a colour profile")
    elif header.mode == "P":
        yield place.note("palette colours; converted to RGB")
    elif header.mode not in ("1", "L", "LA", "RGB", "RGBA") and not header.mode.startswith("I"):
        yield place.note(f"{header.mode} pixels; converted to RGB")
    if header.alpha:
        yield place.note("has transparency; it is dropped, and the colours below it show")


def _stated_size(sample: Sample, place: Place, header: ImageHeader) -> Iterator[Problem]:
    """The annotations' image size against the file's; EXIF orientation."""
    path, stated = sample.path, sample.size
    turned = f"EXIF orientation {header.orientation}"
    if stated not in (None, header.size) and stated == header.stored_size:
        yield place.problem(
            f"{path} is {format_size(header.size)} after {turned}, but {format_size(stated)} is "
            "stated: the annotations are those of the picture before it is turned",
            "remove the EXIF orientation, or annotate the upright picture",
        )
    elif stated not in (None, header.size):
        assert stated is not None
        yield place.problem(
            f"{format_size(stated)} is stated, but {path} is {format_size(header.size)}",
            "height x width; scale the annotations, or put back the picture they belong to",
        )
    elif header.orientation != 1:
        yield place.note(f"{path} has {turned}; annotations must be those of the upright picture")


def _boxes(objects: tuple[ObjectAnnotation, ...], size: _Size) -> Iterator[Problem]:
    for found in objects:
        left, top, right, bottom = found.box_xyxy
        width, height = right - left, bottom - top
        if width <= 0 or height <= 0:
            yield found.place.problem(
                f"the box is {width:g} wide and {height:g} high, so it holds no pixel"
            )
            continue
        beyond = {
            "left": -left,
            "top": -top,
            "right": right - size[1],
            "bottom": bottom - size[0],
        }
        edge = max(beyond, key=lambda name: beyond[name])
        if beyond[edge] > _SLACK:
            yield found.place.problem(
                f"the box {left:g}, {top:g}, {right:g}, {bottom:g} reaches {beyond[edge]:g} pixels "
                f"beyond the {edge} edge of the {format_size(size)} image"
            )


def _repeats(objects: tuple[ObjectAnnotation, ...], names: tuple[str, ...]) -> Iterator[Problem]:
    """Objects of the same class with the same box."""
    seen: dict[tuple[int, ...], Place] = {}
    for found in objects:
        key = (found.class_id, *(round(edge * 1000) for edge in found.box_xyxy))
        if key in seen:
            number = found.class_id
            name = names[number] if number < len(names) else str(number)
            yield found.place.problem(f"a second {name!r} with the same box as {seen[key]}")
        seen.setdefault(key, found.place)


def report_data(report: CheckReport) -> dict[str, object]:
    """The whole report for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": report.dataset,
        "images": report.images,
        "objects": report.objects,
        "problems": len(report.problems),
        "notes": len(report.notes),
        "found": [
            {
                "file": found.file,
                "line": found.line,
                "severity": str(found.severity),
                "what": found.what,
                "help": found.help,
            }
            for found in report.found
        ],
    }
