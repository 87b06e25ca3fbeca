"""The reference page, as Markdown: every kind of section and every key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from yolo_gp.errors import UsageError, did_you_mean
from yolo_gp.layers import LAYERS
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.layers.base import Layer
from yolo_gp.macros import MACROS
from yolo_gp.macros.base import Macro
from yolo_gp.reads import KeyRead
from yolo_gp.reference.sections import (
    KeyFacts,
    SectionFacts,
    common_section,
    layer_sections,
    macro_sections,
    net_section,
)

_HEAD = """\
# Sections and keys

<!-- made by `yolo-gp reference`; change the code it is made from, not this file -->

A cfg is a list of sections. `[net]` comes first and says what the network takes; every other
section is a layer, or stands for several. A section reads the one before it unless it says
otherwise.

* A line is a header `[kind]`, an option `key=value`, or a comment, which begins with `#` or `;`.
  Blanks do not count, not even inside a key or a value. A comment behind a value is understood, but
  Darknet would take it for a part of the value, so it gets a warning.
* Keys and kinds are case-sensitive. Of a key that stands twice the first one counts; in the YOLOR
  dialect the last.
* Layers are counted from 0, `[net]` not included; negative numbers count back from the section
  itself, so -1 is the one before. `name=p4` on a section and `@p4` in place of a number name it.
* A key that a section of Darknet's does not know is a warning, in a section of our own an error.
* Shapes are channels x height x width: (C, H, W). Sizes are height x width.

In the tables:

* Acts: *always*; in *training* only; *ignored*, with the reason; or *refused*, since the network
  would be another one without it: such a key must be 0 or absent.
* Known to: *Darknet* is both AlexeyAB's and pjreddie's; *AlexeyAB* and *pjreddie* are one of them,
  *YOLOR* is the torch code of yolor and PyTorch_YOLOv4, *yolo-gp* is this program alone.
* A default that is the name of a key is that key's value.
"""
_MACROS = """\
## Sections that stand for several layers

