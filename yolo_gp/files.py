"""Files that appear whole or not at all, and small text files."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yolo_gp.errors import DataError


def temporary_beside(path: Path) -> Path:
    """A name nobody else uses, hidden, in the folder of `path`; nothing is created."""
    return path.with_name(f".{secrets.token_hex(8)}.part")


def publish(temporary: Path, path: Path) -> None:
    """Let a finished file take the name `path`, once its bytes are on the disk.

    Raises:
        OSError: the operating system refuses.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write; it takes `path`'s name when the block ends without an error.

    Whoever looks at `path` sees the old content or all of the new, never a part. Missing folders
    are made.

    Raises:
        OSError: the operating system refuses; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            yield file
        publish(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # nothing to remove: it has been published
            temporary.unlink()


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a whole file, text as UTF-8, as `replacing` does.

    Raises:
        DataError: the operating system refuses; `path` is as it was.
    """
    try:
        with replacing(path) as file:
            file.write(data.encode() if isinstance(data, str) else data)
    except OSError as error:
        raise DataError(f"cannot write {path}: {os_reason(error)}") from error


def rewrite(path: Path, data: bytes) -> None:
    """Give a file that exists another content, as `replacing` does; its mode stays.

    A link goes on pointing to the file.

    Raises:
        DataError: the operating system refuses; the file is as it was.
    """
    target = path.resolve()
    try:
        with replacing(target) as file:
            file.write(data)
            shutil.copymode(target, file.name)
    except OSError as error:
        raise DataError(f"cannot write {path}: {os_reason(error)}") from error


def os_reason(error: OSError) -> str:
    """The operating system's reason, in our style: lowercase, without file name or number."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def read_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line. A blank line counts, as in Darknet; blank lines at the end do not.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read names {path}: {os_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text, so it holds no class names") from error
    return tuple(text.rstrip().splitlines())
