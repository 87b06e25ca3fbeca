"""Darknet's data for classifiers: a list of images, whose class is a label found in their path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_gp.data.classified import UNKNOWN, ClassifiedImages, require_count
from yolo_gp.data.darknet_list import class_count, images_of_split, names_listed, read_data
from yolo_gp.data.listing import ImageList, images_listed, read_text
from yolo_gp.errors import DataError


def open_class_data(file: Path, split: str, names: tuple[str, ...], count: int) -> ClassifiedImages:
    """One of the lists that a `.data` file names, by the labels that it names.

    Args:
        names: of the classes, by id, for people; those that the file names by default.
        count: how many classes the network tells apart.

    Raises:
        DataError: a file cannot be read, or they disagree with each other or with the network.

    Source: darknet.md 7.1; Darknet src/classifier.c validate_classifier_single.
    """
    values = read_data(file)
    images = images_of_split(file, values, split)
    stated, shown = class_count(file, values), names_listed(file, values, "names")
    if stated not in (None, count):
        raise DataError(
            f"{file}: classes is {stated}, but the network tells {count} apart\n"
            "expected: the data set that the network was trained for"
        )
    labels = names_listed(file, values, "labels") or shown or names
    if not labels:
        raise DataError(
            f"{file} names no labels\n"
            "expected: labels = FILE, with a line for each class that occurs in its images' paths"
        )
    require_count(f"{file}", labels, count)
    return _labelled(f"{file} ({split})", images, labels, names or shown or labels)


def open_class_list(file: Path, names: tuple[str, ...], count: int) -> ClassifiedImages:
    """A list of images, one path a line, each with a class name in it.

    Raises:
        DataError: the list cannot be read or names nothing; the classes have no names.
    """
    if not names:
        raise DataError(
            f"{file} lists images, but the network's classes have no names to find in their paths\n"
            "expected: --names FILE with a line for each class that occurs in its images' paths"
        )
    require_count("the names file", names, count)
    return _labelled(str(file), images_listed(file, (Path(), file.parent)), names, names)


def _labelled(
    name: str, images: ImageList, labels: tuple[str, ...], shown: tuple[str, ...]
) -> ClassifiedImages:
    """The images with the classes that their paths say."""
    for class_id, label in enumerate(labels):
        if not label.strip():
            raise DataError(f"label {class_id} of {name} is blank, so that every path holds it")
    texts = _texts(images)
    found = _labels_in(texts, labels)
    problems = [
        images.place(index).problem(f"none of the {len(labels)} labels occurs in this path")
        for index, ids in enumerate(found)
        if not ids
    ]
    if len(problems) == len(found):
        raise DataError(
            f"no image of {name} has one of the {len(labels)} labels in its path\n"
            f"expected: paths with labels such as {labels[0]} in them; the first is {texts[0]}"
        )
    class_ids = np.array([min(ids, default=UNKNOWN) for ids in found], np.int64)
    notes = _ambiguity(texts, found, labels)
    return ClassifiedImages(name, shown, images, class_ids, tuple(problems), notes)


def _texts(images: ImageList) -> list[str]:
    """The paths as they are listed: a folder that they are relative to says nothing of a class."""
    assert images.lines is not None
    lines = read_text(Path(images.lists[0]), "image list").splitlines()
    return [lines[line - 1].strip() for line in images.lines.tolist()]


def _labels_in(texts: Sequence[str], labels: Sequence[str]) -> list[set[int]]:
    """Which labels occur in each text. Takes as long for a thousand labels as for one."""
    ids: dict[str, int] = {}
    for class_id, label in enumerate(labels):
        ids.setdefault(label, class_id)
    lengths = sorted({len(label) for label in labels})

    def inside(text: str) -> set[int]:
        windows = (text[i : i + n] for n in lengths for i in range(len(text) - n + 1))
        return {ids[window] for window in windows if window in ids}

    return [inside(text) for text in texts]


def _ambiguity(
    texts: Sequence[str], found: Sequence[set[int]], labels: Sequence[str]
) -> tuple[str, ...]:
    several = [(text, sorted(ids)) for text, ids in zip(texts, found, strict=True) if len(ids) > 1]
    if not several:
        return ()
    text, (first, second, *_) = several[0]
    return (
        f"paths with several labels, of which as in Darknet the first listed counts: "
        f"{len(several)}, such as {text}, which is {labels[first]}, not {labels[second]}",
    )
