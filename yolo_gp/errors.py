"""What can go wrong, as data first and text second: spans, diagnostics, exceptions, exit codes."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from yolo_gp.rules import Rule


class ExitCode(enum.IntEnum):
    """Exit codes of every `yolo-gp` command."""

    OK = 0
    FINDINGS = 1  # lint found something, or some of the inputs failed
    USAGE = 2
    CFG = 3
    WEIGHTS = 4
    DATA = 5


class Severity(enum.StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Source:
    """A text with a name; spans point into it.

    Fields:
        file: the name a message shows, normally the path as the user gave it.
        lines: the text's lines without their line ends.
    """

    file: str
    lines: tuple[str, ...]

    def line(self, number: int) -> str:
        """Line `number`, counted from 1; empty where the text has no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one line: line and column are counted from 1, columns in characters."""

    source: Source = field(repr=False, compare=False)
    line: int
    column: int
    length: int = 1

    @property
    def file(self) -> str:
        return self.source.file

    @property
    def text(self) -> str:
        """The text that the span covers."""
        return self.source.line(self.line)[self.column - 1 : self.column - 1 + self.length]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding in a cfg: what is wrong, where, what was expected, how to mend it."""

    rule: Rule
    severity: Severity
    span: Span
    message: str
    expected: str | None = None
    help: str | None = None

    def render(self) -> str:
        """The full text: position, message and rule code, the source line, expected, help."""
        head = f"{self.span}: {self.severity}: {self.message} [{self.rule.code}]"
        parts = [head, *_excerpt(self.span)]
        if self.expected:
            parts.append(f"expected: {self.expected}")
        if self.help:
            parts.append(f"help: {self.help}")
        return "\n".join(parts)


_EXCERPT_WIDTH = 160


def _excerpt(span: Span) -> list[str]:
    """The source line with a caret under the span, as two lines; nothing for an empty line."""
    text = span.source.line(span.line).replace("\t", " ")
    if not text.strip():
        return []
    start = max(0, span.column - _EXCERPT_WIDTH // 2) if len(text) > _EXCERPT_WIDTH else 0
    shown = "".join(c if c.isprintable() else "?" for c in text[start : start + _EXCERPT_WIDTH])
    gutter = f"{span.line:>5} | "
    length = max(1, min(span.length, len(shown) - (span.column - 1 - start)))
    caret = " " * (5 + 1) + "| " + " " * (span.column - 1 - start) + "^" * length
    return [(gutter + shown).rstrip(), caret]


class Diagnostics:
    """Gathers the findings of one compilation, in the order they are found.

    At most `limit` of each severity are kept, so that a file of garbage costs neither memory nor
    a thousand lines on the screen; `dropped` counts the rest.
    """

    def __init__(self, limit: int = 100) -> None:
        self._kept: dict[Severity, list[Diagnostic]] = {severity: [] for severity in Severity}
        self._limit = limit
        self.dropped = 0

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted())

    def __len__(self) -> int:
        return sum(len(kept) for kept in self._kept.values())

    def drops(self, severity: Severity) -> bool:
        """Count a finding that would not be kept, and spare the caller the work of phrasing it."""
        if len(self._kept[severity]) < self._limit:
            return False
        self.dropped += 1
        return True

    def add(self, diagnostic: Diagnostic) -> None:
        kept = self._kept[diagnostic.severity]
        if len(kept) < self._limit:
            kept.append(diagnostic)
        else:
            self.dropped += 1

    def error(
        self,
        rule: Rule,
        span: Span,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
    ) -> None:
        self.add(Diagnostic(rule, Severity.ERROR, span, message, expected, help))

    def warning(
        self,
        rule: Rule,
        span: Span,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
    ) -> None:
        self.add(Diagnostic(rule, Severity.WARNING, span, message, expected, help))

    def sorted(self) -> list[Diagnostic]:
        """All findings by position in the file."""
        return _by_position(itertools.chain(*self._kept.values()))

    @property
    def errors(self) -> list[Diagnostic]:
        return _by_position(self._kept[Severity.ERROR])

    @property
    def warnings(self) -> list[Diagnostic]:
        return _by_position(self._kept[Severity.WARNING])

    def raise_errors(self, *, strict: bool = False) -> None:
        """Raise if there is an error, or, when `strict`, any finding at all.

        Raises:
            CfgError: carries every finding, warnings too.
        """
        if self._kept[Severity.ERROR] or (strict and len(self)):
            raise CfgError(self.sorted(), dropped=self.dropped)


def _by_position(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    return sorted(found, key=lambda d: (d.span.file, d.span.line, d.span.column))


def shown(text: str) -> str:
    """A piece of the user's text, short and printable, for a message."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:41])
    return clean if len(clean) <= 40 else clean[:37] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A suggestion for a misspelt word, phrased as help, or None if nothing is close."""
    if len(word) > 60:
        return None
    by_lower = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.65)
    return f"did you mean {by_lower[matches[0]]}?" if matches else None


class YoloGpError(Exception):
    """Every error that is the input's fault. The command line prints it without a traceback."""

    exit_code: ExitCode = ExitCode.FINDINGS


class UsageError(YoloGpError):
    """A flag or an argument that cannot be served."""

    exit_code = ExitCode.USAGE


class CfgError(YoloGpError):
    """A cfg that describes no network; `diagnostics` holds all that was found, in file order."""

    exit_code = ExitCode.CFG

    def __init__(self, diagnostics: list[Diagnostic], *, dropped: int = 0) -> None:
        self.diagnostics = diagnostics
        text = "\n\n".join(d.render() for d in diagnostics)
        if dropped:
            text += f"\n\n... and {dropped} more"
        super().__init__(text)


class WeightsError(YoloGpError):
    """Weights that are missing, damaged, or made for another network."""

    exit_code = ExitCode.WEIGHTS


class DataError(YoloGpError):
    """An image, a video, a list of names or another input file that cannot be used."""

    exit_code = ExitCode.DATA
