"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yolo_gp.errors import DataError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write; it takes `path`'s name when the block ends without an error.

    Until then the bytes lie under a temporary name in the same folder, which is removed on
    failure; an older file at `path` stays as it was.

    Raises:
        OSError: the folder does not exist or cannot be written, or the disk is full.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_usual_mode(Path(temporary))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _give_usual_mode(path: Path) -> None:
    """mkstemp's files are readable by the owner only; give the mode that open() would."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def read_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line. A blank line counts, as in Darknet; blank lines at the end do not.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read names {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text, so it holds no class names") from error
    return tuple(text.rstrip().splitlines())
