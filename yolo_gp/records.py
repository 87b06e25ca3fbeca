"""Tables of data files, read key by key: what is wrong is gathered, not met one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from yolo_gp.errors import did_you_mean, shown

_T = TypeVar("_T")


class Record:
    """A table of a TOML file or an object of a JSON file.

    Each reading method gives None for a value that is absent, or, with a problem, unfit.

    Args:
        name: what the problems of this record begin with.
        problems: gathers them; the records inside this one share it.
        spelt: how a message shows a value.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        name: str,
        problems: list[str],
        spelt: Callable[[object], str],
    ) -> None:
        self._content = content
        self._name = name
        self._problems = problems
        self._spelt = spelt
        self._read: list[str] = []

    @property
    def keys(self) -> Collection[str]:
        return self._content.keys()

    def problem(self, message: str, expected: str) -> None:
        self._problems.append(f"{self._name}{message}\nexpected: {expected}")

    def get(
        self,
        key: str,
        convert: Callable[[Any], _T | None],
        expected: str,
        *,
        required: bool = True,
    ) -> _T | None:
        """The value as `convert` gives it; `convert` gives None for one that is unfit."""
        self._read.append(key)
        value = self._content.get(key)
        found = None if value is None else convert(value)
        if found is None and (value is not None or required):
            what = "is missing" if value is None else f"= {shown(self._spelt(value))} will not do"
            self.problem(f"{key} {what}", expected)
        return found

    def text(self, key: str, *, required: bool = True) -> str | None:
        return self.get(key, _to_text, "a text of at least one letter", required=required)

    def texts(self, key: str) -> tuple[str, ...]:
        return self.get(key, _to_texts, "a list of at least one text") or ()

    def count(self, key: str, *, required: bool = True) -> int | None:
        return self.get(key, _to_count, "a whole number above 0", required=required)

    def size(self, key: str, *, required: bool = True) -> tuple[int, int] | None:
        return self.get(key, _to_size, "[height, width] in pixels", required=required)

    def choice(self, key: str, choices: Collection[str]) -> str | None:
        def convert(value: object) -> str | None:
            return value if isinstance(value, str) and value in choices else None

        return self.get(key, convert, "one of " + ", ".join(f'"{choice}"' for choice in choices))

    def record(self, key: str, name: str, expected: str, *, required: bool = True) -> Record:
        """The record under `key`, empty if it is absent or unfit.

        Args:
            name: what its problems begin with, after this record's name.
        """
        content = self.get(key, _to_table, expected, required=required)
        problems = self._problems if content is not None else []
        return Record(content or {}, f"{self._name}{name}", problems, self._spelt)

    def records(
        self,
        key: str,
        name: Callable[[Mapping[str, Any], int], str],
        expected: str,
        *,
        required: bool = True,
    ) -> list[Record]:
        """The records of a list.

        Args:
            name: as in `record`, from a record's content and its number, 1 for the first.
        """
        contents = self.get(key, _to_tables, expected, required=required) or []
        return [
            Record(content, f"{self._name}{name(content, number)}", self._problems, self._spelt)
            for number, content in enumerate(contents, start=1)
        ]

    def finish(self) -> None:
        """Report the keys that nobody read."""
        for key in [key for key in self._content if key not in self._read]:
            suggestion = did_you_mean(key, self._read)
            hint = f"\nhelp: {suggestion}" if suggestion else ""
            self.problem(f"{shown(key)} is no key here", ", ".join(self._read) + hint)


def to_decimal(value: object) -> Decimal | None:
    """A finite number of a file that was read with Decimal for its fractions."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value) if Decimal(value).is_finite() else None


def to_whole(value: object) -> int | None:
    """A whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value >= 0 else None


def _to_table(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None


def _to_tables(value: object) -> list[dict[str, Any]] | None:
    if not isinstance(value, list):
        return None
    tables = [_to_table(item) for item in value]
    found = [table for table in tables if table is not None]
    return found if len(found) == len(tables) else None


def _to_text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _to_texts(value: object) -> tuple[str, ...] | None:
    texts = [_to_text(item) for item in value] if isinstance(value, list) else []
    found = tuple(text for text in texts if text is not None)
    return found if found and len(found) == len(texts) else None


def _to_count(value: object) -> int | None:
    return to_whole(value) or None


def _to_size(value: object) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    height, width = (_to_count(length) for length in value)
    return None if height is None or width is None else (height, width)
