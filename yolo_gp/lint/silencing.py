"""Comments that silence a finding on one line: `# lint: ignore YG408`.

The comment stands on a line of its own before the line in question, or behind the value on that
line itself. More codes follow with a blank or a comma between them; text behind the last one is
the reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from yolo_gp.errors import Diagnostic, Source, Span, did_you_mean, shown
from yolo_gp.lint.subject import warning
from yolo_gp.rules import Rule

_COMMENT = re.compile(r"[#;]+\s*lint\s*:(?P<order>.*)")
_IGNORE = re.compile(r"\s*ignore\b")
_CODE = re.compile(r"[\s,]*(?P<code>YG[0-9]+)\b", re.IGNORECASE)
_RULES = {rule.code: rule for rule in Rule}
_OF_SILENCING = (Rule.UNUSED_SILENCE, Rule.UNKNOWN_SILENCE)


@dataclass(frozen=True, slots=True)
class Silence:
    """One code in a comment.

    Fields:
        rule: what it silences.
        span: where the code stands.
        lines: the first and the last line that it concerns.
    """

    rule: Rule
    span: Span
    lines: tuple[int, int]

    def covers(self, finding: Diagnostic) -> bool:
        first, last = self.lines
        return finding.rule is self.rule and first <= finding.span.line <= last


@dataclass(frozen=True, slots=True)
class Silences:
    """Every `lint:` comment of a cfg; `wrong` are findings about those that say nothing."""

    silences: tuple[Silence, ...]
    wrong: tuple[Diagnostic, ...]

    @classmethod
    def read(cls, source: Source) -> Silences:
        silences: list[Silence] = []
        wrong: list[Diagnostic] = []
        for number, line in enumerate(source.lines, start=1):
            comment = _COMMENT.search(line)
            if comment is None:
                continue
            own_line = not line[: comment.start()].strip()
            last = _next_content(source, number) if own_line else number
            for item in _read_order(source, number, comment):
                if isinstance(item, Diagnostic):
                    wrong.append(item)
                else:
                    silences.append(Silence(*item, lines=(number, last)))
        return cls(tuple(silences), tuple(wrong))

    def apply(self, found: Sequence[Diagnostic]) -> tuple[list[Diagnostic], frozenset[Silence]]:
        """The findings that stay, and the silences that took one away."""
        used = {s for finding in found for s in self.silences if s.covers(finding)}
        kept = [f for f in found if not any(s.covers(f) for s in self.silences)]
        return kept, frozenset(used)


def _next_content(source: Source, number: int) -> int:
    """The next line that is neither blank nor a comment; the last line if there is none."""
    for after in range(number + 1, len(source.lines) + 1):
        text = source.line(after).strip()
        if text and text[0] not in "#;":
            return after
    return len(source.lines)


def _read_order(
    source: Source, number: int, comment: re.Match[str]
) -> Iterator[tuple[Rule, Span] | Diagnostic]:
    """Each code with its position, or what is wrong with the comment."""
    start = comment.start("order")
    order = comment["order"]
    whole = Span(source, number, comment.start() + 1, len(comment[0].rstrip()))
    ignore = _IGNORE.match(order)
    code = _CODE.match(order, ignore.end()) if ignore else None
    if code is None:
        yield warning(
            Rule.UNKNOWN_SILENCE,
            whole,
            f"the comment {shown(comment[0].strip())!r} silences nothing",
            expected="# lint: ignore and a code, such as YG408",
        )
    while code is not None:
        span = Span(source, number, start + code.start("code") + 1, len(code["code"]))
        rule = _RULES.get(code["code"].upper())
        yield (
            (rule, span)
            if rule
            else warning(
                Rule.UNKNOWN_SILENCE,
                span,
                f"there is no rule {code['code']}",
                expected="a code that `yolo-gp lint --explain all` lists",
                help=did_you_mean(code["code"], _RULES),
            )
        )
        code = _CODE.match(order, code.end())


def silence_findings(
    silences: Silences, used: Collection[Silence], rules: Collection[Rule]
) -> Iterator[Diagnostic]:
    """Comments that say nothing, and codes that silence nothing though `rules` look for them."""
    yield from silences.wrong
    for silence in silences.silences:
        if silence in used or silence.rule not in rules or silence.rule in _OF_SILENCING:
            continue
        first, last = silence.lines
        where = f"on line {last}" if first == last else f"up to line {last}"
        yield warning(
            Rule.UNUSED_SILENCE,
            silence.span,
            f"there is no {silence.rule.code} to silence {where}",
            help="remove the code, or put it right before the line that has the finding",
        )
