"""Finds out what a section's code reads: it is run on small sections, and the log is kept.

First a section with nothing but what is required, then one more key at a time, with every value of
a choice. So a key that is read beside a certain setting only is found too, and what a key changes
in the result says whether it acts in training only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from yolo_gp.errors import Diagnostics, Source, Span
from yolo_gp.options import Options, Reference
from yolo_gp.reads import Default, KeyRead, ReadLog
from yolo_gp.syntax import Option, Section

Parse = Callable[[Options], object]
Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """One section parsed.

    Fields:
        settings: its keys and values.
        varied: the key that makes it differ from another run; "" for the base.
        log: what was asked for.
        result: what `parse` made of it.
        fields: the settings in the result by field; those of parts as "part.field". Positions in
            the file are left out.
    """

    settings: Settings
    varied: str
    log: ReadLog
    result: object
    fields: Mapping[str, object]

    @property
    def setting(self) -> str:
        """The varied key, with its value if that is a choice."""
        read = self.log.find(self.varied)
        is_choice = read is not None and read.type in ("choice", "flag")
        return f"{self.varied}={self.settings[self.varied]}" if is_choice else self.varied


@dataclass(frozen=True, slots=True)
class Exploration:
    """All runs of one kind.

    Fields:
        base: with nothing but what is required.
        singles: each with one more key than `base`, or another value of a required one.
        pairs: each with one more key than one of `singles`.
    """

    base: Run
    singles: tuple[Run, ...]
    pairs: tuple[Run, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        return (self.base, *self.singles, *self.pairs)

    def keys(self) -> list[str]:
        """The keys read in any run, those of the base first."""
        return list(dict.fromkeys(key for run in self.runs for key in run.log.asked()))

    def reads(self, key: str) -> list[KeyRead]:
        """The ways a key is read: the first read of each run, each way once."""
        ways: dict[object, KeyRead] = {}
        for run in self.runs:
            if read := run.log.find(key):
                ways.setdefault((read.type, read.names), read)
        return list(ways.values())

    def changed_fields(self, key: str) -> set[str]:
        """The fields of the result that the key changes in any run."""
        single = {run.settings[run.varied]: run for run in self.singles if run.varied == key}
        changed: set[str] = set()
        for run in single.values():
            changed |= _differing(run.fields, self.base.fields)
        beside = {_frozen(run.settings): run for run in self.singles}
        for run in self.pairs:
            if run.varied == key:
                rest = {name: value for name, value in run.settings.items() if name != key}
                changed |= _differing(run.fields, beside[_frozen(rest)].fields)
        return changed

    def default(self, key: str) -> Default:
        """The value of the key where it is absent; None where nobody asks for it then."""
        read = self.base.log.find(key)
        return None if read is None or key in self.base.settings else read.default

    def default_from(self, key: str) -> list[str]:
        """The keys whose values decide what this one is by default."""
        own = self.base.log.find(key)
        found = [
            run.varied
            for run in self.singles
            if run.varied != key
            and own is not None
            and (read := run.log.find(key))
            and read.default != own.default
        ]
        return list(dict.fromkeys(found))

    def is_default_of(self, key: str, other: str) -> bool:
        """Whether the key's default is the other key's value."""
        runs = [run for run in self.singles if run.varied == other]
        reads = [(run.log.find(key), run.settings[other]) for run in runs]
        return bool(reads) and all(read and str(read.default) == value for read, value in reads)

    def required_with(self, key: str) -> str | None:
        """The key or setting beside which it is required: "" for always, None for never."""
        if key in self.base.settings:
            return ""
        return next((run.setting for run in self.singles if key in run.log.required), None)


def explore(kind: str, parse: Parse, known: Iterable[str] = ()) -> Exploration:
    """Run a kind's code on sections of its own.

    Args:
        known: keys to try beside those that are read.
    """
    base = _base(kind, parse)
    singles: list[Run] = []
    tried: list[str] = []
    queue = [*base.log.asked(), *known]
    for key in queue:  # grows while it is walked
        if key in tried:
            continue
        tried.append(key)
        for value in _values((base, *singles), key):
            if value != base.settings.get(key):
                singles.append(_run(kind, parse, {**base.settings, key: value}, key))
                queue += singles[-1].log.asked()
    found = Exploration(base, tuple(singles))
    pairs = (_run(kind, parse, settings, key) for key, settings in _pairs(found, tried))
    return Exploration(base, found.singles, tuple(pairs))


def _base(kind: str, parse: Parse) -> Run:
    run = _run(kind, parse, {}, "")
    while absent := sorted(run.log.required - set(run.settings)):
        values = {key: _values([run], key)[0] for key in absent}
        run = _run(kind, parse, {**run.settings, **values}, "")
    return run


def _values(runs: Iterable[Run], key: str) -> list[str]:
    """What to try for a key."""
    reads = (run.log.find(key) for run in runs)
    read = next((read for read in reads if read is not None), None)
    return ["1"] if read is None else _samples(read)


def _samples(read: KeyRead) -> list[str]:
    """Values other than the default, within the range."""
    if read.type == "choice":
        return [*(name for name in read.names if name != read.default), "1"]
    if read.type == "flag":
        return ["0" if read.default else "1"]
    if read.type in ("integer", "number"):
        return _other_numbers(read)
    lists = {"layer": ["-1", "-2"], "layers": ["-1", "-2"], "name": ["a"], "unsupported": ["0"]}
    return lists.get(read.type, ["1", "1,2", "2,3"])


def _other_numbers(read: KeyRead) -> list[str]:
    """Two, unless the range is too narrow; the halves of the first are of use too."""
    default = read.default if isinstance(read.default, int | float) else 1
    steps = (8, 16, -8) if read.type == "integer" else (0.25, 2.0, -0.25)
    default = default if math.isfinite(default) else 1
    tried = (*(default + step for step in steps), read.minimum, read.maximum)
    fitting = [v for v in tried if read.minimum <= v <= read.maximum and math.isfinite(v)]
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in fitting[:2]]


def _pairs(found: Exploration, keys: Iterable[str]) -> Iterator[tuple[str, Settings]]:
    """Keys that change nothing by themselves, beside every value of a choice or a switch."""
    switches = [
        run
        for run in found.singles
        if (read := run.log.find(run.varied)) and read.type in ("choice", "flag")
    ]
    for key in keys:
        if found.changed_fields(key) or not found.reads(key):
            continue
        for value in _values(found.runs, key):
            for switch in switches:
                if key not in switch.settings:
                    yield key, {**switch.settings, key: value}


def _run(kind: str, parse: Parse, settings: Settings, varied: str) -> Run:
    log = ReadLog()
    result = parse(Options(_section(kind, settings), Diagnostics(), log))
    return Run(settings, varied, log, result, dict(_flattened(result)))


def _section(kind: str, settings: Settings) -> Section:
    lines = (f"[{kind}]", *(f"{key}={value}" for key, value in settings.items()))
    source = Source(f"[{kind}]", lines)
    options = []
    for number, (key, value) in enumerate(settings.items(), start=2):
        value_span = Span(source, number, len(key) + 2, len(value))
        options.append(Option(key, Span(source, number, 1, len(key)), value, value_span))
    return Section(kind, Span(source, 1, 1, len(lines[0])), tuple(options))


def _flattened(record: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    assert dataclasses.is_dataclass(record) and not isinstance(record, type)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        name = f"{prefix}{field.name}"
        if isinstance(value, Span):
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, Reference | type):
            yield from _flattened(value, f"{name}.")
        else:
            yield name, str(value) if isinstance(value, Reference) else _without_spans(value)


def _without_spans(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_without_spans(item) for item in value)
    return str(value) if isinstance(value, Reference) else value


def _differing(left: Mapping[str, object], right: Mapping[str, object]) -> set[str]:
    """Names of the fields that differ."""
    names = {*left, *right}
    return {name for name in names if left.get(name, math.inf) != right.get(name, math.inf)}


def _frozen(settings: Settings) -> frozenset[tuple[str, str]]:
    return frozenset(settings.items())
