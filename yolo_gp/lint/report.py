"""What a run of `lint` found in all its files."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_gp.errors import Diagnostic, Severity
from yolo_gp.lint.fixes import Fix, fix_content, fixes_of
from yolo_gp.lint.linting import Linted, LintSettings, lint_content


@dataclass(frozen=True, slots=True)
class FileReport:
    """One cfg.

    Fields:
        file: its name as messages show it.
        findings: what is wrong with it, by position; after repairs, what is left.
        fixes: for each finding its repair, None where there is none.
        silenced: findings that comments in it silence.
        dropped: findings beyond what is kept.
        mended: what was repaired.
        before, after: its content; the same without repairs.
        is_darknet: it holds at least one section of Darknet's or ours.
    """

    file: str
    findings: tuple[Diagnostic, ...]
    fixes: tuple[Fix | None, ...]
    silenced: int
    dropped: int
    mended: tuple[Diagnostic, ...]
    before: bytes
    after: bytes
    is_darknet: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be read or written, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class LintReport:
    """All files of a run.

    Fields:
        files: those that were checked, in order.
        unread: those that were not.
        left_out: files found in folders that are no cfg of Darknet's.
    """

    files: tuple[FileReport, ...]
    unread: tuple[Unread, ...] = ()
    left_out: tuple[str, ...] = ()

    def count(self, severity: Severity) -> int:
        return sum(f.severity is severity for file in self.files for f in file.findings)

    @property
    def fixable(self) -> int:
        """Findings that can be repaired."""
        return sum(fix is not None for file in self.files for fix in file.fixes)

    @property
    def mended(self) -> int:
        return sum(len(file.mended) for file in self.files)

    @property
    def silenced(self) -> int:
        return sum(file.silenced for file in self.files)

    @property
    def is_clean(self) -> bool:
        """Nothing was found, and every file could be read."""
        return not self.unread and not any(file.findings for file in self.files)


def report_file(content: bytes, file: str, settings: LintSettings, *, fix: bool) -> FileReport:
    """Check one cfg, and repair a copy of it if `fix`."""
    if not fix:
        return _report(content, content, file, lint_content(content, file, settings), ())
    fixed = fix_content(content, file, settings)
    return _report(content, fixed.content, file, fixed.linted, fixed.mended)


def _report(
    before: bytes, after: bytes, file: str, linted: Linted, mended: tuple[Diagnostic, ...]
) -> FileReport:
    fixes = dict(fixes_of(linted))
    return FileReport(
        file=file,
        findings=linted.findings,
        fixes=tuple(fixes.get(finding) for finding in linted.findings),
        silenced=linted.silenced,
        dropped=linted.dropped,
        mended=mended,
        before=before,
        after=after,
        is_darknet=linted.is_darknet,
    )
