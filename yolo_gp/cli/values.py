"""Values that several commands take from flags, and what they print on the side."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from yolo_gp.errors import Diagnostic, UsageError


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "320x416", or "416" for a square, as (height, width).

    Raises:
        UsageError: another form, or a side that is 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})(?:[xX]([0-9]{1,5}))?", text.strip())
    if not match or int(match[1]) == 0 or (match[2] and int(match[2]) == 0):
        raise UsageError(
            f"--size {text} is no size\nexpected: HEIGHTxWIDTH in pixels, such as 320x416, or 416"
        )
    return int(match[1]), int(match[2] or match[1])


def print_warnings(warnings: Iterable[Diagnostic]) -> None:
    """Warnings about a cfg go to stderr; results alone go to stdout."""
    for warning in warnings:
        print(f"{warning.render()}\n", file=sys.stderr)
