"""What a section of a cfg sets, in the cfg's words, with the defaults of keys it leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Diagnostics, Span
from yolo_gp.layers import LAYERS
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.net import Net
from yolo_gp.macros import MACROS
from yolo_gp.options import MAX_SIZE, Options, Reference
from yolo_gp.syntax import Section


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A key whose value differs between two sections; what stands there, or the default."""

    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of one section.

    Fields:
        written: the value of each key as it stands, without blanks; the first one counts.
        read: the value that each key has for us, be it a default; not every key is read.
        references: keys that name layers; their values mean something by their place only.
    """

    written: Mapping[str, str]
    read: Mapping[str, object]
    references: frozenset[str]

    def similarity(self, other: Settings) -> float:
        """From 0 to 1: the share of keys that agree, among those that either writes."""
        keys = self._keys(other)
        agreeing = sum(self._agrees(other, key) for key in keys)
        return (agreeing + 1) / (len(keys) + 1)  # + 1: a kind alone is something shared

    def changes(self, new: Settings) -> tuple[SettingChange, ...]:
        """What differs in `new`, in the order in which keys stand. References do not count."""
        return tuple(
            SettingChange(key, self._shown(key), new._shown(key))
            for key in self._keys(new)
            if not self._agrees(new, key)
        )

    def _keys(self, other: Settings) -> list[str]:
        keys = dict.fromkeys((*self.written, *other.written))
        return [key for key in keys if key not in self.references | other.references]

    def _agrees(self, other: Settings, key: str) -> bool:
        if key in self.read and key in other.read:
            return self.read[key] == other.read[key]
        return self.written.get(key) == other.written.get(key)

    def _shown(self, key: str) -> str:
        if key in self.written:
            return self.written[key]
        match self.read.get(key):
            case float(default):
                return f"{default:g} (default)"
            case int(default) | str(default):
                return f"{default} (default)"
        return "not set"


def net_settings(section: Section, dialect: Dialect) -> Settings:
    """The keys of [net]."""
    return _settings(section, Net.parse, dialect)


def layer_settings(section: Section, dialect: Dialect) -> Settings:
    """The keys of any other section, whose kind must be known."""
    kind = LAYERS.get(section.kind) or MACROS[section.kind]
    common = CommonKeys(dialect=dialect)
    return _settings(section, lambda options: kind.parse(options, common), dialect)


def _settings(section: Section, parse: Callable[[Options], object], dialect: Dialect) -> Settings:
    reads = _Reads(section, dialect)
    parse(reads)
    counting: dict[str, str | None] = {}
    for option in section.options:
        if option.key not in counting or dialect.last_key_counts:
            counting[option.key] = option.value
    written = {key: value for key, value in counting.items() if value}
    return Settings(written, reads.values, frozenset(reads.references_read))


class _Reads(Options):
    """Options that keep what is read from them."""

    def __init__(self, section: Section, dialect: Dialect) -> None:
        super().__init__(section, Diagnostics(), dialect=dialect)
        self.values: dict[str, object] = {}
        self.references_read: set[str] = set()

    def integer(self, key: str, default: int, *, minimum: int = 0, maximum: int = MAX_SIZE) -> int:
        value = super().integer(key, default, minimum=minimum, maximum=maximum)
        self.values[key] = value
        return value

    def number(
        self, key: str, default: float, *, minimum: float = -math.inf, maximum: float = math.inf
    ) -> float:
        value = super().number(key, default, minimum=minimum, maximum=maximum)
        self.values[key] = value
        return value

    def choice(self, key: str, default: str, names: Collection[str]) -> str:
        value = super().choice(key, default, names)
        self.values[key] = value
        return value

    def integers(
        self,
        key: str,
        *,
        minimum: int = -(2**31),
        maximum: int = 2**31 - 1,
        hash_ends_list: bool = False,
    ) -> list[tuple[int, Span]] | None:
        found = super().integers(
            key, minimum=minimum, maximum=maximum, hash_ends_list=hash_ends_list
        )
        self.values[key] = None if found is None else [value for value, _ in found]
        return found

    def numbers(self, key: str, *, hash_ends_list: bool = False) -> list[float] | None:
        found = super().numbers(key, hash_ends_list=hash_ends_list)
        self.values[key] = found
        return found

    def references(self, key: str) -> tuple[Reference, ...]:
        self.references_read.add(key)
        return super().references(key)

    def reference(self, key: str) -> Reference | None:
        self.references_read.add(key)
        return super().reference(key)
