"""Text to syntax tree: sections and options with exact positions. Knows no layer kind.

The lexical rules are Darknet's (darknet.md 1.1): one line is one header, option or comment;
blanks inside keys and values do not count; only the first `=` separates. Where Darknet crashes or
swallows a trailing comment we read what the author evidently meant, and the options that are read
from here know enough (`Option.comment`) to warn about it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import pyparsing as pp

from yolo_gp.errors import Diagnostics, Source, Span, did_you_mean, shown
from yolo_gp.rules import Rule

MAX_BYTES = 2**20  # the largest public cfg has 60 kB
MAX_LINES = 100_000
MAX_SECTIONS = 10_000


@dataclass(frozen=True, slots=True)
class Option:
    """One `key=value` line.

    Fields:
        key: the key without blanks.
        key_span: where the key stands.
        value: the value without blanks and without a trailing comment; None if the line has no
            `=`, "" if nothing follows it.
        value_span: where the value stands, from its first to its last visible character.
        comment: where a `#` or `;` behind the value stands, with what follows; None if nothing.
        damaged: the line holds bytes that are no text; that has been reported.
    """

    key: str
    key_span: Span
    value: str | None
    value_span: Span
    comment: Span | None = None
    damaged: bool = False

    def items(self) -> list[tuple[str, Span]]:
        """The comma-separated elements of the value, each without blanks, with its position."""
        elements = []
        offset = 0
        for piece in self.value_span.text.split(","):
            lead = len(piece) - len(piece.lstrip())
            column = self.value_span.column + offset + lead
            length = max(1, len(piece.strip()))
            span = Span(self.value_span.source, self.value_span.line, column, length)
            elements.append((_without_blanks(piece), span))
            offset += len(piece) + 1
        return elements


@dataclass(frozen=True, slots=True)
class Section:
    """One `[kind]` with the options up to the next header; `span` covers the header."""

    kind: str
    span: Span
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class CfgFile:
    """A whole cfg as text: sections in file order, `[net]` first if the file is right."""

    source: Source
    sections: tuple[Section, ...]


def parse_cfg(content: bytes | str, file: str, diagnostics: Diagnostics) -> CfgFile:
    """Read cfg text into sections; every problem goes into `diagnostics`, none is raised.

    Args:
        content: the file's bytes, or its text.
        file: the name that messages show.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", errors="replace")
    text = _decode(content, file, diagnostics)
    if text is None or not _is_plausible(text, file, diagnostics):
        return CfgFile(Source(file, ()), ())
    text, has_lone_returns = _split_line_ends(text)
    source = Source(file, tuple(text.split("\n")))
    if has_lone_returns:
        diagnostics.warning(
            Rule.LINE_ENDS,
            Span(source, 1, 1),
            "lines end in a carriage return only; Darknet reads the whole file as one line",
            expected="lines that end in LF or CR LF",
        )
    reader = _Reader(source, diagnostics)
    _grammar(reader).parse_string(text + "\n", parse_all=True)
    sections = reader.finish()
    if not reader.has_orphans:
        _check_first_section(sections, source, diagnostics)
    return CfgFile(source, sections)


def _decode(content: bytes, file: str, diagnostics: Diagnostics) -> str | None:
    nowhere = Span(Source(file, ()), 1, 1)
    if len(content) > MAX_BYTES:
        diagnostics.error(
            Rule.NOT_A_CFG,
            nowhere,
            f"the file has {len(content)} bytes, which is no cfg",
            expected=f"text of at most {MAX_BYTES} bytes",
        )
        return None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        diagnostics.error(
            Rule.NOT_A_CFG,
            nowhere,
            "the file is UTF-16 text",
            expected="UTF-8 or ASCII text",
            help="save it again as UTF-8",
        )
        return None
    if content.startswith(b"\xef\xbb\xbf"):
        diagnostics.warning(
            Rule.BYTE_ORDER_MARK,
            nowhere,
            "the file starts with a byte-order mark, on which Darknet crashes; it is skipped here",
            help="save the file as UTF-8 without BOM",
        )
        content = content[3:]
    return content.decode("utf-8", errors="replace")


