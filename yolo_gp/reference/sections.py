"""What every section and key of the language is, as facts: from the code that reads them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from yolo_gp.layers import LAYERS
from yolo_gp.layers.base import Layer
from yolo_gp.layers.common_keys import COMMON_IGNORED, TRAINING_ONLY, CommonKeys
from yolo_gp.layers.meanings import COMMON_MEANINGS, KEY_MEANINGS, KEY_READERS, Reader
from yolo_gp.layers.net import NET_IGNORED, NET_MEANINGS, NET_READERS, Net
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.macros import MACROS
from yolo_gp.macros.base import Macro
from yolo_gp.reads import KeyRead
from yolo_gp.reference.exploring import Exploration, Run, explore
from yolo_gp.shapes import FeatureShape

_SAMPLE = FeatureShape(64, 64, 64)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One key of one kind of section.

    Fields:
        reads: the ways its value is read; empty for a key that nothing here reads.
        default: the value where the key is absent, as text; "" where there is none.
        default_from: the keys that the default depends on.
        required: "" for always, a setting for "beside it"; None for a key that may be absent.
        acts: "always", "training", "refused" or "ignored".
        reason: why it is ignored, or what is not supported.
        meaning: what it says; "" where nobody wrote it.
        reader: who reads it.
    """

    key: str
    reads: tuple[KeyRead, ...]
    default: str
    default_from: tuple[str, ...]
    required: str | None
    acts: str
    reason: str
    meaning: str
    reader: Reader


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """What a `.weights` file holds for a section.

    Fields:
        settings: each of these makes it so; empty for a section without any key.
        tensors: names in the layer's torch module, in the order of the file.
    """

    settings: tuple[str, ...]
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SectionFacts:
    """One kind of section.

    Fields:
        kind: its canonical name.
        aliases: other names that mean the same.
        reader: who reads it.
        paragraphs: what it computes, and the shape rule; the last may name the source.
        keys: those it reads, then those that are known and ignored.
        weights: what a `.weights` file holds, first of all without any key.
        written_in: the class and module to mend, for messages.
        stale: keys with a meaning that the section does not know.
    """

    kind: str
    aliases: tuple[str, ...]
    reader: Reader
    paragraphs: tuple[str, ...]
    keys: tuple[KeyFacts, ...]
    weights: tuple[StoredWeights, ...]
    written_in: str
    stale: frozenset[str] = frozenset()


def net_section() -> SectionFacts:
    """[net]."""
    found = explore("net", Net.parse, NET_IGNORED)
    facts = _section("net", Net, found, NET_IGNORED, NET_MEANINGS, "Darknet", NET_READERS)
    return replace(facts, aliases=("network",), written_in="NET_MEANINGS in yolo_gp/layers/net.py")


def common_section() -> SectionFacts:
    """The keys of every section but [net]."""
    found = explore("section", lambda options: CommonKeys.parse(options, ours=False))
    readers: dict[str, Reader] = {"name": "yolo-gp"}
    facts = _section(
        "every section", CommonKeys, found, COMMON_IGNORED, COMMON_MEANINGS, "Darknet", readers
    )
    return replace(facts, written_in="COMMON_MEANINGS in yolo_gp/layers/meanings.py")


def layer_sections() -> list[SectionFacts]:
    """Every kind of layer, by name."""
    return sorted(map(_layer_section, dict.fromkeys(LAYERS.values())), key=_by_name)


def macro_sections() -> list[SectionFacts]:
    """Every kind that stands for several layers, by name."""
    kinds = dict.fromkeys(MACROS.values())
    return sorted((_kind_section(kind, _explored(kind)) for kind in kinds), key=_by_name)


def all_sections() -> list[SectionFacts]:
    return [net_section(), common_section(), *layer_sections(), *macro_sections()]


def missing_words(sections: Collection[SectionFacts]) -> Iterator[str]:
    """What the authors of kinds have still to write, each as an instruction.

    Kinds may share their meanings, so one that fits another kind's key is in place.
    """
    known = {key.key for section in sections for key in section.keys}
    for section in sections:
        where = section.written_in
        if not section.paragraphs:
            yield f"[{section.kind}] has no docstring: say its shape rule in {where}"
        for key in section.keys:
            if not key.meaning:
                yield (
                    f"[{section.kind}] {key.key} has no meaning: add a sentence to {where}, or to "
                    "KEY_MEANINGS in yolo_gp/layers/meanings.py if it says the same everywhere"
                )
        for stale in sorted(section.stale - known):
            yield f"[{section.kind}] {stale} has a meaning in {where}, but nothing knows the key"


