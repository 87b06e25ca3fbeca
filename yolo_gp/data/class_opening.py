"""From what a user names to images with one class each. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.data.class_folders import open_class_folders
from yolo_gp.data.class_list import open_class_data, open_class_list
from yolo_gp.data.classified import ClassifiedImages
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason

_KINDS = (
    "expected, for a classifier: a folder with a folder of images for each class, a Darknet .data, "
    "or a .txt list of images whose paths hold their class"
)


def open_classified(
    spec: str, *, split: str = "val", names: tuple[str, ...] = (), count: int
) -> ClassifiedImages:
    """Open a data set for classifiers.

    Args:
        spec: a folder of class folders, a Darknet `.data`, or a list of images, `.txt`.
        split: which part of it; without effect on a list and on folders without parts.
        names: the network's class names by id; empty if none are known.
        count: how many classes the network tells apart.

    Raises:
        DataError: it cannot be opened, or its classes are not the network's.
    """
    path = Path(spec)
    try:
        if path.is_dir():
            return open_class_folders(path, split, names, count)
        if not path.exists():
            raise DataError(f"there is no data set {spec}\n{_KINDS}")
        match path.suffix.lower():
            case ".data":
                return open_class_data(path, split, names, count)
            case ".txt":
                return open_class_list(path, names, count)
    except OSError as error:
        raise DataError(f"cannot read {spec}: {os_reason(error)}") from error
    raise DataError(f"{spec} is no data set of a known format\n{_KINDS}")
