"""Darknet's own data sets: a list of images, or a `.data` file that names one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolo_gp.data.annotations import number_names
from yolo_gp.data.listing import ImageList, images_listed, read_text
from yolo_gp.data.yolo_txt import YoloDataset
from yolo_gp.errors import DataError, shown
from yolo_gp.files import read_names

_KEYS = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}


def open_list(file: Path, class_names: tuple[str, ...] = (), *, masks: bool = True) -> YoloDataset:
    """Images listed one a line, relative to the working directory, else to the list's folder.

    Raises:
        DataError: the list cannot be read or names nothing.
    """
    images = images_listed(file, (Path(), file.parent))
    return YoloDataset(str(file), images, class_names, masks=masks)


def open_data(file: Path, split: str, *, masks: bool = True) -> YoloDataset:
    """One of the lists that a `.data` file names.

    Relative paths are relative to the working directory, as in Darknet, or where nothing is there,
    to the file's folder. Darknet differs: it removes the blanks inside a path, and its `map`
    takes `train` where there is no `valid`.  Source: darknet.md 7.1.

    Raises:
        DataError: the file, the list or the names cannot be read, or disagree.
    """
    values = read_data(file)
    images = images_of_split(file, values, split)
    return YoloDataset(f"{file} ({split})", images, _class_names(file, values), masks=masks)


def images_of_split(file: Path, values: Mapping[str, str], split: str) -> ImageList:
    """The images in one of the lists that a `.data` file names.

    Raises:
        DataError: it names no such list, or the list cannot be read or names nothing.
    """
    keys = _KEYS.get(split, (split,))
    found = next((values[key] for key in keys if key in values), None)
    if found is None:
        there = ", ".join(sorted(values)) or "nothing"
        raise DataError(f"{file} has no {keys[0]}\nexpected: {keys[0]} = LIST; it has {there}")
    listed = _resolve(file, found)
    return images_listed(listed, (Path(), listed.parent, file.parent))


def read_data(file: Path) -> dict[str, str]:
    """The key = value lines of a `.data` file; of a repeated key the first counts.

    Raises:
        DataError: the file cannot be read, or a line is none of these.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(read_text(file, "data file").splitlines(), start=1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"{file}:{number}: {shown(text)!r} has no =\nexpected: key = value")
        values.setdefault(key.strip(), value.strip())
    return values


def _resolve(file: Path, text: str) -> Path:
    path = Path(text)
    if path.exists():
        return path
    beside = file.parent / path
    if beside.exists():
        return beside
    lines = "".join(f"\n  {place}" for place in dict.fromkeys((path, beside)))
    raise DataError(f"{file} names {text}, which does not exist; looked for{lines}")


def _class_names(file: Path, values: Mapping[str, str]) -> tuple[str, ...]:
    key = "names" if values.get("names") else "labels"
    names, count = names_listed(file, values, key), class_count(file, values)
    return names or number_names(count or 0)


def names_listed(file: Path, values: Mapping[str, str], key: str) -> tuple[str, ...]:
    """The lines of the file that a `.data` file names by `key`; empty if it names none.

    Raises:
        DataError: that file cannot be read, or has not as many lines as there are classes.
    """
    text, count = values.get(key), class_count(file, values)
    names = read_names(_resolve(file, text)) if text else ()
    if names and count is not None and len(names) != count:
        raise DataError(f"{file}: classes is {count}, but {text} lists {len(names)} names")
    return names


def class_count(file: Path, values: Mapping[str, str]) -> int | None:
    """How many classes a `.data` file says there are; None if it does not.

    Raises:
        DataError: what it says is no number of classes.
    """
    count = values.get("classes")
    if count is not None and not (count.isascii() and count.isdecimal() and int(count)):
        raise DataError(f"{file}: classes is {shown(count)}\nexpected: the number of classes")
    return None if count is None else int(count)
