"""Files that a section names beside the cfg: found, read and checked when the cfg is compiled.

What such a file holds never bears on a shape or a cost. So a network whose file is missing
compiles, with a warning; only what needs the content fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from yolo_gp.errors import CfgError, Diagnostic, Severity, Source, Span, shown
from yolo_gp.files import os_reason
from yolo_gp.options import Options
from yolo_gp.rules import Rule

Content = TypeVar("Content")

_MAX_BYTES = 2**24  # YOLO9000's tree has 200,000


class BadFile(Exception):
    """What is wrong with a file's content, and where in it."""

    def __init__(self, span: Span, message: str, expected: str) -> None:
        super().__init__(message)
        self.span = span
        self.message = message
        self.expected = expected


@dataclass(frozen=True, slots=True)
class NamedFile(Generic[Content]):
    """A file that a section names.

    Fields:
        key: under which it is named.
        span: where its name stands.
        absence: what follows if it is not there, for messages.
        content: what it holds; None if the file is not there, or was refused.
    """

    key: str
    span: Span
    absence: str
    content: Content | None = field(repr=False)

    def required(self) -> Content:
        """The content.

        Raises:
            CfgError: the file is not there.
        """
        if self.content is None:
            raise CfgError([_missing(self.key, self.span, self.absence, Severity.ERROR)])
        return self.content


def parse_file(
    options: Options, key: str, absence: str, read: Callable[[Source], Content]
) -> NamedFile[Content] | None:
    """Read a key that names a file, and the file. None where the key is absent.

    A relative name is relative to the working directory, as in Darknet, or where nothing is there
    to the cfg's folder, or else to the folder that holds it: Darknet's own cfgs lie in cfg/ and
    name data/FILE.

    Args:
        absence: what follows if it is not there, for messages.
        read: makes the content of the file's lines, or raises BadFile.
    """
    text = options.text(key)
    if text is None:
        return None
    span = options.span_of(key)
    path = _find(text, span.file)
    if path is None:
        problem = _missing(key, span, absence, Severity.WARNING)
        options.warning(problem.rule, key, problem.message, expected=problem.expected)
        return NamedFile(key, span, absence, None)
    source = _source(options, key, text, path)
    if source is None:
        return NamedFile(key, span, absence, None)
    try:
        return NamedFile(key, span, absence, read(source))
    except BadFile as bad:
        line = f"line {span.line} of {span.file}"
        options.error_at(
            Rule.BAD_FILE, bad.span, bad.message, expected=bad.expected, help=f"{line} names it"
        )
        return NamedFile(key, span, absence, None)


def _missing(key: str, span: Span, absence: str, severity: Severity) -> Diagnostic:
    return Diagnostic(
        Rule.MISSING_FILE,
        severity,
        span,
        f"the file {shown(span.text)} is not there; {absence}",
        f"{key}=FILE, relative to the working directory, to the cfg's folder or to the one above",
    )


def _find(text: str, cfg: str) -> Path | None:
    beside = Path(cfg.strip("<>")).parent  # <FILE> is a cfg inside a weights file
    for folder in (Path(), beside, beside.parent if beside.name else beside / ".."):
        if os.path.lexists(folder / text):
            return folder / text
    return None


def _source(options: Options, key: str, text: str, path: Path) -> Source | None:
    """The lines of the file without blank ones at the end; None, with an error, if it has none."""
    try:
        problem, content = _read(path)
    except OSError as error:
        problem, content = f"cannot be read: {os_reason(error)}", ""
    lines = content.rstrip().split("\n")
    if not problem and lines == [""]:
        problem = "is empty"
    if problem:
        options.error(
            Rule.BAD_FILE,
            key,
            f"[{options.kind}] {key}={shown(text)} {problem}",
            expected="the name of a text file",
        )
        return None
    return Source(str(path), tuple(line.rstrip("\r") for line in lines))


def _read(path: Path) -> tuple[str, str]:
    """What keeps the file from being read, if anything, and its text."""
    if path.is_dir():
        return "is a folder", ""
    if not path.is_file():
        return "is no ordinary file", ""
    if path.stat().st_size > _MAX_BYTES:
        return f"has {path.stat().st_size} bytes, more than the {_MAX_BYTES} that are read", ""
    try:
        return "", path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return "is no UTF-8 text", ""


def line_span(source: Source, number: int) -> Span:
    """Line `number`, counted from 1, of a file."""
    line = source.line(number)
    lead = len(line) - len(line.lstrip())
    return Span(source, number, lead + 1, max(1, len(line.strip())))