Their weights are those of the convolutions they stand for, in order; `yolo-gp expand` writes the
layers out.
"""
_COLUMNS = ("Key", "Value", "Default", "Meaning", "Acts", "Known to")
_LARGE = 2**31 - 1
_PLACE = r"[A-Z]?[0-9]+(?:\.[0-9]+)*"
_NOTES = re.compile(  # places in papers that readers of the page do not have
    rf"[;,]?\s*(?:see )?\b(?:darknet|zoo)\.md (?:[A-Z]\.)?{_PLACE}(?:, {_PLACE})*(?: for \w+)?"
    r"|\s\([0-9]\.[0-9]\)|\s+yolor-dialect\.md"
)
_SPECS: tuple[type[Layer] | type[Macro], ...] = (*LAYERS.values(), *MACROS.values())
_KINDS = {spec.__name__: spec.kind for spec in _SPECS}
_CLASS = re.compile(rf"\b([Ss]ee) ({'|'.join(_KINDS)})\b")


def reference_page() -> str:
    """The whole page."""
    common = common_section()
    layers, macros = layer_sections(), macro_sections()
    parts = [
        _HEAD,
        "\n".join(_contents(layers, macros)),
        _net(),
        _chapter(
            "Every section",
            common,
            "Keys of every section but `[net]`; those of our own, which have no weights, take "
            "`name` only.",
        ),
        _activations(),
        "## Layers",
        *map(_section, layers),
        _MACROS,
        *map(_section, macros),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def section_page(kind: str) -> str:
    """The part about one kind of section, by any of its names.

    Raises:
        UsageError: there is no such kind.
    """
    wanted = kind.strip("[]")
    if wanted in ("net", "network"):
        return _net() + "\n"
    sections = [*layer_sections(), *macro_sections()]
    for section in sections:
        if wanted in (section.kind, *section.aliases):
            return _section(section).strip("\n") + "\n"
    names = ["net", *(section.kind for section in sections)]
    suggestion = did_you_mean(wanted, names)
    raise UsageError(
        f"there is no kind of section [{wanted}]\nexpected: one of {', '.join(names)}"
        + (f"\nhelp: {suggestion}" if suggestion else "")
    )


def _contents(layers: Sequence[SectionFacts], macros: Sequence[SectionFacts]) -> Iterator[str]:
    yield "[net](#net) - [every section](#every-section) - [activations](#activations)\n"
    for name, sections in (("Layers", layers), ("Several layers", macros)):
        links = (f"[{section.kind}](#{section.kind.lower()})" for section in sections)
        yield f"{name}: {', '.join(links)}\n"


def _net() -> str:
    words = "What the network takes, and how it is trained. Comes first."
    return _chapter("[net]", net_section(), words)


def _chapter(title: str, section: SectionFacts, words: str) -> str:
    return f"## {title}\n\n{words}\n\n{_table(section)}"


def _activations() -> str:
    names = ", ".join(f"`{name}`" for name in sorted(ACTIVATIONS))
    return f"## Activations\n\nValues of `activation`: {names}."


def _section(section: SectionFacts) -> str:
    lines = [f"### [{section.kind}]", ""]
    if section.aliases:
        lines += [f"Also written {', '.join(f'`[{name}]`' for name in section.aliases)}.", ""]
    for paragraph in section.paragraphs:
        if not paragraph.startswith("Fields:") and (prose := _prose(paragraph)):
            lines += [prose, ""]
    lines += [f"Known to {section.reader}. {_weights(section)}".strip(), ""]
    if section.keys:
        lines.append(_table(section))
    else:
        lines.append("No keys of its own.")
    return "\n".join(lines)


def _weights(section: SectionFacts) -> str:
    """What a `.weights` file holds."""
    if not any(stored.tensors for stored in section.weights):
        return ""
    ways = []
    for stored in section.weights:
        names = _tensors(stored.tensors) or "nothing"
        settings = " or ".join(f"`{setting}`" for setting in dict.fromkeys(stored.settings))
        ways.append(f"with {settings} {names}" if settings else names)
    return f"In a `.weights` file, in this order: {'; '.join(ways)}."


def _tensors(names: Sequence[str]) -> str:
    """The names; those of parts with the same tensors only once."""
    parts: dict[str, list[str]] = {}
    for name in names:
        *part, last, field = name.split(".") if "." in name else ("", name)
        parts.setdefault(part[-1] if part else "", []).append(f"{last}.{field}".lstrip("."))
    first, *others = parts.values() or [[]]
    if others and all(other == first for other in others):
        return f"of {', '.join(f'`{part}`' for part in parts)} each {_code(first)}"
    return _code(names)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _prose(paragraph: str) -> str:
    """A paragraph of a docstring for readers who have the page only; "" if nothing is left."""
    text = re.sub(r"\.  (?=[A-Z])", ". ", _NOTES.sub("", paragraph))
    text = _CLASS.sub(lambda match: f"{match[1]} [{_KINDS[match[2]]}]", text)
    text = text.replace("Source::", "Source:").removeprefix("Source:.").strip()
    if re.match(r"(?:[a-z]{3,}|as|a) [a-z\[]", text):  # words, not a formula
        text = text[0].upper() + text[1:]
    return re.sub(r"([*<])", r"\\\1", text)


def _table(section: SectionFacts) -> str:
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, section.keys)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(key: KeyFacts) -> tuple[str, ...]:
    acts = key.acts
    if key.reason and key.reason != key.meaning:
        acts = f"{acts}: {key.reason}"
    return (f"`{key.key}`", _value(key), _default(key), key.meaning, acts, key.reader)


def _default(key: KeyFacts) -> str:
    if key.required == "":
        return "required"
    if key.required:
        return f"required with `{key.required}`"
    if key.default_from and not key.default.startswith("`"):
        return "from " + ", ".join(f"`{name}`" for name in key.default_from)
    return key.default


def _value(key: KeyFacts) -> str:
    return "; or ".join(map(_kind_of_value, key.reads))


def _kind_of_value(read: KeyRead) -> str:
    match read.type:
        case "flag":
            return "0 or 1"
        case "choice" if set(read.names) == ACTIVATIONS:
            return "an [activation](#activations)"
        case "choice":
            return ", ".join(f"`{name}`" for name in read.names)
        case "integers" | "numbers":
            return f"{read.type}{_range(read)}"
        case "unsupported":
            return "0"
        case "integer" | "number":
            return f"{read.type}{_range(read)}"
        case _:
            return read.type


def _range(read: KeyRead) -> str:
    least = None if read.minimum <= -_LARGE else _bound(read.minimum)
    most = None if read.maximum >= _LARGE else _bound(read.maximum)
    if least is None:
        return "" if most is None else f", at most {most}"
    return f", {least} and more" if most is None else f", {least} to {most}"


def _bound(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:g}"
