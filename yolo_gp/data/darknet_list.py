"""Darknet's own data sets: a list of images, or a `.data` file that names one."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.data.annotations import number_names
from yolo_gp.data.listing import images_listed, read_text
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
    values = _read(file)
    keys = _KEYS.get(split, (split,))
    found = next((values[key] for key in keys if key in values), None)
    if found is None:
        there = ", ".join(sorted(values)) or "nothing"
        raise DataError(f"{file} has no {keys[0]}\nexpected: {keys[0]} = LIST; it has {there}")
    listed = _resolve(file, found)
    images = images_listed(listed, (Path(), listed.parent, file.parent))
    return YoloDataset(f"{file} ({split})", images, _class_names(file, values), masks=masks)


def _read(file: Path) -> dict[str, str]:
    """key = value lines; of a repeated key the first counts."""
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


def _class_names(file: Path, values: dict[str, str]) -> tuple[str, ...]:
    text = values.get("names") or values.get("labels")
    names = read_names(_resolve(file, text)) if text else ()
    count = values.get("classes")
    if count is None:
        return names
    if not (count.isascii() and count.isdecimal() and int(count)):
        raise DataError(f"{file}: classes is {shown(count)}\nexpected: the number of classes")
    if names and len(names) != int(count):
        raise DataError(f"{file}: classes is {count}, but {text} lists {len(names)} names")
    return names or number_names(int(count))
