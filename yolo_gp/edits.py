"""Changing a cfg's text by position: what no change names stays byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from yolo_gp.errors import Span
from yolo_gp.options import Reference
from yolo_gp.spec import NetworkSpec, WrittenLayer
from yolo_gp.syntax import Option, Section

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class _Line:
    """One line of the text and what happens to it; `end` is its line end as it stands."""

    text: str
    end: str
    removed: bool = False
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    replacements: list[tuple[int, int, str]] = field(default_factory=list)

    def edited(self) -> str:
        text = self.text
        for start, stop, new in sorted(self.replacements, reverse=True):
            text = text[:start] + new + text[stop:]
        return text


class Edits:
    """A cfg's text and changes to it. Lines are counted from 1, as in a `Span`.

    Line ends, a byte-order mark and bytes that are no UTF-8 stay as they are; new lines end as the
    first one does.
    """

    def __init__(self, content: bytes) -> None:
        self._mark = _BYTE_ORDER_MARK if content.startswith(_BYTE_ORDER_MARK) else b""
        text = content[len(self._mark) :].decode("utf-8", errors="surrogateescape")
        self._lines = _split(text)
        self._new_line = self._lines[0].end or "\n"

    def replace(self, span: Span, text: str) -> None:
        """Put `text` in place of what the span covers."""
        start = span.column - 1
        self._line(span.line).replacements.append((start, start + span.length, text))

    def remove(self, line: int) -> None:
        """Take a line out."""
        self._line(line).removed = True

    def insert_before(self, line: int, texts: Iterable[str]) -> None:
        """Put whole lines above a line, below those put there before."""
        self._line(line).before.extend(texts)

    def insert_after(self, line: int, texts: Iterable[str]) -> None:
        """Put whole lines below a line."""
        self._line(line).after.extend(texts)

    def set_option(self, section: Section, key: str, value: str) -> None:
        """Give a key of the section a value; a new line, behind its others, if it has no such.

        A key that stands there more than once gets it everywhere, since readers differ in which
        one counts. A new line has the blanks of the section's last option.
        """
        found = [option for option in section.options if option.key == key]
        for option in found:
            self._set_value(option, value)
        if not found:
            like = next((option for option in reversed(section.options) if option.value), None)
            self.insert_after(last_line(section), [_laid_out(like, key, value)])

    def _set_value(self, option: Option, value: str) -> None:
        if option.value is None:  # a line without =
            comment = re.search(r"\s*[#;].*", option.value_span.text)
            self.replace(option.value_span, f"{option.key}={value}{comment[0] if comment else ''}")
        elif option.value == "":
            self.replace(replace(option.value_span, length=0), value)
        else:
            self.replace(option.value_span, value)

    def content(self) -> bytes:
        """The text with all changes."""
        lines = list(self._changed_lines())
        parts = [text + (end or self._new_line) for text, end in lines[:-1]]
        parts += [text + end for text, end in lines[-1:]]
        return self._mark + "".join(parts).encode("utf-8", errors="surrogateescape")

    def _changed_lines(self) -> Iterable[tuple[str, str]]:
        for line in self._lines:
            yield from ((text, self._new_line) for text in line.before)
            if not line.removed and (line.text or line.end):
                yield line.edited(), line.end
            yield from ((text, self._new_line) for text in line.after)

    def _line(self, number: int) -> _Line:
        return self._lines[number - 1]


def _split(text: str) -> list[_Line]:
    """Lines as `parse_cfg` counts them."""
    if "\n" not in text and "\r" in text:
        bodies = text.split("\r")
        return [_Line(body, "\r") for body in bodies[:-1]] + [_Line(bodies[-1], "")]
    lines = [
        _Line(body[:-1], "\r\n") if body.endswith("\r") else _Line(body, "\n")
        for body in text.split("\n")
    ]
    last = lines[-1]
    lines[-1] = _Line(last.text + ("\r" if last.end == "\r\n" else ""), "")
    return lines


def _laid_out(like: Option | None, key: str, value: str) -> str:
    """A line `key=value`, with blanks where another option has them."""
    if like is None:
        return f"{key}={value}"
    line = like.key_span.source.line(like.key_span.line)
    start, stop = like.key_span.column - 1, like.value_span.column - 1
    return f"{line[:start]}{key}{line[start + like.key_span.length : stop]}{value}"


def last_line(section: Section) -> int:
    """The line of a section's last option; of its header, if it has none."""
    lines = (option.key_span.line for option in section.options)
    return max((section.span.line, *lines))


# -- references ----------------------------------------------------------------------------------


def text_references(layer: WrittenLayer) -> tuple[Reference, ...]:
    """The references that stand in a section's text."""
    if layer.layer is None:
        return ()
    shared = layer.layer.shares_weights_of()
    references = (*layer.layer.sources(), *((shared,) if shared else ()))
    return tuple(r for r in references if r.span != layer.span)


def names_of(spec: NetworkSpec) -> Mapping[str, int]:
    """Each name= and the number of its section."""
    return {layer.name: layer.written for layer in spec.layers if layer.name is not None}


def meant_section(reference: Reference, own: int, names: Mapping[str, int]) -> int:
    """The number of the section that a reference of section `own` means; -1 is the input."""
    if reference.name is not None:
        return names[reference.name]
    return reference.value if reference.value >= 0 else own + reference.value


@dataclass(frozen=True, slots=True)
class Renumbering:
    """How the numbers of sections change.

    Fields:
        new: the new number of each section; None for one that is taken out.
        rigid: sections that move together with all they refer to.
        keep_names: `@name` stays as it is, rather than become a number.
    """

    new: Sequence[int | None]
    rigid: frozenset[int] = frozenset()
    keep_names: bool = True


@dataclass(frozen=True, slots=True)
class LostReference:
    """A reference to a section that is taken out."""

    reader: WrittenLayer
    reference: Reference
    meant: int


def renumber(
    edits: Edits, spec: NetworkSpec, layers: Iterable[WrittenLayer], numbers: Renumbering
) -> list[LostReference]:
    """Rewrite the references in the text of `layers`; those that mean nothing any more."""
    names = names_of(spec)
    lost = []
    for layer in layers:
        own = numbers.new[layer.written]
        assert own is not None
        for reference in text_references(layer):
            meant = meant_section(reference, layer.written, names)
            if layer.written in numbers.rigid:
                target: int | None = own - (layer.written - meant)
            else:
                target = numbers.new[meant] if meant >= 0 else meant
            if target is None:
                lost.append(LostReference(layer, reference, meant))
            else:
                keep_name = numbers.keep_names and layer.written not in numbers.rigid
                _rewrite(edits, reference, own, target, keep_name)
    return lost


def _rewrite(edits: Edits, reference: Reference, own: int, target: int, keep_name: bool) -> None:
    if reference.name is not None:
        if not keep_name:
            edits.replace(reference.span, str(target))
        return
    value = target - own if reference.value < 0 else target
    if value != reference.value:
        edits.replace(reference.span, str(value))
