"""The text of a value turned into what it stands for; what cannot be is reported."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeVar

from yolo_gp.errors import Diagnostics, Span, shown
from yolo_gp.numerals import (
    LARGEST_FLOAT,
    as_darknet_reads,
    blank_separated,
    format_bound,
    parse_integer,
    parse_number,
)
from yolo_gp.rules import Rule
from yolo_gp.syntax import Option

N = TypeVar("N", int, float)

NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
MAX_LIST = 10_000


@dataclass(frozen=True, slots=True)
class Reference:
    """A layer that a section reads.

    Fields:
        value: negative counts back from the section, otherwise the written number. Inside a
            macro's expansion it counts back over the expansion's layers.
        span: where it stands, for messages.
        name: the `name=` of the section meant; then `value` means nothing.
    """

    value: int
    span: Span
    name: str | None = None

    def __str__(self) -> str:
        return str(self.value) if self.name is None else f"@{self.name}"


class Values:
    """The values of one section.

    Fields:
        failed: something was reported, so that the section's numbers are not to be trusted.
        doubted: the keys concerned.
    """

    def __init__(self, kind: str, diagnostics: Diagnostics) -> None:
        self.failed = False
        self.doubted: set[str] = set()
        self._kind = kind
        self._diagnostics = diagnostics

    def error(
        self,
        rule: Rule,
        span: Span,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
    ) -> None:
        """Report an error; the section's numbers count as unknown from here."""
        self.failed = True
        self._diagnostics.error(rule, span, message, expected=expected, help=help)

    def to_integer(self, key: str, text: str, span: Span) -> int | None:
        value = parse_integer(text)
        if value is None:
            self._bad_number(key, text, span, whole=True)
        return value

    def to_number(self, key: str, text: str, span: Span) -> float | None:
        value = parse_number(text)
        if value is None:
            self._bad_number(key, text, span, whole=False)
            return None
        return self.in_range(key, value, -LARGEST_FLOAT, LARGEST_FLOAT, span)

    def to_reference(self, key: str, text: str, span: Span) -> Reference | None:
        if text.startswith("@"):
            if re.fullmatch(NAME, text[1:]):
                return Reference(0, span, name=text[1:])
            self.error(
                Rule.BAD_REFERENCE,
                span,
                f"[{self._kind}] {key}={shown(text)} is no reference",
                expected="a layer's number, or @ and the name= of a section",
            )
            return None
        value = self.to_integer(key, text, span)
        return None if value is None else Reference(value, span)

    def in_range(self, key: str, value: N, minimum: float, maximum: float, span: Span) -> N | None:
        """The value; None, and an error at `span`, if it is out of minimum..maximum."""
        if minimum <= value <= maximum:
            return value
        self.doubted.add(key)
        if minimum == -math.inf or maximum in (math.inf, 2**31 - 1):
            bound = f"at least {minimum}" if value < minimum else f"at most {maximum}"
        else:
            bound = f"{format_bound(minimum)} to {format_bound(maximum)}"
        self.error(
            Rule.OUT_OF_RANGE,
            span,
            f"[{self._kind}] {key}={shown(span.text)} is out of range",
            expected=bound,
        )
        return None

    def items(self, option: Option, *, hash_ends_list: bool) -> list[tuple[str, Span]] | None:
        """The elements of a list with their positions; None if there are too many."""
        comment = option.comment.text if option.comment else ""
        if "," in comment and not (hash_ends_list and comment[0] == "#"):
            self.warn_of_comment(option)
        count = len(re.findall(r"[\s,]+", option.value_span.text)) + 1
        if max(count, (option.value or "").count(",") + 1) > MAX_LIST:
            self.doubted.add(option.key)
            self.error(
                Rule.TOO_LARGE,
                option.value_span,
                f"[{self._kind}] {option.key} lists {count} values",
                expected=f"at most {MAX_LIST}",
            )
            return None
        items = option.items()
        if len(items) > 1 and items[-1][0] == "":
            self._report_last_comma(option)
            items.pop()
        return [word for item in items for word in self._words(*item)]

    def warn_of_comment(self, option: Option) -> None:
        """Report a comment behind a value that Darknet would read as part of it."""
        if option.comment:
            self._diagnostics.warning(
                Rule.INLINE_COMMENT,
                option.comment,
                f"Darknet reads the comment {shown(option.comment.text)!r} as part of {option.key}",
                help="move the comment to a line of its own",
            )

    def _report_last_comma(self, option: Option) -> None:
        self.doubted.add(option.key)
        whole = option.value_span
        self.error(
            Rule.BAD_NUMBER,
            Span(whole.source, whole.line, whole.column + whole.length - 1),
            f"[{self._kind}] {option.key} ends in a comma, which Darknet reads as one more "
            "element, 0",
            expected="values with one comma between two",
        )

    def _words(self, text: str, span: Span) -> list[tuple[str, Span]]:
        words = blank_separated(text, span)
        if len(words) > 1:
            self._diagnostics.warning(
                Rule.MISSING_COMMA,
                span,
                f"no comma between {shown(words[0][0])} and {shown(words[1][0])}; "
                f"Darknet reads {shown(text)}",
                help="put the comma in",
            )
        return words

    def _bad_number(self, key: str, text: str, span: Span, *, whole: bool) -> None:
        self.doubted.add(key)
        expected = "an integer" if whole else "a number"
        wrong = f"={shown(text)} is not {expected}" if text else " has nothing between two commas"
        reads = as_darknet_reads(text, whole=whole)
        self.error(
            Rule.BAD_NUMBER,
            span,
            f"[{self._kind}] {key}{wrong}; Darknet would read {reads}",
            expected=expected,
        )
