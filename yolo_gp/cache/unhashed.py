"""Weights whose publisher gives no hash: what their size and header must be. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.errors import WeightsError
from yolo_gp.weights.header import read_header
from yolo_gp.weights.layout import FLOAT_BYTES

HEADER_SIZES = (20, 16)
_HIGHEST_VERSION = 10
_MOST_SEEN = 10**12
"""Images. Nobody has trained that long: a larger number is random bytes."""


def unhashed_sizes(floats: int) -> tuple[int, ...]:
    """Bytes that a `.weights` file of so many floats may have, with either kind of header."""
    return tuple(header + FLOAT_BYTES * floats for header in HEADER_SIZES)


def check_unhashed(path: Path, floats: int) -> None:
    """Accept a weights file of exactly so many floats whose header could be Darknet's.

    Raises:
        WeightsError: the file is another.
    """
    header = read_header(path, floats)
    size, expected = path.stat().st_size, header.size + FLOAT_BYTES * floats
    if size != expected:
        raise WeightsError(f"it has {size} bytes, but its cfg asks for {expected}")
    version = f"{header.major}.{header.minor}.{header.revision}"
    if header.major > 0 or max(header.minor, header.revision) > _HIGHEST_VERSION:
        raise WeightsError(f"it begins with version {version}, which no Darknet has written")
    if header.seen > _MOST_SEEN:
        raise WeightsError(f"it claims to have seen {header.seen} images, more than anybody has")
