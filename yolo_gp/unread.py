"""Findings about lines of a section that no layer reads."""

from __future__ import annotations

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Diagnostics, Severity, did_you_mean, shown
from yolo_gp.rules import Rule
from yolo_gp.syntax import Option


def report_unknown_key(
    diagnostics: Diagnostics, kind: str, option: Option, known: set[str], *, ours: bool
) -> None:
    """A key that the section does not know: an error in sections of our own, else a warning."""
    if diagnostics.drops(Severity.ERROR if ours else Severity.WARNING):
        return
    message = f"[{kind}] does not know the key {shown(option.key)}"
    suggestion = did_you_mean(option.key, known)
    if ours:
        expected = "one of " + ", ".join(sorted(known))
        diagnostics.error(
            Rule.UNKNOWN_KEY, option.key_span, message, expected=expected, help=suggestion
        )
    else:
        message += "; Darknet ignores it"
        diagnostics.warning(Rule.UNKNOWN_KEY, option.key_span, message, help=suggestion)


def report_stray_line(diagnostics: Diagnostics, option: Option, known: set[str]) -> None:
    """A line without `=`."""
    if diagnostics.drops(Severity.WARNING):
        return
    text = option.value_span.source.line(option.value_span.line).strip()
    is_known = option.key in known
    diagnostics.warning(
        Rule.NO_EQUALS,
        option.value_span,
        f"the line {shown(text)!r} has no =; Darknet ignores it",
        expected="key=value, [kind] or a comment that starts with #",
        help=f"write {option.key}=value" if is_known else did_you_mean(option.key, known),
    )


def report_empty_value(diagnostics: Diagnostics, option: Option) -> None:
    """A key with nothing behind its `=`, which no layer reads anyway."""
    diagnostics.warning(
        Rule.EMPTY_VALUE,
        option.key_span,
        f"{option.key} has no value; Darknet drops the line",
    )


def report_repeated_key(
    diagnostics: Diagnostics, option: Option, first: Option, counting: Option, dialect: Dialect
) -> None:
    """A key that stands twice; `counting` is the one of the two that counts."""
    if diagnostics.drops(Severity.WARNING):
        return
    diagnostics.warning(
        Rule.REPEATED_KEY,
        option.key_span,
        f"{shown(option.key)}={shown(option.value or '')} repeats the key of line "
        f"{first.key_span.line}; {shown(option.key)}={shown(counting.value or '')} counts, "
        f"as in {dialect.code}",
        help=f"remove line {option.key_span.line} or line {first.key_span.line}",
    )
