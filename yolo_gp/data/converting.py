"""A data set written anew in another format. Nothing appears before all of it is written."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolo_gp.data.annotations import AnnotatedDataset, number_names, to_ground_truth
from yolo_gp.data.dataset import Sample
from yolo_gp.data.headers import read_header
from yolo_gp.data.writing import CocoWriter, ExportedImage, SplitWriter, VocWriter, YoloWriter
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason, temporary_beside


class Format(enum.StrEnum):
    """What can be written."""

    COCO = "coco"
    YOLO = "yolo"
    VOC = "voc"


def parse_format(name: str) -> Format:
    """Raises: UsageError: no such format."""
    try:
        return Format(name)
    except ValueError:
        raise UsageError(f"--to {name} is no such format\nexpected: coco, yolo or voc") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSettings:
    """Fields:
    link: give images a second name (hard link) in place of copying them.
    polygons: YOLO txt only: write outlines where there are any, not boxes.
    """

    format: Format
    link: bool = False
    polygons: bool = False

    def __post_init__(self) -> None:
        if self.polygons and self.format is not Format.YOLO:
            raise UsageError(
                f"--polygons has no effect with --to {self.format}\nexpected: --to yolo; COCO "
                "keeps polygons anyway, and VOC has none"
            )


@dataclass(slots=True)
class ConvertReport:
    """Fields: left_out: what the format cannot say, and how many objects that concerned."""

    images: int = 0
    objects: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def convert(
    splits: Mapping[str, AnnotatedDataset],
    out: Path,
    settings: ConvertSettings,
    *,
    advance: Callable[[int], object] | None = None,
) -> ConvertReport:
    """Write data sets as the splits of one new data set.

    Args:
        splits: by the name of the split; all with the same classes.
        out: a folder that is absent or empty.

    Raises:
        UsageError: `out` holds something.
        DataError: an image or its annotations cannot be read, or something cannot be written;
            `out` is then as it was.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already\nexpected: a new folder, or an empty one")
    if len({dataset.class_names for dataset in splits.values()}) > 1:
        raise DataError(f"the splits {', '.join(splits)} have different classes")
    out = out.absolute()
    temporary = temporary_beside(out)
    try:
        temporary.mkdir(parents=True)
        report = _write_all(splits, temporary, settings, advance)
        with contextlib.suppress(FileNotFoundError):
            out.rmdir()
        temporary.rename(out)
    except OSError as error:
        raise DataError(f"cannot write {out}: {os_reason(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def _write_all(
    splits: Mapping[str, AnnotatedDataset],
    folder: Path,
    settings: ConvertSettings,
    advance: Callable[[int], object] | None,
) -> ConvertReport:
    report = ConvertReport()
    writer = _writer(folder, settings, report.left_out, list(splits.values()))
    taken: set[str] = set()
    for split, dataset in splits.items():
        images = writer.begin(split)
        for index in range(len(dataset.samples)):
            image = _exported(dataset, index, taken)
            _place_image(dataset.samples[index].path, images / image.name, link=settings.link)
            report.objects += writer.add(image)
            report.images += 1
            if advance:
                advance(1)
    writer.finish()
    report.left_out += Counter()  # drops what concerned no object
    return report


def _writer(
    folder: Path,
    settings: ConvertSettings,
    left_out: Counter[str],
    datasets: Sequence[AnnotatedDataset],
) -> SplitWriter:
    names = datasets[0].class_names or _numbers_used(datasets)
    category_ids = datasets[0].category_ids or tuple(range(1, len(names) + 1))
    match settings.format:
        case Format.COCO:
            return CocoWriter(folder, names, category_ids)
        case Format.YOLO:
            return YoloWriter(folder, names, left_out, polygons=settings.polygons)
        case Format.VOC:
            return VocWriter(folder, names, left_out)


def _numbers_used(datasets: Sequence[AnnotatedDataset]) -> tuple[str, ...]:
    """Names for the classes of data that does not even count them: up to the highest used."""
    used = (
        found.class_id
        for dataset in datasets
        for index in range(len(dataset.samples))
        for found in dataset.annotations(index, (1, 1)).objects
    )
    return number_names(max(used, default=-1) + 1)


def _exported(dataset: AnnotatedDataset, index: int, taken: set[str]) -> ExportedImage:
    sample = dataset.samples[index]
    try:
        with sample.path.open("rb") as file:
            header = read_header(file)
    except (OSError, DataError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else error
        raise DataError(f"cannot read image {sample.path}: {reason}") from error
    annotations = dataset.annotations(index, header.size)
    return ExportedImage(
        name=_new_name(sample, taken),
        image_id=sample.image_id,
        size=header.size,
        channels=1 if header.mode in ("1", "L", "I") or header.mode.startswith("I;") else 3,
        objects=annotations.objects,
        truth=to_ground_truth(annotations, header.size, masks=False),
    )


def _new_name(sample: Sample, taken: set[str]) -> str:
    """The file's name, with a number if another image has it but for suffix or case."""
    stem, number = sample.path.stem, 1
    while stem.lower() in taken:
        number += 1
        stem = f"{sample.path.stem}_{number}"
    taken.add(stem.lower())
    return stem + sample.path.suffix


def _place_image(source: Path, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not link:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise DataError(
            f"cannot link {source}: {os_reason(error)}\nhelp: leave --link out to copy the images"
        ) from error