def _is_plausible(text: str, file: str, diagnostics: Diagnostics) -> bool:
    lines = max(text.count("\n"), text.count("\r")) + 1
    if lines > MAX_LINES:
        diagnostics.error(
            Rule.NOT_A_CFG,
            Span(Source(file, ()), 1, 1),
            f"the file has {lines} lines, which is no cfg",
            expected=f"text of at most {MAX_LINES} lines",
        )
        return False
    if "\0" not in text:
        return True
    place = text.index("\0")
    line = text.count("\n", 0, place) + 1
    diagnostics.error(
        Rule.NOT_A_CFG,
        Span(Source(file, ()), line, place - text.rfind("\n", 0, place)),
        "the file contains NUL bytes, so it is no text",
        expected="a cfg in plain text",
        help="if this is a .weights file, pass it as --weights",
    )
    return False


def _split_line_ends(text: str) -> tuple[str, bool]:
    """Normalise line ends to LF; a lone CR splits lines only where no LF stands in the file."""
    if "\n" not in text and "\r" in text:
        return text.replace("\r", "\n"), True
    return text.replace("\r\n", "\n").replace("\r", " "), False


_BLANKS = {ord(c): None for c in " \t\r\n"}


def _without_blanks(text: str) -> str:
    return text.translate(_BLANKS)


def _grammar(reader: _Reader) -> pp.ParserElement:
    """The grammar of a whole file; its parse actions hand each line to `reader`.

    cfg = { comments and blank lines | (header | option | stray) newline }
    """

    def line(pattern: str, action: Callable[[int, re.Match[str]], None]) -> pp.ParserElement:
        def act(_text: str, location: int, tokens: pp.ParseResults) -> list[str]:
            action(location, tokens[0])
            return []

        return pp.Regex(pattern, as_match=True).set_parse_action(act)

    skipped = pp.Regex(r"(?:[^\S\n]*(?:[#;][^\n]*)?\n)+").suppress()
    header = line(
        r"[ \t]*(?P<open>\[)(?P<kind>[^\]\n]*)(?P<close>\]?)(?P<rest>[^\n]*)", reader.header
    )
    option = line(r"(?P<key>[^=\n]*)=(?P<value>[^\n#;]*)(?P<comment>[^\n]*)", reader.option)
    stray = line(r"(?P<text>[^\n]+)", reader.stray)
    content = header | option | stray
    cfg: pp.ParserElement = (skipped | content + pp.Suppress("\n"))[...]
    cfg.leave_whitespace().parse_with_tabs()
    return cfg