def _by_name(section: SectionFacts) -> str:
    return section.kind.lower()


def _layer_section(kind: type[Layer]) -> SectionFacts:
    found = _explored(kind)
    return replace(_kind_section(kind, found), weights=_weights(found))


def _kind_section(kind: type[Layer] | type[Macro], found: Exploration) -> SectionFacts:
    names = (name for name, other in LAYERS.items() if other is kind and name != kind.kind)
    facts = _section(
        kind.kind, kind, found, kind.ignored, kind.meanings, kind.reader, kind.key_readers
    )
    return replace(facts, aliases=tuple(names))


def _explored(kind: type[Layer] | type[Macro]) -> Exploration:
    return explore(
        kind.kind,
        lambda options: kind.parse(options, CommonKeys()),
        (*kind.ignored, *kind.meanings),
    )


def _section(
    kind: str,
    spec: type,
    found: Exploration,
    ignored: Mapping[str, str],
    meanings: Mapping[str, str],
    reader: Reader,
    readers: Mapping[str, Reader],
) -> SectionFacts:
    training: frozenset[str] = getattr(spec, "training_fields", frozenset())
    keys: list[KeyFacts] = []
    for key in dict.fromkeys((*found.keys(), *ignored)):
        acts, reason = _acts(key, found, ignored, training)
        keys.append(
            KeyFacts(
                key=key,
                reads=tuple(found.reads(key)),
                default=_default(key, found),
                default_from=tuple(found.default_from(key)),
                required=found.required_with(key),
                acts=acts,
                reason=reason,
                meaning=meanings.get(key) or KEY_MEANINGS.get(key) or _only_meaning(reason),
                reader=readers.get(key) or _shared_reader(key, reader),
            )
        )
    return SectionFacts(
        kind=kind,
        aliases=(),
        reader=reader,
        paragraphs=_paragraphs(spec),
        keys=tuple(keys),
        weights=(),
        written_in=f"{spec.__name__}.meanings in {spec.__module__.replace('.', '/')}.py",
        stale=frozenset({*meanings, *readers} - {key.key for key in keys}),
    )


def _only_meaning(reason: str) -> str:
    """The meaning of a key of which nothing is known but why it is ignored."""
    return "" if reason == TRAINING_ONLY else reason


def _shared_reader(key: str, reader: Reader) -> Reader:
    """Who reads a key of a section that is read by `reader`."""
    shared = KEY_READERS.get(key, reader)
    return shared if reader == "Darknet" or shared == "yolo-gp" else reader


def _default(key: str, found: Exploration) -> str:
    value = found.default(key)
    if value is None or value in (math.inf, -math.inf):
        return ""
    for other in found.default_from(key):
        if found.is_default_of(key, other):
            return f"`{other}`"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _acts(
    key: str, found: Exploration, ignored: Mapping[str, str], training: frozenset[str]
) -> tuple[str, str]:
    """Where a key acts, and the reason if it does not."""
    reads = found.reads(key)
    if not reads:
        return "ignored", ignored[key]
    if all(read.type == "unsupported" for read in reads):
        return "refused", f"{reads[0].what} is not supported"
    changed = found.changed_fields(key)
    of_training = {name for name in changed if _is_training(name, training)}
    if (changed and changed == of_training) or (not changed and key in ignored):
        return "training", ""
    return "always", ""


def _is_training(field: str, training: frozenset[str]) -> bool:
    return field in training or field.split(".")[0] in {"training", *training}


def _weights(found: Exploration) -> tuple[StoredWeights, ...]:
    """The tensors in a `.weights` file, without keys and with those that change them."""
    base = _tensors(found.base) or ()
    settings: dict[tuple[str, ...], list[str]] = {base: []}
    for run in found.singles:
        tensors = _tensors(run)
        if tensors is not None and tensors != base:
            settings.setdefault(tensors, []).append(run.setting)
    return tuple(StoredWeights(tuple(ways), tensors) for tensors, ways in settings.items())


def _tensors(run: Run) -> tuple[str, ...] | None:
    """None for a setting that takes another input than the sample."""
    layer = cast(Layer, run.result)
    inputs = [_SAMPLE] * len(layer.sources())
    try:
        return tuple(block.tensor for block in layer.weight_order(inputs))
    except ShapeProblem:
        return None


def _paragraphs(spec: type) -> tuple[str, ...]:
    """The paragraphs of the docstring, without the name in front."""
    text = inspect.cleandoc(spec.__doc__ or "")
    lead, _, rest = text.partition("]: ")
    return tuple((rest if lead.startswith("[") else text).split("\n\n")) if text else ()
