"""A run's findings as text, as JSON and as GitHub's workflow commands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from yolo_gp.errors import Diagnostic, Severity
from yolo_gp.lint.report import FileReport, LintReport

SCHEMA_VERSION = 1

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def report_text(report: LintReport) -> str:
    """Every finding with its line of the cfg, and a line that counts them."""
    parts = []
    for file in report.files:
        parts += [finding.render() for finding in file.findings]
        if file.dropped:
            parts.append(f"{file.file}: ... and {file.dropped} more")
    return "\n\n".join([*parts, _summary(report)])


def _summary(report: LintReport) -> str:
    files = f"{len(report.files)} file{'s' * (len(report.files) != 1)}"
    errors, warnings = report.count(Severity.ERROR), report.count(Severity.WARNING)
    if errors or warnings:
        counts = ", ".join(
            f"{count} {what}{'s' * (count > 1)}"
            for count, what in ((errors, "error"), (warnings, "warning"))
            if count
        )
        parts = [f"{counts} in {sum(bool(f.findings) for f in report.files)} of {files}"]
    else:
        parts = [f"{files}, no findings"]
    if report.mended:
        parts.append(f"{report.mended} repaired")
    if report.fixable:
        parts.append(f"{report.fixable} can be repaired with --fix")
    if report.silenced:
        parts.append(f"{report.silenced} silenced")
    if report.unread:
        count = len(report.unread)
        parts.append(f"{count} that {'is' if count == 1 else 'are'} not readable")
    if report.left_out:
        count = len(report.left_out)
        parts.append(f"{count} file{'s' * (count > 1)} without a Darknet section left out")
    return "; ".join(parts)


# -- JSON ------------------------------------------------------------------------------------------


def report_data(report: LintReport) -> dict[str, object]:
    """The report as one JSON object; positions are counted from 1, columns in characters."""
    return {
        "schema_version": SCHEMA_VERSION,
        "files": [_file_data(file) for file in report.files],
        "unread": [{"file": unread.file, "reason": unread.reason} for unread in report.unread],
        "left_out": list(report.left_out),
        "errors": report.count(Severity.ERROR),
        "warnings": report.count(Severity.WARNING),
        "silenced": report.silenced,
        "mended": report.mended,
    }


def _file_data(file: FileReport) -> dict[str, object]:
    return {
        "file": file.file,
        "findings": [
            {**_finding_data(finding), "fixable": fix is not None}
            for finding, fix in zip(file.findings, file.fixes, strict=True)
        ],
        "mended": [_finding_data(finding) for finding in file.mended],
        "silenced": file.silenced,
        "dropped": file.dropped,
    }


def _finding_data(finding: Diagnostic) -> dict[str, object]:
    span = finding.span
    return {
        "code": finding.rule.code,
        "rule": finding.rule.name.lower(),
        "severity": finding.severity.value,
        "line": span.line,
        "column": span.column,
        "end_column": span.column + span.length,
        "message": finding.message,
        "expected": finding.expected,
        "help": finding.help,
    }


# -- GitHub ----------------------------------------------------------------------------------------


def report_github(report: LintReport) -> str:
    """A workflow command for each finding, which GitHub shows beside the line it is about."""
    lines = [_command(finding) for file in report.files for finding in file.findings]
    lines += [
        f"::error file={_property(unread.file)},title=unread::{_message(unread.reason)}"
        for unread in report.unread
    ]
    return "".join(f"{line}\n" for line in lines)


def _command(finding: Diagnostic) -> str:
    span = finding.span
    text = finding.message
    text += f"\nexpected: {finding.expected}" if finding.expected else ""
    text += f"\nhelp: {finding.help}" if finding.help else ""
    return (
        f"::{_COMMANDS[finding.severity]} file={_property(span.file)},line={span.line},"
        f"col={span.column},endColumn={span.column + span.length},"
        f"title={_property(finding.rule.code)}::{_message(text)}"
    )


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


# -- diffs -----------------------------------------------------------------------------------------


def repair_diff(file: FileReport) -> Iterator[bytes]:
    """What the repairs change, as a unified diff; in bytes, as a comment may be no text."""
    name = file.file.encode(errors="surrogateescape")
    old, new = (re.findall(rb"[^\n]*\n|[^\n]+", text) for text in (file.before, file.after))
    for line in difflib.diff_bytes(difflib.unified_diff, old, new, name, name + b" (repaired)"):
        yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
