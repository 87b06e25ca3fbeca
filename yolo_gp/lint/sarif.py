"""A run's findings in SARIF 2.1.0, the OASIS standard for what static analysis finds."""

from __future__ import annotations

from pathlib import Path, PurePath
from urllib.parse import quote

from yolo_gp.errors import Diagnostic, Severity, Span
from yolo_gp.lint.explanations import EXPLANATIONS
from yolo_gp.lint.fixes import Fix
from yolo_gp.lint.report import FileReport, LintReport
from yolo_gp.rules import Rule

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_RULES = sorted(Rule, key=lambda rule: rule.code)
_INDEX = {rule: index for index, rule in enumerate(_RULES)}


def report_sarif(report: LintReport, version: str) -> dict[str, object]:
    """The report as a SARIF log with one run.

    Args:
        version: of this program.
    """
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(version)},
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(report)],
                "artifacts": [{"location": _location(file.file)} for file in report.files],
                "results": [
                    _result(finding, fix, index, file)
                    for index, file in enumerate(report.files)
                    for finding, fix in zip(file.findings, file.fixes, strict=True)
                ],
            }
        ],
    }


def _driver(version: str) -> dict[str, object]:
    return {
        "name": "yolo-gp lint",
        "version": version,
        "rules": [
            {
                "id": rule.code,
                "name": "".join(word.capitalize() for word in rule.name.split("_")),
                "shortDescription": {"text": rule.summary},
                "fullDescription": {"text": EXPLANATIONS[rule]},
            }
            for rule in _RULES
        ],
    }


def _invocation(report: LintReport) -> dict[str, object]:
    notes = [
        {
            "level": "error",
            "message": {"text": unread.reason},
            "locations": [{"physicalLocation": {"artifactLocation": _location(unread.file)}}],
        }
        for unread in report.unread
    ]
    return {"executionSuccessful": not notes, "toolExecutionNotifications": notes}


def _location(file: str) -> dict[str, object]:
    """A file as a URI: relative as it was given, or absolute."""
    path = Path(file)
    return {"uri": path.as_uri() if path.is_absolute() else quote(PurePath(file).as_posix())}


def _result(
    finding: Diagnostic, fix: Fix | None, index: int, file: FileReport
) -> dict[str, object]:
    text = finding.message
    text += f"\nexpected: {finding.expected}" if finding.expected else ""
    text += f"\nhelp: {finding.help}" if finding.help else ""
    place = {
        "artifactLocation": {**_location(file.file), "index": index},
        "region": _region(finding.span),
    }
    result: dict[str, object] = {
        "ruleId": finding.rule.code,
        "ruleIndex": _INDEX[finding.rule],
        "level": "error" if finding.severity is Severity.ERROR else "warning",
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }
    if fix is not None:
        result["fixes"] = [_fix(fix, file.file)]
    return result


def _region(span: Span) -> dict[str, object]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endColumn": span.column + span.length,
    }


def _fix(fix: Fix, file: str) -> dict[str, object]:
    replacements = [{"deletedRegion": _region(fix.span), "insertedContent": {"text": fix.text}}]
    if fix.above is not None:
        start = {"startLine": fix.span.line, "startColumn": 1, "endColumn": 1}
        replacements.insert(
            0, {"deletedRegion": start, "insertedContent": {"text": fix.above + "\n"}}
        )
    return {
        "description": {"text": "what `yolo-gp lint --fix` does"},
        "artifactChanges": [{"artifactLocation": _location(file), "replacements": replacements}],
    }
