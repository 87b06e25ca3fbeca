"""A cfg's text in one canonical layout, with every comment in its place.

Only what no reader looks at changes: blanks, blank lines, line ends, a byte-order mark. Darknet
deletes blanks and skips empty lines and comments (darknet.md 1.1), so it sees the same lines before
and after; a comment behind a value stays there for that reason.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from yolo_gp.errors import CfgError, Diagnostics
from yolo_gp.numerals import blank_separated, is_number
from yolo_gp.rules import Rule
from yolo_gp.syntax import CfgFile, Option, parse_cfg

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = " \t\r"
_NO_CFG = (Rule.NOT_A_CFG, Rule.FIRST_SECTION, Rule.TOO_LARGE)
# Other blanks, and bytes that are no text, mean something to some reader: such lines stay.
_ODD = re.compile(r"[^\S \t\r]|[\ud800-\udfff\ufffd]")
_PAIRS = "anchors"  # the list that is read two by two
_COMMENTED_OPTION = re.compile(r"[#;]+\s*\w+\s*=")


def format_cfg(content: bytes, file: str) -> bytes:
    """The canonical layout of a cfg; `file` is the name that messages show.

    `key=value` without blanks, lists too, except for one blank between the pairs of `anchors`, and
    between two numbers that have no comma; one blank before a comment behind a value; no
    indentation; one blank line before each section and the comments right above it; elsewhere at
    most one, none between a header and its first option; lines end in LF. Comments keep their
    bytes, keys their order. It is its own canonical layout.

    Lines that are wrong (no `=`, no closing bracket, bytes that are no text) stay as they are.

    Raises:
        CfgError: this is no cfg: binary, too large, or without [net] at its start.
    """
    before = _parse(content, file)
    formatted = canonical_layout(content)
    if formatted != content:
        assert meaning(_parse(formatted, file)) == meaning(before), "formatting changes the cfg"
    return formatted


def canonical_layout(content: bytes) -> bytes:
    """`format_cfg` without a look at whether this is a cfg."""
    text = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", errors="surrogateescape")
    lines = _with_gaps([_canonical(line) for line in _split(text)])
    result = "".join("\n" * line.gap + line.text + "\n" for line in lines)
    return result.encode("utf-8", errors="surrogateescape")


Meaning = list[tuple[str, list[tuple[str | None, ...]]]]
"""Each section's kind and options."""


def meaning(cfg: CfgFile) -> Meaning:
    """What a parsed cfg says, wherever it stands: kinds, keys, values, comments behind values.

    A value counts as a whole and by the elements of its list.
    """
    return [(section.kind, [_said(o) for o in section.options]) for section in cfg.sections]


def _said(option: Option) -> tuple[str | None, ...]:
    if option.value is None:
        return option.key, option.value_span.text
    items = option.items() if option.value else ()
    words = [word for item in items for word, _ in blank_separated(*item)]
    comment = option.comment.text if option.comment else None
    return option.key, option.value, comment, *words


def _parse(content: bytes, file: str) -> CfgFile:
    found = Diagnostics()
    cfg = parse_cfg(content, file, found)
    refused = [error for error in found.errors if error.rule in _NO_CFG]
    if refused:
        raise CfgError(refused)
    return cfg


class _Kind(enum.Enum):
    BLANK = enum.auto()
    COMMENT = enum.auto()
    HEADER = enum.auto()
    CONTENT = enum.auto()


@dataclass(slots=True)
class _Line:
    """One line of the result; `gap`: a blank line stands before it."""

    kind: _Kind
    text: str
    gap: bool = False


def _split(text: str) -> list[str]:
    """Lines as `parse_cfg` counts them."""
    return text.split("\r" if "\n" not in text else "\n")


def _canonical(line: str) -> _Line:
    text = line.strip(_BLANKS)
    if not text.strip():
        return _Line(_Kind.BLANK, "")
    if text.lstrip()[0] in "#;":
        return _Line(_Kind.COMMENT, text)
    if text[0] == "[":
        return _Line(_Kind.HEADER, _header(text))
    return _Line(_Kind.CONTENT, _option(text))


def _header(text: str) -> str:
    match = re.fullmatch(r"\[([^\]]*)\](.*)", text, flags=re.DOTALL)
    if not match or _ODD.search(match[1]):
        return text
    return f"[{_without_blanks(match[1])}] {match[2].strip(_BLANKS)}".rstrip(_BLANKS)


def _option(text: str) -> str:
    key, equals, rest = text.partition("=")
    value = re.split("[#;]", rest, maxsplit=1)[0]
    if not equals or _ODD.search(key + value):
        return text
    key, comment = _without_blanks(key), rest[len(value) :]
    return f"{key}={_list(key, value)} {comment}".rstrip(_BLANKS)


def _list(key: str, value: str) -> str:
    items = [_item(text) for text in value.split(",")]
    if key != _PAIRS or any(" " in item for item in items):
        return ",".join(items)
    pairs = [",".join(items[first : first + 2]) for first in range(0, len(items), 2)]
    return ", ".join(pairs).rstrip()


def _item(text: str) -> str:
    """One element of a list; two numbers that only a blank separates stay apart."""
    words = text.split()
    return (" " if all(map(is_number, words)) else "").join(words)


def _without_blanks(text: str) -> str:
    return text.translate({ord(blank): None for blank in _BLANKS})


def _with_gaps(lines: Sequence[_Line]) -> list[_Line]:
    """The lines that are not blank, each knowing whether a blank line belongs before it."""
    kept: list[_Line] = []
    blank = False
    for line in lines:
        if line.kind is not _Kind.BLANK:
            line.gap = blank
            kept.append(line)
        blank = line.kind is _Kind.BLANK
    for number, line in enumerate(kept):
        if line.kind is _Kind.HEADER:
            kept[_block_start(kept, number)].gap = True
        elif line.kind is _Kind.CONTENT and kept[number - 1].kind is _Kind.HEADER:
            line.gap = False
    if kept:
        kept[0].gap = False
    return kept


def _block_start(lines: Sequence[_Line], header: int) -> int:
    """Where the comments right above a header start.

    If they follow right on the section before, its options that are commented out stay with it.
    """
    start = header
    while start > 0 and not lines[start].gap and lines[start - 1].kind is _Kind.COMMENT:
        start -= 1
    if start == 0 or lines[start].gap:
        return start
    for number in range(header, start, -1):
        if _COMMENTED_OPTION.match(lines[number - 1].text):
            return number
    return start
