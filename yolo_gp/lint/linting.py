"""All findings of one cfg: what the compiler says, what the rules say, less what is silenced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Diagnostic, Diagnostics, Severity
from yolo_gp.graph import Graph, build_graph
from yolo_gp.layers import LAYERS, UNSUPPORTED
from yolo_gp.lint.labels import Labels
from yolo_gp.lint.silencing import Silences, silence_findings
from yolo_gp.lint.subject import Compiled, Subject
from yolo_gp.lint.table import GRAPH_CHECKS, SPEC_CHECKS
from yolo_gp.macros import MACROS
from yolo_gp.rules import Rule
from yolo_gp.spec import NetworkSpec, specify
from yolo_gp.syntax import CfgFile, parse_cfg

S = TypeVar("S", bound=Subject)

_MOST = 1000  # findings of each severity in one file


@dataclass(frozen=True, slots=True)
class LintSettings:
    """What to look for.

    Fields:
        rules: those whose findings count.
        labels: the classes that the cfg should have.
        dialect: the one to read the cfg in, whatever it says itself.
    """

    rules: frozenset[Rule] = frozenset(Rule)
    labels: Labels = field(default_factory=Labels)
    dialect: Dialect | None = None


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found in one cfg.

    Fields:
        cfg: its text.
        spec: its sections, typed; None if it does not start with [net].
        graph: None if it does not compile.
        findings: by position; those that the file silences are left out.
        silenced: how many these are.
        dropped: findings beyond what is kept, of a file that is all wrong.
    """

    cfg: CfgFile
    spec: NetworkSpec | None
    graph: Graph | None
    findings: tuple[Diagnostic, ...]
    silenced: int
    dropped: int

    @property
    def is_darknet(self) -> bool:
        """Whether any section is of a kind that some Darknet, or we, know."""
        known = {"net", "network", *LAYERS, *MACROS, *UNSUPPORTED}
        return any(section.kind in known for section in self.cfg.sections)


def lint_content(content: bytes, file: str, settings: LintSettings) -> Linted:
    """Check a cfg; `file` is the name that findings show."""
    found = Diagnostics(limit=_MOST)
    cfg = parse_cfg(content, file, found)
    spec = specify(cfg, found, settings.dialect)
    graph = build_graph(spec, found) if spec else None
    if spec and not _net_is_wrong(cfg, found):
        _run(SPEC_CHECKS, Subject(cfg, spec, settings.labels), found)
        if graph:
            _run(GRAPH_CHECKS, Compiled(cfg, spec, settings.labels, graph), found)
    silences = Silences.read(cfg.source)
    kept = [finding for finding in found if finding.rule in settings.rules]
    shown, used = silences.apply(kept)
    silenced = len(kept) - len(shown)
    shown += [
        finding
        for finding in silence_findings(silences, used, settings.rules)
        if finding.rule in settings.rules
    ]
    shown.sort(key=lambda finding: (finding.span.line, finding.span.column, finding.rule.code))
    return Linted(cfg, spec, graph, tuple(shown), silenced, found.dropped)


def _run(
    checks: Iterable[Callable[[S], Iterable[Diagnostic]]], subject: S, found: Diagnostics
) -> None:
    for check in checks:
        for finding in check(subject):
            found.add(finding)


def _net_is_wrong(cfg: CfgFile, found: Diagnostics) -> bool:
    """Whether [net] is absent or an error stands in it, so that its values are not the author's."""
    if cfg.sections[0].kind not in ("net", "network"):
        return True
    end = cfg.sections[1].span.line if len(cfg.sections) > 1 else len(cfg.source.lines) + 1
    return any(finding.severity is Severity.ERROR and finding.span.line < end for finding in found)
