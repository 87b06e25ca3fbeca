"""Typed reads from a section. Each read names the key, its default and its range, once.

A read that fails reports a diagnostic and returns the default (or the least legal value), so that
one run finds every mistake; `Options.failed` then says that the section's numbers are not to be
trusted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Diagnostics, Span, did_you_mean, shown
from yolo_gp.reads import Default, KeyRead, ReadLog, ValueType, chosen_from
from yolo_gp.rules import Rule
from yolo_gp.syntax import Option, Section
from yolo_gp.unread import (
    report_empty_value,
    report_repeated_key,
    report_stray_line,
    report_unknown_key,
)
from yolo_gp.values import NAME, Reference, Values

__all__ = ["MAX_CHANNELS", "MAX_SIZE", "Options", "Reference"]

MAX_CHANNELS = 65_536
MAX_SIZE = 65_536


class Options:
    """The options of one section, read key by key; unread and repeated keys become diagnostics.

    Args:
        log: where every read is noted, if anybody wants to know.
        dialect: the one that the file is read in; it says which of two equal keys counts.
    """

    def __init__(
        self,
        section: Section,
        diagnostics: Diagnostics,
        log: ReadLog | None = None,
        *,
        dialect: Dialect = Dialect.DARKNET,
    ) -> None:
        self.kind = section.kind
        self.span = section.span
        self._values = Values(section.kind, diagnostics)
        self._diagnostics = diagnostics
        self._log = log
        self.dialect = dialect
        # The first of each key; where the dialect says so, the last.
        self._first: dict[str, Option] = {}
        self._asked: set[str] = set()
        self._extra: list[Option] = []  # lines beside the first of their key that nobody reads
        self._has_damage = False
        for option in section.options:
            self._enter(option)

    def _enter(self, option: Option) -> None:
        first = self._first.setdefault(option.key, option)
        if option.damaged:
            self._values.failed = self._has_damage = True
        elif first is option:
            return
        elif first.value and option.value is not None:
            if option.value and self.dialect.last_key_counts:
                self._first[option.key] = option
            report_repeated_key(
                self._diagnostics, option, first, self._first[option.key], self.dialect
            )
        else:
            self._extra.append(option)

    @property
    def failed(self) -> bool:
        """Whether an error was reported, so that the section's numbers are not to be trusted."""
        return self._values.failed

    def __contains__(self, key: str) -> bool:
        return key in self._first

    def trusts(self, *keys: str) -> bool:
        """Whether all these keys were read without an error, so that they can be compared."""
        return not self._values.doubted & set(keys)

    def span_of(self, key: str) -> Span:
        """Where the key's value stands; the section's header if the key is absent."""
        return self._first[key].value_span if key in self._first else self.span

    def is_numeric(self, key: str) -> bool:
        """Whether the key is there and its value starts like a number."""
        value = self._first[key].value if key in self._first else None
        return bool(value) and re.match(r"[0-9+,.-]", value or "") is not None

    def key_span_of(self, key: str) -> Span:
        """Where the key itself stands; asking marks it as known."""
        self._asked.add(key)
        return self._first[key].key_span if key in self._first else self.span

    def note(
        self,
        key: str,
        type: ValueType,
        default: Default = None,
        *,
        minimum: float = -math.inf,
        maximum: float = math.inf,
        names: Collection[str] = (),
        what: str = "",
    ) -> None:
        """Tell the log of a read. The reads below do so; a way of reading of its own has to."""
        if self._log is not None:
            choices = chosen_from(names)
            self._log.reads.append(KeyRead(key, type, default, minimum, maximum, choices, what))

    # -- reads ---------------------------------------------------------------------------------

    def integer(self, key: str, default: int, *, minimum: int = 0, maximum: int = MAX_SIZE) -> int:
        """An integer in minimum..maximum; `default` where the key is absent."""
        self.note(key, "integer", default, minimum=minimum, maximum=maximum)
        option = self._value_of(key)
        if option is None:
            return default
        value = self._values.to_integer(key, option.value or "", option.value_span)
        if value is not None:
            value = self._values.in_range(key, value, minimum, maximum, option.value_span)
        return default if value is None else value

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
        self.note(key, "number", default, minimum=minimum, maximum=maximum)
        option = self._value_of(key)
        if option is None:
            return default
        value = self._values.to_number(key, option.value or "", option.value_span)
        if value is not None:
            value = self._values.in_range(key, value, minimum, maximum, option.value_span)
        return default if value is None else value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch: any integer but 0 is on."""
        self.note(key, "flag", int(default))
        return self.integer(key, int(default), minimum=-(2**31), maximum=2**31 - 1) != 0

    def choice(self, key: str, default: str, names: Collection[str]) -> str:
        """One of `names`, compared exactly; `default` where the key is absent."""
        self.note(key, "choice", default, names=names)
        option = self._value_of(key)
        if option is None:
            return default
        self._values.warn_of_comment(option)
        value = option.value or ""
        if value in names:
            return value
        self._values.doubted.add(key)
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
        self.note(key, "integers", minimum=minimum, maximum=maximum)
        items = self._items(key, hash_ends_list)
        if items is None:
            return None
        values: list[tuple[int, Span]] = []
        for text, span in items:
            value = self._values.to_integer(key, text, span)
            if value is not None:
                value = self._values.in_range(key, value, minimum, maximum, span)
            if value is not None:
                values.append((value, span))
        return values

    def numbers(self, key: str, *, hash_ends_list: bool = False) -> list[float] | None:
        """A comma-separated list of floats; None where the key is absent."""
        self.note(key, "numbers")
        items = self._items(key, hash_ends_list)
        if items is None:
            return None
        values = [self._values.to_number(key, text, span) for text, span in items]
        return [v for v in values if v is not None]

    def references(self, key: str) -> tuple[Reference, ...]:
        """A required list of layer references."""
        self.note(key, "layers")
        items = self._items(key, hash_ends_list=False)
        if items is None:
            self.missing(key, "the layers to read, such as -1 (the previous one) or 12")
        found = [self._values.to_reference(key, text, span) for text, span in items or ()]
        return tuple(reference for reference in found if reference is not None)

    def reference(self, key: str) -> Reference | None:
        """A single layer reference; None where the key is absent."""
        self.note(key, "layer")
        option = self._value_of(key)
        if option is None:
            return None
        return self._values.to_reference(key, option.value or "", option.value_span)

    def name(self, key: str) -> str | None:
        """A name that other sections can refer to as @name; None where the key is absent."""
        self.note(key, "name")
        option = self._value_of(key)
        if option is None:
            return None
        if re.fullmatch(NAME, option.value or ""):
            return option.value
        self.error(
            Rule.UNKNOWN_NAME,
            key,
            f"[{self.kind}] {key}={shown(option.value or '')} is no name",
            expected="a letter, then letters, digits, _, - or .",
        )
        return None

    def text(self, key: str) -> str | None:
        """Any text, without its blanks, such as a file's name; None where the key is absent."""
        self.note(key, "text")
        option = self._value_of(key)
        if option is None:
            return None
        self._values.warn_of_comment(option)
        return option.value

    # -- reports -------------------------------------------------------------------------------

    def missing(self, key: str, expected: str) -> None:
        """Report that a required key is absent."""
        self._values.failed = True
        if self._log is not None:
            self._log.required.add(key)
        if key not in self._first and not self._has_damage:
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
        self._values.error(rule, self.span_of(key), message, expected=expected, help=help)

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
        self._values.error(rule, span, message, expected=expected, help=help)

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
        self.note(key, "unsupported", 0, what=what)
        if self.number(key, 0.0) != 0.0:
            self.error(
                Rule.UNSUPPORTED,
                key,
                f"[{self.kind}] {key}={shown(self._first[key].value or '')}: "
                f"{what} is not supported",
                expected=f"{key}=0, or no {key}",
                help=f"remove the line if the network was trained without {key}",
            )

    def finish(self, ignored: Mapping[str, str], *, ours: bool = False) -> None:
        """Report what nobody read. `ignored` maps keys that may stand without effect to why.

        In sections of our own (`ours`) an unknown key is an error.
        """
        known = self._asked | set(ignored)
        for option in (*self._first.values(), *self._extra):
            was_read = option.key in self._asked and option is self._first[option.key]
            if option.damaged or was_read:
                continue
            if option.value is None:
                report_stray_line(self._diagnostics, option, known)
            elif option.key not in known:
                self._values.failed = self.failed or ours
                report_unknown_key(self._diagnostics, self.kind, option, known, ours=ours)
            elif option.value == "":
                report_empty_value(self._diagnostics, option)

    # -- conversion ----------------------------------------------------------------------------

    def _value_of(self, key: str) -> Option | None:
        self._asked.add(key)
        option = self._first.get(key)
        if option is None:
            return None
        if option.damaged:
            self._values.doubted.add(key)
            return None
        if not option.value:
            self._values.doubted.add(key)
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
        return self._values.items(option, hash_ends_list=hash_ends_list)
