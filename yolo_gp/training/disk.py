"""Whether the disk has room, asked before it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from yolo_gp.errors import DataError
from yolo_gp.files import os_reason

_RESERVE = 2**20  # bytes beside the tensors: headers, tables, other people's small files


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what would not fit.

    Args:
        needed: bytes that will be written before anything is freed.
        what: how the message calls it.

    Raises:
        DataError: the disk has less room, or cannot be asked.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise DataError(f"cannot use {folder}: {os_reason(error)}") from error
    if free < needed + _RESERVE:
        raise DataError(
            f"no room for {what}: it needs {_megabytes(needed + _RESERVE)}, and {folder} has "
            f"{_megabytes(free)} left\nhelp: make room there, or choose another --save-dir"
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
