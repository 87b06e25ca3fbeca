"""Repairs of findings, as changes of the text.

A repair never changes a network that compiles, and does to a file that does not compile only what
leaves no choice. Comments stay.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from yolo_gp.edits import Edits, meant_section, names_of
from yolo_gp.errors import Diagnostic, Severity, Span
from yolo_gp.layers import LAYERS, UNSUPPORTED
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.layers.base import Layer, is_head
from yolo_gp.lint.linting import Linted, LintSettings, lint_content
from yolo_gp.lint.subject import option_of
from yolo_gp.macros import MACROS
from yolo_gp.numerals import blank_separated
from yolo_gp.rules import Rule
from yolo_gp.spec import WrittenLayer
from yolo_gp.syntax import Option, Section

_MOST_ROUNDS = 20  # a repair may bring the next mistake to light


@dataclass(frozen=True, slots=True)
class Fix:
    """A change within one line.

    Fields:
        span: what is replaced.
        text: by what.
        above: a line to put above it.
    """

    span: Span
    text: str
    above: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A text after its repairs.

    Fields:
        content: the text.
        mended: what was repaired.
        linted: what is left.
    """

    content: bytes
    mended: tuple[Diagnostic, ...]
    linted: Linted


def fix_content(content: bytes, file: str, settings: LintSettings) -> Fixed:
    """Repair what can be repaired, until nothing is left that can be."""
    linted = lint_content(content, file, settings)
    mended: list[Diagnostic] = []
    for _ in range(_MOST_ROUNDS):
        fixes = fixes_of(linted)
        if not fixes:
            break
        edits = Edits(content)
        lines: set[int] = set()
        for finding, fix in fixes:
            if fix.span.line not in lines:  # another change of this line has its turn next
                lines.add(fix.span.line)
                mended.append(finding)
                edits.replace(fix.span, fix.text)
                if fix.above is not None:
                    edits.insert_before(fix.span.line, [fix.above])
        content = edits.content()
        before, linted = linted, lint_content(content, file, settings)
        assert _same_network(before, linted), "a repair changes the network"
    return Fixed(content, tuple(mended), linted)


def _same_network(before: Linted, after: Linted) -> bool:
    if before.graph is None:
        return True
    return after.graph is not None and after.graph.fingerprint == before.graph.fingerprint


def fixes_of(linted: Linted) -> list[tuple[Diagnostic, Fix]]:
    """The findings that can be repaired, each with its change."""
    found = ((finding, _fix(linted, finding)) for finding in linted.findings)
    return [(finding, fix) for finding, fix in found if fix is not None]


def _fix(linted: Linted, finding: Diagnostic) -> Fix | None:
    line = finding.span.source.line(finding.span.line)
    if finding.rule not in _FIXES or "\ufffd" in line:  # its columns count no bytes
        return None
    return _FIXES[finding.rule](linted, finding)


# -- what Darknet ignores becomes a comment, and what it misreads is written so that it does not ---


def _empty_value(linted: Linted, finding: Diagnostic) -> Fix | None:
    """Where the value is missed, that is an error, and its author's to mend."""
    return None if finding.severity is Severity.ERROR else _commented_out(finding.span)


def _repeated_key(linted: Linted, finding: Diagnostic) -> Fix | None:
    """The line that does not count: the later one, except where the last counts."""
    section = _section_with(linted, finding)
    if section is None or linted.spec is None:
        return None
    repeat = next((o for o in section.options if o.key_span == finding.span), None)
    if repeat is None or not linted.spec.net.dialect.last_key_counts:
        return _commented_out(finding.span)
    before = [o for o in section.options if o.key == repeat.key and o.value]
    return _commented_out(before[before.index(repeat) - 1].key_span)


def _commented_out(span: Span) -> Fix:
    return Fix(replace(span, column=1, length=0), "# ")


def _inline_comment(linted: Linted, finding: Diagnostic) -> Fix:
    """A comment to a line of its own, above."""
    line = finding.span.source.line(finding.span.line)
    before = line[: finding.span.column - 1].rstrip()
    column = len(before) + 1
    comment = line[finding.span.column - 1 :].rstrip()
    return Fix(replace(finding.span, column=column, length=len(line) - column + 1), "", comment)


def _missing_comma(linted: Linted, finding: Diagnostic) -> Fix | None:
    words = blank_separated(finding.span.text, finding.span)
    return Fix(finding.span, ",".join(word for word, _ in words)) if len(words) > 1 else None


# -- names that are one letter off -------------------------------------------------------------


def _misspelt_section(linted: Linted, finding: Diagnostic) -> Fix | None:
    section = _section_of(linted, finding.span)
    kinds = {*LAYERS, *MACROS, *UNSUPPORTED}
    name = _one_letter_off(section.kind, kinds) if section else None
    return Fix(finding.span, f"[{name}]") if name else None


