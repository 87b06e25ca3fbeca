"""Numbers as a cfg writes them, and what Darknet would read in a text that is none."""

from __future__ import annotations

import re
import struct

from yolo_gp.errors import Span

LARGEST_FLOAT = 3.4e38  # of single precision, which Darknet computes with
_FLOAT = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"


def parse_integer(text: str) -> int | None:
    """The integer that a text is; None if it is none."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,1000}", text) else None


def parse_number(text: str) -> float | None:
    """The number that a text is, rounded to single precision; None if it is none.

    A number beyond single precision comes back as it is.
    """
    if not is_number(text):
        return None
    value = float(text)
    if abs(value) >= LARGEST_FLOAT:
        return value
    return float(struct.unpack("f", struct.pack("f", value))[0])


def is_number(text: str) -> bool:
    """Whether a text is a decimal number."""
    return re.fullmatch(_FLOAT, text) is not None


def as_darknet_reads(text: str, *, whole: bool) -> str:
    """The leading part that C's atoi (`whole`) or atof takes; "0" if there is none."""
    pattern = r"[+-]?[0-9]{1,12}" if whole else r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)"
    leading = re.match(pattern, text)
    return leading[0][:20] if leading else "0"


def format_bound(value: float) -> str:
    """A limit as a message shows it."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def blank_separated(text: str, span: Span) -> list[tuple[str, Span]]:
    """What one element of a list holds: two numbers that only a blank separates are two.

    Args:
        text: the element without blanks.
        span: the element as it stands.
    """
    words = [
        (match[0], Span(span.source, span.line, span.column + match.start(), len(match[0])))
        for match in re.finditer(r"\S+", span.text)
    ]
    if not text or len(words) < 2 or not all(is_number(word) for word, _ in words):
        return [(text, span)]
    return words
