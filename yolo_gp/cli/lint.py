"""`yolo-gp lint`: everything that is wrong with cfg files, and the repair of what is mechanical."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp import __version__
from yolo_gp.cli.flags import DialectOption
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import DataError, ExitCode, UsageError, YoloGpError

if TYPE_CHECKING:
    from yolo_gp.lint.choosing import Found
    from yolo_gp.lint.linting import LintSettings
    from yolo_gp.lint.report import FileReport, LintReport

_FORMATS = ("text", "json", "github", "sarif")

_Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE|FOLDER...", help="Cfg files; of a folder, all below it."),
]
_Format = Annotated[
    str, typer.Option("--format", help="text, json, github (workflow commands) or sarif (2.1.0).")
]
_Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="CODES", help="Look for these only, such as YG3,YG408."),
]
_Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="CODES", help="Do not look for these.")
]
_Names = Annotated[
    Path | None, typer.Option("--names", help="Compare the classes with this names file.")
]
_Data = Annotated[
    Path | None,
    typer.Option("--data", help="Compare the classes with this .data file and its names."),
]
_Fix = Annotated[
    bool, typer.Option("--fix", help="Repair what is mechanical, and show the change.")
]
_Diff = Annotated[bool, typer.Option("--diff", help="Show what --fix would change; write nothing.")]
_Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="CODE", help="Say what a rule is about; all for all."),
]


def lint(
    paths: _Paths = None,
    format: _Format = "text",
    select: _Select = None,
    ignore: _Ignore = None,
    names: _Names = None,
    data: _Data = None,
    fix: _Fix = False,
    diff: _Diff = False,
    dialect: DialectOption = None,
    explain: _Explain = None,
) -> None:
    """Find what is wrong with cfg files, or will be: exit with 1 if there is anything.

    `# lint: ignore YG408` on the line before a finding, or behind the value on its own line,
    silences that code there.
    """
    from yolo_gp.lint.choosing import choose_rules
    from yolo_gp.lint.labels import read_labels
    from yolo_gp.lint.linting import LintSettings

    if explain is not None:
        _explain(explain)
        return
    if not paths:
        raise UsageError("no file to check\nexpected: cfg files or folders, or --explain CODE")
    if format not in _FORMATS:
        raise UsageError(f"--format {format} is unknown\nexpected: one of {', '.join(_FORMATS)}")
    if diff and (fix or format != "text"):
        other = "--fix" if fix else f"--format {format}"
        raise UsageError(f"--diff stands beside {other}\nexpected: one of the two")
    rules = choose_rules(select or (), ignore or ())
    settings = LintSettings(rules, read_labels(names, data), parse_dialect(dialect))
    report = _check(paths, settings, fix=fix, diff=diff)
    _print(report, format, fix=fix, diff=diff)
    if not report.files and report.unread:
        raise typer.Exit(int(ExitCode.USAGE))
    if not report.is_clean or (diff and report.mended):
        raise typer.Exit(int(ExitCode.FINDINGS))


def _explain(word: str) -> None:
    from yolo_gp.lint.choosing import find_rule
    from yolo_gp.lint.explanations import explanation_text
    from yolo_gp.lint.page import rules_page

    print(rules_page() if word == "all" else explanation_text(find_rule(word)), end="")


def _check(paths: list[str], settings: LintSettings, *, fix: bool, diff: bool) -> LintReport:
    """Check every file; one that cannot be read or written does not keep the others from it."""
    from yolo_gp.graph import read_content
    from yolo_gp.lint.report import LintReport, Unread, report_file

    files: list[FileReport] = []
    unread: list[Unread] = []
    left_out: list[str] = []
    for name, found in _find(paths):
        if isinstance(found, YoloGpError):
            unread.append(Unread(name, str(found)))
            continue
        try:
            content = read_content(found.path)
            report = report_file(content, found.shown, settings, fix=fix or diff)
            if found.by_folder and not report.is_darknet:
                left_out.append(found.shown)
                continue
            files.append(report)
            if fix and report.after != content:
                _rewrite(found, report.after)
        except (UsageError, DataError) as error:
            unread.append(Unread(found.shown, str(error)))
    return LintReport(tuple(files), tuple(unread), tuple(left_out))


def _rewrite(found: Found, content: bytes) -> None:
    from yolo_gp.files import rewrite

    if found.by_name:
        raise UsageError(
            f"{found.shown} is not yours to repair\nexpected: --fix with the path of a file"
        )
    rewrite(found.path, content)


def _find(paths: list[str]) -> Iterator[tuple[str, Found | YoloGpError]]:
    """The files that paths and names mean, each once; an error for a path that means none."""
    from yolo_gp.graph import read_content
    from yolo_gp.lint.choosing import Found, files_below

    seen: set[Path] = set()
    for path in dict.fromkeys(paths):
        try:
            if Path(path).is_dir():
                found = files_below(Path(path))
            elif Path(path).is_file():
                found = [Found(Path(path), path)]
            elif Path(path).parent != Path():
                read_content(Path(path))  # says why it cannot be read
                continue
            else:
                cfg = _known_cfg(path)
                found = [Found(cfg, str(cfg), by_name=True)]
        except YoloGpError as error:
            yield path, error
            continue
        for file in found:
            if file.path.resolve() not in seen:
                seen.add(file.path.resolve())
                yield file.shown, file


def _known_cfg(name: str) -> Path:
    """A cfg that comes with yolo-gp, or a pretrained model's."""
    from yolo_gp.cli.zoo_files import visible_cache
    from yolo_gp.zoo import find_cfg

    return find_cfg(name, visible_cache())


def _print(report: LintReport, format: str, *, fix: bool, diff: bool) -> None:
    from yolo_gp.lint.rendering import report_data, report_github, report_text

    for unread in report.unread:
        print(f"error: {unread.reason}", file=sys.stderr)
    if format == "json":
        print(json.dumps(report_data(report)))
    elif format == "sarif":
        from yolo_gp.lint.sarif import report_sarif

        print(json.dumps(report_sarif(report, __version__), indent=1))
    elif format == "github":
        print(report_github(report), end="")
    else:
        if fix or diff:
            _print_diffs(report)
        print(report_text(report), file=sys.stderr if diff else sys.stdout)


def _print_diffs(report: LintReport) -> None:
    from yolo_gp.lint.rendering import repair_diff

    sys.stdout.flush()
    for file in report.files:
        if file.after != file.before:
            sys.stdout.buffer.writelines(repair_diff(file))
    sys.stdout.flush()