class _Reader:
    """Builds sections from the lines that the grammar recognises."""

    def __init__(self, source: Source, diagnostics: Diagnostics) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._starts = [0]
        for text in source.lines:
            self._starts.append(self._starts[-1] + len(text) + 1)
        self._sections: list[Section] = []
        self._open: tuple[str, Span] | None = None
        self._options: list[Option] = []
        self._headers = 0
        self.has_orphans = False  # options before any section

    def header(self, location: int, match: re.Match[str]) -> None:
        self._close_section()
        self._headers += 1
        name = match["kind"] if match["close"] else re.split(r"[\s#;]", match["kind"].strip())[0]
        kind = _without_blanks(name)
        length = len(match["open"] + match["kind"].rstrip() + match["close"])
        if match["close"]:
            length = match.end("close") - match.start("open")
        span = self._span(location, match, "open", length)
        if not match["close"] or not kind:
            self._diagnostics.error(
                Rule.BAD_HEADER,
                span,
                f"the section header has no {'name' if match['close'] else 'closing bracket'}",
                expected="[kind] alone on its line, such as [convolutional]",
            )
        self._header_rest(location, match)
        if not self._is_text(kind, span, "section name"):
            kind = ""
        self._open = (kind, span)

    def _header_rest(self, location: int, match: re.Match[str]) -> None:
        rest = match["rest"].strip()
        if not rest:
            return
        offset = len(match["rest"]) - len(match["rest"].lstrip())
        span = self._span(location, match, "rest", len(rest), offset)
        if rest[0] in "#;":
            self._diagnostics.warning(
                Rule.INLINE_COMMENT,
                span,
                "a comment behind a section header; Darknet takes it as part of the section's name",
                help="move the comment to a line of its own",
            )
        else:
            self._diagnostics.error(
                Rule.BAD_HEADER,
                span,
                f"text behind the section header: {shown(rest)}",
                expected="[kind] alone on its line",
            )

    def option(self, location: int, match: re.Match[str]) -> None:
        key = _without_blanks(match["key"])
        raw_value = match["value"]
        indent = len(match["key"]) - len(match["key"].lstrip())
        key_span = self._span(location, match, "key", max(1, len(match["key"].strip())), indent)
        lead = len(raw_value) - len(raw_value.lstrip()) if raw_value.strip() else 0
        length = max(1, len(raw_value.strip()))
        value_span = self._span(location, match, "value", length, lead)
        if not key:
            self._diagnostics.warning(
                Rule.NO_EQUALS,
                key_span,
                "no key before the =; Darknet ignores the line",
                expected="key=value",
            )
            return
        is_text = self._is_text(key, key_span, "key")
        is_text = self._is_text(raw_value, value_span, "value") and is_text
        value = _without_blanks(raw_value)
        comment = None
        if match["comment"]:
            comment = self._span(location, match, "comment", len(match["comment"].rstrip()))
        self._add(Option(key, key_span, value, value_span, comment, damaged=not is_text))

    def stray(self, location: int, match: re.Match[str]) -> None:
        text = match["text"]
        lead = len(text) - len(text.lstrip())
        words = re.split(r"[ \t:]+", text.strip(), maxsplit=1)
        span = self._span(location, match, "text", len(text.strip()), lead)
        self._add(Option(words[0], span, None, span))

    def _add(self, option: Option) -> None:
        if self._open is None:
            if not self.has_orphans:
                self._diagnostics.error(
                    Rule.FIRST_SECTION,
                    option.key_span,
                    f"{shown(option.key)} stands before any section",
                    expected="[net] as the first line that is no comment",
                )
            self.has_orphans = True
        else:
            self._options.append(option)

    def _is_text(self, text: str, span: Span, what: str) -> bool:
        if "\ufffd" not in text:
            return True
        self._diagnostics.error(
            Rule.ENCODING,
            span,
            f"the {what} holds bytes that are no UTF-8 text",
            expected="UTF-8 or ASCII text outside comments",
        )
        return False

    def _span(
        self, location: int, match: re.Match[str], group: str, length: int, offset: int = 0
    ) -> Span:
        position = location + match.start(group) - match.start() + offset
        line = bisect_right(self._starts, position)
        return Span(self._source, line, position - self._starts[line - 1] + 1, length)

    def _close_section(self) -> None:
        if self._open is not None and self._headers <= MAX_SECTIONS:
            self._sections.append(Section(*self._open, tuple(self._options)))
        elif self._open is not None and self._headers == MAX_SECTIONS + 1:
            self._diagnostics.error(
                Rule.TOO_LARGE,
                self._open[1],
                f"the file has more than {MAX_SECTIONS} sections",
                expected=f"at most {MAX_SECTIONS} sections",
            )
        self._options = []

    def finish(self) -> tuple[Section, ...]:
        self._close_section()
        return tuple(self._sections)


def _check_first_section(
    sections: tuple[Section, ...], source: Source, diagnostics: Diagnostics
) -> None:
    expected = "[net] (or [network]) as the first section"
    if not sections:
        if not diagnostics.errors:
            diagnostics.error(
                Rule.NOT_A_CFG, Span(source, 1, 1), "the file has no section", expected=expected
            )
    elif sections[0].kind not in ("net", "network", ""):  # "": reported as a header
        diagnostics.error(
            Rule.FIRST_SECTION,
            sections[0].span,
            f"the first section is [{shown(sections[0].kind)}]",
            expected=expected,
            help=did_you_mean(sections[0].kind, ("net", "network"))
            or "put [net] with width, height and channels at the top",
        )
