"""Typed reads from a section. Each read names the key, its default and its range, once.

A read that fails reports a diagnostic and returns the default (or the least legal value), so that
one run finds every mistake; `Options.failed` then says that the section's numbers are not to be
trusted.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from yolo_gp.errors import Diagnostics, Span, did_you_mean, shown
from yolo_gp.rules import Rule
from yolo_gp.syntax import Option, Section

N = TypeVar("N", int, float)

MAX_CHANNELS = 65_536
MAX_SIZE = 65_536
MAX_LIST = 10_000


@dataclass(frozen=True, slots=True)
class Reference:
    """A layer named in a cfg: negative counts back from the section, otherwise the written index.

    `span` is where it stands, for messages.
    """

    value: int
    span: Span


class Options:
    """The options of one section, read key by key; unread and repeated keys become diagnostics."""

    def __init__(self, section: Section, diagnostics: Diagnostics) -> None:
        self.kind = section.kind
        self.span = section.span
        self.failed = False
        self._diagnostics = diagnostics
        self._first: dict[str, Option] = {}
        self._asked: set[str] = set()
        for option in section.options:
            if option.key in self._first:
                self._report_repeat(option, self._first[option.key])
            else:
                self._first[option.key] = option

    def __contains__(self, key: str) -> bool:
        return key in self._first

    def span_of(self, key: str) -> Span:
        """Where the key's value stands; the section's header if the key is absent."""
        return self._first[key].value_span if key in self._first else self.span

    # -- reads ---------------------------------------------------------------------------------

    def integer(self, key: str, default: int, *, minimum: int = 0, maximum: int = MAX_SIZE) -> int:
        """An integer in minimum..maximum; `default` where the key is absent."""
        option = self._value_of(key)
        if option is None:
            return default
        value = self._to_int(key, option.value or "", option.value_span)
        return (
            default
            if value is None
            else self._in_range(key, value, minimum, maximum, option.value_span, default)
        )

    def required_integer(self, key: str, *, minimum: int = 0, maximum: int = MAX_SIZE) -> int:
        """Like `integer`, but an absent key is an error."""
        if key not in self._first:
            self._asked.add(key)
            self.missing(key, "an integer")
        return self.integer(key, max(minimum, 1), minimum=minimum, maximum=maximum)

    def number(
        self, key: str, default: float, *, minimum: float = -math.inf, maximum: float = math.inf
    ) -> float:
        """A finite float, rounded to float32 as Darknet stores it; `default` where absent."""
        option = self._value_of(key)
        if option is None:
            return default
        value = self._to_float(key, option.value or "", option.value_span)
        return (
            default
            if value is None
            else self._in_range(key, value, minimum, maximum, option.value_span, default)
        )

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch: any integer but 0 is on."""
        return self.integer(key, int(default), minimum=-(2**31), maximum=2**31 - 1) != 0

    def choice(self, key: str, default: str, names: Collection[str]) -> str:
        """One of `names`, compared exactly; `default` where the key is absent."""
        option = self._value_of(key)
        if option is None:
            return default
        self._warn_of_comment(option)
        value = option.value or ""
        if value in names:
            return value
        self._diagnostics.error(
            Rule.UNKNOWN_NAME,
            option.value_span,
            f"[{self.kind}] {key}={shown(value)} is no {key} that exists",
            expected="one of " + ", ".join(sorted(names)),
            help=did_you_mean(value, names),
        )
        return default

    def integers(
        self,
        key: str,
        *,
        minimum: int = -(2**31),
        maximum: int = 2**31 - 1,
        hash_ends_list: bool = False,
    ) -> list[tuple[int, Span]] | None:
        """A comma-separated list of integers with their positions; None where the key is absent.

        `hash_ends_list`: Darknet stops counting this list's commas at a `#`.
        """
        items = self._items(key, hash_ends_list)
        if items is None:
            return None
        values: list[tuple[int, Span]] = []
        for text, span in items:
            value = self._to_int(key, text, span)
            if value is not None:
                values.append((self._in_range(key, value, minimum, maximum, span, 0), span))
        return values

    def numbers(self, key: str, *, hash_ends_list: bool = False) -> list[float] | None:
        """A comma-separated list of floats; None where the key is absent.

        Numbers that only a blank separates are read as two, with a warning.
        """
        items = self._items(key, hash_ends_list)
        if items is None:
            return None
        values: list[float | None] = []
        for text, span in items:
            words = span.text.split() if text else [text]
            if len(words) > 1:
                self._diagnostics.warning(
                    Rule.MISSING_COMMA,
                    span,
                    f"no comma between {' and '.join(shown(w) for w in words)}; "
                    f"Darknet reads {shown(text)}",
                    help="put the comma in",
                )
            values.extend(self._to_float(key, word, span) for word in words)
        return [v for v in values if v is not None]

    def references(self, key: str) -> tuple[Reference, ...]:
        """A required list of layer references."""
        values = self.integers(key)
        if values is None:
            self.missing(key, "the layers to read, such as -1 (the previous one) or 12")
        return tuple(Reference(value, span) for value, span in values or ())

    def reference(self, key: str) -> Reference | None:
        """A single layer reference; None where the key is absent."""
        option = self._value_of(key)
        if option is None:
            return None
        value = self._to_int(key, option.value or "", option.value_span)
        return None if value is None else Reference(value, option.value_span)

    # -- reports -------------------------------------------------------------------------------

    def missing(self, key: str, expected: str) -> None:
        """Report that a required key is absent."""
        self.failed = True
        if key not in self._first:
            self._diagnostics.error(
                Rule.MISSING_KEY,
                self.span,
                f"[{self.kind}] has no {key}",
                expected=f"{key}={expected}",
            )

    def error(
        self,
        rule: Rule,
        key: str,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
    ) -> None:
        """Report an error at a key's value; the section's numbers count as unknown from here."""
        self.failed = True
        self._diagnostics.error(rule, self.span_of(key), message, expected=expected, help=help)

    def error_at(
        self,
        rule: Rule,
        span: Span,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
    ) -> None:
        """Like `error`, at a given position (an element of a list)."""
        self.failed = True
        self._diagnostics.error(rule, span, message, expected=expected, help=help)

    def warning(
        self,
        rule: Rule,
        key: str,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
    ) -> None:
        """Report a warning at a key's value, or at the header where the key is absent."""
        self._diagnostics.warning(rule, self.span_of(key), message, expected=expected, help=help)

    def unsupported(self, key: str, what: str) -> None:
        """Report, if the key is set to anything but 0, that its effect does not exist here."""
        if self.number(key, 0.0) != 0.0:
            self.error(
                Rule.UNSUPPORTED,
                key,
                f"[{self.kind}] {key}={self._first[key].value}: {what} is not supported",
                help=f"remove the line if the network was trained without {key}",
            )

    def finish(self, ignored: Mapping[str, str]) -> None:
        """Report what nobody read. `ignored` maps keys that may stand without effect to why."""
        known = self._asked | set(ignored)
        for key, option in self._first.items():
            if key in known:
                if option.value == "" and key not in self._asked:
                    self._diagnostics.warning(
                        Rule.EMPTY_VALUE,
                        option.key_span,
                        f"{key} has no value; Darknet drops the line",
                    )
            elif option.value is None:
                self._report_stray(option, known)
            else:
                self._diagnostics.warning(
                    Rule.UNKNOWN_KEY,
                    option.key_span,
                    f"[{self.kind}] does not know the key {shown(key)}; Darknet ignores it",
                    help=did_you_mean(key, known),
                )

    def _report_stray(self, option: Option, known: set[str]) -> None:
        text = option.value_span.source.line(option.value_span.line).strip()
        self._diagnostics.warning(
            Rule.NO_EQUALS,
            option.value_span,
            f"the line {shown(text)!r} has no =; Darknet ignores it",
            expected="key=value, [kind] or a comment that starts with #",
            help=did_you_mean(option.key, known),
        )

    def _report_repeat(self, option: Option, first: Option) -> None:
        self._diagnostics.warning(
            Rule.REPEATED_KEY,
            option.key_span,
            f"{option.key}={shown(option.value or '')} repeats the key of line "
            f"{first.key_span.line}; {option.key}={shown(first.value or '')} counts, as in Darknet",
            help=f"remove line {option.key_span.line} or line {first.key_span.line}",
        )

    # -- conversion ----------------------------------------------------------------------------

    def _value_of(self, key: str) -> Option | None:
        self._asked.add(key)
        option = self._first.get(key)
        if option is None:
            return None
        if option.value is None:
            self.error_at(
                Rule.NO_EQUALS,
                option.value_span,
                f"[{self.kind}] {key} stands without =, so Darknet ignores it",
                expected=f"{key}=value",
            )
            return None
        if option.value == "":
            self.error_at(
                Rule.EMPTY_VALUE,
                option.key_span,
                f"[{self.kind}] {key} has no value",
                expected=f"{key}=value",
                help="remove the line to get Darknet's default",
            )
            return None
        return option

    def _items(self, key: str, hash_ends_list: bool) -> list[tuple[str, Span]] | None:
        option = self._value_of(key)
        if option is None:
            return None
        if (
            option.comment
            and "," in option.comment
            and not (hash_ends_list and option.comment[0] == "#")
        ):
            self._warn_of_comment(option)
        items = option.items()
        if len(items) > MAX_LIST:
            self.error(
                Rule.TOO_LARGE,
                key,
                f"[{self.kind}] {key} lists {len(items)} values",
                expected=f"at most {MAX_LIST}",
            )
            return None
        if len(items) > 1 and items[-1][0] == "":
            self.error_at(
                Rule.BAD_NUMBER,
                option.value_span,
                f"[{self.kind}] {key} ends in a comma, which Darknet reads as one more element, 0",
                expected="values with one comma between two",
            )
            items.pop()
        return items

    def _warn_of_comment(self, option: Option) -> None:
        if option.comment:
            self._diagnostics.warning(
                Rule.INLINE_COMMENT,
                option.value_span,
                f"Darknet reads the comment {shown(option.comment)!r} as part of {option.key}",
                help="move the comment to a line of its own",
            )

    def _to_int(self, key: str, text: str, span: Span) -> int | None:
        if re.fullmatch(r"[+-]?[0-9]{1,12}", text):
            return int(text)
        reads = re.match(r"[+-]?[0-9]{1,12}", text)
        self._bad_number(key, text, span, "an integer", reads[0] if reads else "0")
        return None

    def _to_float(self, key: str, text: str, span: Span) -> float | None:
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text):
            value = float(text)
            if abs(value) < 3.4e38:
                return float(struct.unpack("f", struct.pack("f", value))[0])
        reads = re.match(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text)
        self._bad_number(key, text, span, "a number", reads[0] if reads else "0")
        return None

    def _bad_number(self, key: str, text: str, span: Span, expected: str, reads: str) -> None:
        self.error_at(
            Rule.BAD_NUMBER,
            span,
            f"[{self.kind}] {key}={shown(text)} is not {expected}; Darknet would read {reads[:20]}",
            expected=expected,
        )

    def _in_range(
        self, key: str, value: N, minimum: float, maximum: float, span: Span, fallback: N
    ) -> N:
        if minimum <= value <= maximum:
            return value
        if minimum == -math.inf or maximum in (math.inf, 2**31 - 1):
            bound = f"at least {minimum}" if value < minimum else f"at most {maximum}"
        else:
            bound = f"{minimum} to {maximum}"
        self.error_at(
            Rule.OUT_OF_RANGE, span, f"[{self.kind}] {key}={value} is out of range", expected=bound
        )
        return fallback
