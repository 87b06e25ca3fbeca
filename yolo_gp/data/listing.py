"""The images of a data set that is a folder or a list of paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.annotations import Place
from yolo_gp.data.images import IMAGE_SUFFIXES
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason

_TRIED = 100  # entries of a list that are looked for to learn what its paths are relative to


@dataclass(frozen=True, slots=True)
class ImageList:
    """Images in order, as paths, and where each was named.

    Fields:
        lists: the files that list images.
        listed_in: (N,) index into `lists`.
        lines: (N,) line in that file, from 1; 0 where the image was found in a folder. None if
            all were.
    """

    paths: tuple[str, ...]
    lists: tuple[str, ...] = ()
    listed_in: NDArray[np.int32] | None = None
    lines: NDArray[np.int32] | None = None

    def place(self, index: int) -> Place:
        if self.listed_in is None or self.lines is None or not self.lines[index]:
            return Place(self.paths[index])
        return Place(self.lists[self.listed_in[index]], int(self.lines[index]))


def is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (100,000 of them)


def is_file(path: Path) -> bool:
    """Whether there is such a file. A name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def images_below(folder: Path) -> ImageList:
    """The images in a folder and its subfolders, sorted by path; hidden ones left out.

    Raises:
        DataError: the folder cannot be read.
    """
    found: list[str] = []
    for base, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = "" if base == "." else base + os.sep
        found += [prefix + name for name in files if is_image(name) and not name.startswith(".")]
    return ImageList(tuple(sorted(found)))


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read folder {error.filename}: {os_reason(error)}") from error


def images_listed(file: Path, bases: Sequence[Path]) -> ImageList:
    """The images that a text file lists, one path a line; blank lines are skipped.

    Paths that begin with "./" are relative to the list's own folder, as Ultralytics reads them;
    other relative ones to the first of `bases` below which one of the first images exists.

    Raises:
        DataError: the list cannot be read or names nothing.
    """
    entries = [
        (line, text.strip())
        for line, text in enumerate(read_text(file, "image list").splitlines(), start=1)
        if text.strip()
    ]
    if not entries:
        raise DataError(f"image list {file} names no image")
    base = _base([text for _, text in entries[:_TRIED]], bases)
    paths = tuple(
        str(file.parent / text) if text.startswith(("./", ".\\")) else str(base / text)
        for _, text in entries
    )
    lines = np.array([line for line, _ in entries], np.int32)
    return ImageList(paths, (str(file),), np.zeros(len(paths), np.int32), lines)


def _base(entries: Sequence[str], bases: Sequence[Path]) -> Path:
    for text in entries:
        for base in bases:
            if is_file(base / text):
                return base
    return bases[0]


def joined(parts: Sequence[ImageList]) -> ImageList:
    """Several lists behind one another."""
    listed_in, lines = [], []
    names: list[str] = []
    for part in parts:
        nothing = np.zeros(len(part.paths), np.int32)
        behind = nothing if part.listed_in is None else part.listed_in
        listed_in.append((behind + len(names)).astype(np.int32))
        lines.append(nothing if part.lines is None else part.lines)
        names += part.lists
    paths = tuple(path for part in parts for path in part.paths)
    return ImageList(paths, tuple(names), np.concatenate(listed_in), np.concatenate(lines))


def read_text(file: Path, what: str) -> str:
    """A text file, with or without a byte order mark.

    Args:
        what: what to call it in messages.

    Raises:
        DataError: it cannot be read or is no UTF-8 text.
    """
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {what} {file}: {os_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{what} {file} is no UTF-8 text") from error