def _misspelt_activation(linted: Linted, finding: Diagnostic) -> Fix | None:
    """Only where the file does not compile: elsewhere Darknet's reading is the network."""
    option = _option_at(linted, finding)
    if option is None or option.key != "activation" or finding.severity is not Severity.ERROR:
        return None
    name = _one_letter_off(option.value or "", ACTIVATIONS)
    return Fix(finding.span, name) if name else None


def _one_letter_off(word: str, names: Collection[str]) -> str | None:
    """The one name that differs by a letter too many, too few, wrong, or swapped; else None."""
    near = [name for name in names if _differs_by_one(word.lower(), name.lower())]
    return near[0] if len(near) == 1 else None


def _differs_by_one(word: str, name: str) -> bool:
    if word == name:
        return True
    changes = [
        (word[a:b], name[c:d])
        for what, a, b, c, d in difflib.SequenceMatcher(None, word, name).get_opcodes()
        if what != "equal"
    ]
    if len(changes) == 1:
        return max(map(len, changes[0])) == 1 and len(name) > 2
    swapped = [i for i in range(len(word) - 1) if word[:i] + word[i : i + 2][::-1] == name[: i + 2]]
    return len(word) == len(name) and any(word[i + 2 :] == name[i + 2 :] for i in swapped)


# -- heads ---------------------------------------------------------------------------------------


def _num(linted: Linted, finding: Diagnostic) -> Fix | None:
    """`num` to the pairs that are listed, if a mask says which of them count."""
    section = _section_with(linted, finding)
    layer = _layer_of(linted, section)
    if section is None or not is_head(layer):
        return None
    num, anchors = option_of(section, "num"), option_of(section, "anchors")
    if num is None or anchors is None or option_of(section, "mask") is None:
        return None
    numbers = [word for item in anchors.items() for word, _ in blank_separated(*item)]
    pairs, rest = divmod(len(numbers), 2)
    if rest or not pairs or str(pairs) == num.value:
        return None
    return Fix(num.value_span, str(pairs))


def _filters(linted: Linted, finding: Diagnostic) -> Fix | None:
    """`filters` of the convolution before a head, if all heads agree on the classes."""
    section = _section_of(linted, finding.span)
    head, spec = _layer_of(linted, section), linted.spec
    if section is None or not is_head(head) or spec is None:
        return None
    anchors = head.box_anchors()
    if anchors is not None and anchors.mask_is_default and "mask" in _keys_of_heads(linted):
        return None  # rather the mask is missing
    if len({w.layer.num_classes for w in spec.layers if is_head(w.layer)}) > 1:
        return None  # rather the classes are wrong
    own = next(w.written for w in spec.layers if w.span == section.span)
    source = meant_section(head.sources()[0], own, names_of(spec))
    wanted = head.map_channels(head.num_classes)[0]
    return _set_width(linted, spec.layers[source], wanted) if 0 <= source < own else None


def _set_width(linted: Linted, maker: WrittenLayer, channels: int) -> Fix | None:
    key, section = maker.layer.width_key if maker.layer else None, _section_of(linted, maker.span)
    option = option_of(section, key) if section and key else None
    return Fix(option.value_span, str(channels)) if option and maker.trusted else None


def _keys_of_heads(linted: Linted) -> set[str]:
    layers = linted.spec.layers if linted.spec else ()
    heads = [_section_of(linted, w.span) for w in layers if is_head(w.layer)]
    return {option.key for section in heads if section for option in section.options}


# -- places --------------------------------------------------------------------------------------


def _section_of(linted: Linted, header: Span) -> Section | None:
    """The section whose header stands there."""
    return next((s for s in linted.cfg.sections if s.span == header), None)


def _section_with(linted: Linted, finding: Diagnostic) -> Section | None:
    """The section in which a finding lies."""
    before = [s for s in linted.cfg.sections if s.span.line <= finding.span.line]
    return before[-1] if before else None


def _option_at(linted: Linted, finding: Diagnostic) -> Option | None:
    section = _section_with(linted, finding)
    options: Iterator[Option] = iter(section.options if section else ())
    return next((o for o in options if o.value_span == finding.span), None)


def _layer_of(linted: Linted, section: Section | None) -> Layer | None:
    written = linted.spec.layers if linted.spec and section else ()
    return next((w.layer for w in written if section and w.span == section.span), None)


_FIXES: Mapping[Rule, Callable[[Linted, Diagnostic], Fix | None]] = {
    Rule.EMPTY_VALUE: _empty_value,
    Rule.UNKNOWN_SECTION: _misspelt_section,
    Rule.REPEATED_KEY: _repeated_key,
    Rule.UNKNOWN_NAME: _misspelt_activation,
    Rule.HEAD_FILTERS: _filters,
    Rule.HEAD_ANCHORS: _num,
    Rule.INLINE_COMMENT: _inline_comment,
    Rule.SURPLUS_ANCHORS: _num,
    Rule.MISSING_COMMA: _missing_comma,
}

FIXABLE = frozenset(_FIXES)
"""Rules of whose findings some, at least, can be repaired."""
