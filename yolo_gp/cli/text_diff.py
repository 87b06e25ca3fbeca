"""A unified diff of a cfg before and after a change."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator


def unified_diff(old: bytes, new: bytes, name: str, changed_name: str) -> Iterator[bytes]:
    """The lines of the diff, in bytes, since a comment may hold some that are no text."""
    names = (name.encode(errors="surrogateescape"), changed_name.encode(errors="surrogateescape"))
    for line in difflib.diff_bytes(difflib.unified_diff, _lines(old), _lines(new), *names):
        yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"


def changed_lines(old: bytes, new: bytes) -> int:
    """How many lines of the new text are not in the old one at their place."""
    matcher = difflib.SequenceMatcher(None, _lines(old), _lines(new), autojunk=False)
    return sum(
        max(stop - start, end - begin)
        for what, start, stop, begin, end in matcher.get_opcodes()
        if what != "equal"
    )


def _lines(content: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def print_diff(old: bytes, new: bytes, name: str) -> None:
    """Print the diff on stdout."""
    sys.stdout.flush()
    for line in unified_diff(old, new, name, f"{name} (changed)"):
        sys.stdout.buffer.write(line)
    sys.stdout.flush()
