"""`yolo-gp fmt`: cfg files in one canonical layout."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from yolo_gp.errors import ExitCode, UsageError, YoloGpError
from yolo_gp.files import rewrite

_Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Cfg files to rewrite; - for standard input to output."),
]
_Check = Annotated[
    bool,
    typer.Option("--check", help="Write nothing; name the files that would change, exit with 1."),
]
_Diff = Annotated[bool, typer.Option("--diff", help="Write nothing; show what would change.")]
_STDIN = "-"


def fmt(files: _Files, check: _Check = False, diff: _Diff = False) -> None:
    """Give cfg files the canonical layout; comments keep their place, networks stay the same.

    key=value without blanks, one blank line between sections, line ends LF. Files that are laid out
    so already are not touched. A file that is no cfg is left as it is, the others are done.
    """
    from yolo_gp.formatting import format_cfg

    if _STDIN in files and len(files) > 1:
        raise UsageError("- stands beside other files\nexpected: either - alone, or files")
    failed: ExitCode | None = None
    changed = False
    for file in files:
        try:
            content = _read(file)
            formatted = format_cfg(content, _shown(file))
            if diff:
                _print_bytes(_diff(content, formatted, _shown(file)))
            elif not check:
                _write(file, content, formatted)
        except YoloGpError as error:
            lead = "" if error.exit_code is ExitCode.CFG else "error: "
            print(f"{lead}{error}", file=sys.stderr)
            failed = failed or error.exit_code
            continue
        if formatted != content:
            changed = True
            _report(file, check=check, diff=diff)
    if failed or (check and changed):
        raise typer.Exit(int(failed or ExitCode.FINDINGS))


def _shown(file: str) -> str:
    return "standard input" if file == _STDIN else file


def _read(file: str) -> bytes:
    from yolo_gp.graph import read_content

    return sys.stdin.buffer.read() if file == _STDIN else read_content(Path(file))


def _write(file: str, content: bytes, formatted: bytes) -> None:
    if file == _STDIN:
        _print_bytes([formatted])
    elif formatted != content:
        rewrite(Path(file), formatted)


def _report(file: str, *, check: bool, diff: bool) -> None:
    """Name a changed file: on stdout, unless the text itself goes there."""
    if check or diff:
        print(f"would change: {_shown(file)}", file=sys.stderr if diff else sys.stdout)
    elif file != _STDIN:
        print(f"formatted: {file}")


def _diff(content: bytes, formatted: bytes, file: str) -> Iterator[bytes]:
    """A unified diff; in bytes, since a comment may hold some that are no text."""
    name = file.encode(errors="surrogateescape")
    old, new = list(_numbered(content)), list(_numbered(formatted))
    for line in difflib.diff_bytes(difflib.unified_diff, old, new, name, name + b" (formatted)"):
        text = re.sub(rb"\0.*", b"", line, flags=re.DOTALL)
        yield text if text.endswith(b"\n") else text + b"\n\\ No newline at end of file\n"


def _numbered(content: bytes) -> Iterator[bytes]:
    """The lines, each with a number behind a NUL: that of the line that is not blank.

    difflib then compares each line with the one that it became. Otherwise it would take lines
    that many sections have for noise, and show them as changed.
    """
    number = blanks = 0
    for line in re.findall(rb"[^\n]*\n|[^\n]+", content):
        is_blank = not line.strip()
        number, blanks = (number, blanks + 1) if is_blank else (number + 1, 0)
        yield line + b"\0%d.%d" % (number, blanks)


def _print_bytes(parts: Iterable[bytes]) -> None:
    sys.stdout.flush()
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.flush()
