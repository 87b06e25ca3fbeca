"""What a names file and a .data file say about the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolo_gp.errors import DataError, shown
from yolo_gp.files import os_reason, read_names

_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class ClassCount:
    """So many classes, and who says so: a file, or a key of one."""

    count: int
    said_by: str


@dataclass(frozen=True, slots=True)
class Labels:
    """The classes that a cfg is compared with.

    Fields:
        counts: one for each file that says how many there are.
        trains: a .data file names images to train on.
    """

    counts: tuple[ClassCount, ...] = ()
    trains: bool = False


def read_labels(names: Path | None, data: Path | None) -> Labels:
    """What the files say; either may be absent.

    The names that a .data file refers to are read too, relative to the working directory, as in
    Darknet, or else to the file's folder.

    Raises:
        DataError: a file cannot be read, or the .data file's classes are no number.
    """
    counts = [_names(names)] if names else []
    values = _read_data(data) if data else {}
    if data and "classes" in values:
        counts.append(ClassCount(_number(data, values["classes"]), f"classes of {data}"))
    listed = values.get("names") or values.get("labels")
    if data and listed:
        counts.append(_names(_resolve(data, listed)))
    return Labels(tuple(counts), "train" in values)


def _names(path: Path) -> ClassCount:
    return ClassCount(len(read_names(path)), f"{path} (a name a line)")


def _read_data(path: Path) -> dict[str, str]:
    """key = value lines; of a repeated key the first counts. Other lines are Darknet's noise."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read data file {path}: {os_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text, so it is no .data file") from error
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip()[:1] not in ("", "#", ";") and value.strip():
            values.setdefault(key.strip(), value.strip())
    return values


def _number(path: Path, text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) <= _LARGEST:
        return int(text)
    raise DataError(f"{path}: classes is {shown(text)}\nexpected: the number of classes")


def _resolve(data: Path, text: str) -> Path:
    path = Path(text)
    return path if path.exists() else data.parent / path
