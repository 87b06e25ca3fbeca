"""A log of what a section's code asks for: the reference of keys is made from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

ValueType = Literal[
    "integer", "number", "flag", "choice", "integers", "numbers", "layer", "layers", "name",
    "unsupported", "text",
]  # fmt: skip

Default = int | float | str | None


@dataclass(frozen=True, slots=True)
class KeyRead:
    """One typed read.

    Fields:
        key: the key.
        type: of its value; "unsupported" for a key that must be 0 or absent.
        default: the value of an absent key; None if that is none.
        minimum, maximum: the least and the largest value; infinite where there is no bound.
        names: the values of a choice.
        what: the effect of a key that is not supported.
    """

    key: str
    type: ValueType
    default: Default = None
    minimum: float = -math.inf
    maximum: float = math.inf
    names: tuple[str, ...] = ()
    what: str = ""


@dataclass(slots=True)
class ReadLog:
    """What was asked of one section.

    Fields:
        reads: in the order they were made; a key may be read more than once.
        required: keys whose absence was reported.
    """

    reads: list[KeyRead] = field(default_factory=list)
    required: set[str] = field(default_factory=set)

    def asked(self) -> list[str]:
        """The keys, each once, in the order of their first read."""
        return list(dict.fromkeys(read.key for read in self.reads))

    def find(self, key: str) -> KeyRead | None:
        """The first read of a key."""
        return next((read for read in self.reads if read.key == key), None)


def chosen_from(names: Iterable[str]) -> tuple[str, ...]:
    """The names of a choice in a fixed order: as given where that has one, else sorted."""
    return tuple(sorted(names)) if isinstance(names, set | frozenset) else tuple(names)
