"""A network as plain Darknet cfg: macros expanded, names and our own sections resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.dialect import Dialect
from yolo_gp.edits import Edits, Renumbering, last_line, renumber
from yolo_gp.errors import Diagnostic, Diagnostics, Severity, Span
from yolo_gp.graph import Graph
from yolo_gp.layers.answers import PlainSection
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.nodes import INPUT, Node
from yolo_gp.rules import Rule
from yolo_gp.spec import WrittenLayer
from yolo_gp.syntax import Option, Section, parse_cfg

_NAME, _STOP = "name", "stop_gradient"


@dataclass(frozen=True, slots=True)
class PlainCfg:
    """A cfg that Darknet reads.

    Fields:
        content: its text.
        notes: what the text leaves out, or what Darknet makes of it, at lines of the original.
    """

    content: bytes
    notes: tuple[Diagnostic, ...]


def write_plain(content: bytes, graph: Graph) -> PlainCfg:
    """The cfg `content`, compiled as `graph`, without anything that Darknet does not know.

    Sections of Darknet's own keep their text, comments included; only references to layers are
    renumbered. Others are written out under a comment that holds the original. The order of
    convolutions, and so of a `.weights` file, is unchanged.

    Raises:
        CfgError: a section, or a key, has no equivalent in Darknet.
    """
    _check_dialect(graph)
    return _Writer(content, graph).write()


def _check_dialect(graph: Graph) -> None:
    """Refuse a cfg whose sections do not mean what they mean to Darknet."""
    if graph.dialect is Dialect.DARKNET:
        return
    found = Diagnostics()
    found.error(
        Rule.NOT_PLAIN,
        graph.spec.net.span,
        f"the file is read as {graph.dialect.code} reads it, which no cfg for Darknet can say: "
        "batch norm, max pools and [yolo] differ",
        expected="a cfg in Darknet's language",
    )
    found.raise_errors()


@dataclass(frozen=True, slots=True)
class _Written:
    """A section of the source: its text, its type, and what it becomes.

    Fields:
        plain: for each of its nodes, the sections that stand for it; None if its text stays.
    """

    section: Section
    layer: WrittenLayer
    nodes: tuple[Node, ...]
    plain: tuple[tuple[PlainSection, ...], ...] | None

    @property
    def count(self) -> int:
        """How many sections it becomes."""
        return 1 if self.plain is None else sum(len(sections) for sections in self.plain)


class _Writer:
    def __init__(self, content: bytes, graph: Graph) -> None:
        self._graph = graph
        self._file = graph.spec.net.span.file
        self._edits = Edits(content)
        self._found = Diagnostics()
        sections = parse_cfg(content, self._file, Diagnostics()).sections[1:]
        self._written = [
            self._lower(section, layer)
            for section, layer in zip(sections, graph.spec.layers, strict=True)
        ]
        self._found.raise_errors()
        # The plain section that is the output of each written section, and of each node.
        self._section_ends: list[int] = []
        self._node_ends: dict[int, int] = {INPUT: INPUT}
        for written in self._written:
            self._number(written)

    def write(self) -> PlainCfg:
        copied = [written.layer for written in self._written if written.plain is None]
        numbers = Renumbering(self._section_ends, keep_names=False)
        lost = renumber(self._edits, self._graph.spec, copied, numbers)
        assert not lost
        for written, end in zip(self._written, self._section_ends, strict=True):
            self._note_stop(written)
            if written.plain is None:
                self._clean(written.section)
            else:
                self._write_out(written, end + 1 - written.count)
        self._found.raise_errors()
        return PlainCfg(self._edits.content(), tuple(self._found.warnings))

    # -- what each section becomes ---------------------------------------------------------------

    def _lower(self, section: Section, layer: WrittenLayer) -> _Written:
        nodes = tuple(node for node in self._graph.nodes if node.written == layer.written)
        if layer.macro is None and layer.layer is not None and not layer.layer.ours:
            if key := layer.layer.beyond_darknet():
                span = next(o.key_span for o in section.options if o.key == key)
                self._report(span, f"[{layer.kind}] {key} has no equivalent in Darknet")
            return _Written(section, layer, nodes, None)
        plain = tuple(self._plain_sections(layer, node) for node in nodes)
        return _Written(section, layer, nodes, plain)

    def _plain_sections(self, layer: WrittenLayer, node: Node) -> tuple[PlainSection, ...]:
        try:
            sections = node.layer.plain_sections(node.input_shapes)
        except ShapeProblem as problem:
            names = [self._name(edge.source) for edge in node.inputs]
            message = problem.message.format(*names)
            self._found.error(problem.rule, problem.span, message, expected=problem.expected)
            return ()
        if not sections:
            self._report(layer.span, f"[{layer.kind}] has no equivalent in Darknet")
        return sections

    def _name(self, source: int) -> str:
        if source == INPUT:
            return "the input"
        return f"layer {self._graph.nodes[source].written}"

    def _report(self, span: Span, message: str) -> None:
        self._found.error(
            Rule.NOT_PLAIN, span, message, expected="sections and keys that Darknet knows"
        )

    def _number(self, written: _Written) -> None:
        start = self._section_ends[-1] + 1 if self._section_ends else 0
        self._section_ends.append(start + written.count - 1)
        end = start - 1
        for position, node in enumerate(written.nodes):
            end += 1 if written.plain is None else len(written.plain[position])
            self._node_ends[node.index] = end

    # -- text ------------------------------------------------------------------------------------

    def _note_stop(self, written: _Written) -> None:
        stop = _stop_of(written.section)
        if stop is not None:
            self._note(
                stop.key_span,
                f"[{written.layer.kind}] {_STOP}={stop.value} is left out: Darknet has no such "
                "key; results are the same, training is not",
            )

    def _note(self, span: Span, message: str) -> None:
        self._found.add(Diagnostic(Rule.NOT_PLAIN, Severity.WARNING, span, message))

    def _clean(self, section: Section) -> None:
        """Take the lines out that Darknet would not know; comments behind values stay."""
        for option in section.options:
            if option.key not in (_NAME, _STOP):
                continue
            line = option.key_span.line
            self._edits.remove(line)
            if option.comment:
                self._edits.insert_before(line, [option.comment.text])
            if option.key == _STOP and option.value != "none":
                self._edits.insert_before(line, [_left_out(option)])

    def _write_out(self, written: _Written, start: int) -> None:
        """Replace a section's lines, as far as its last option, by what it stands for."""
        first, last = written.section.span.line, last_line(written.section)
        source = written.section.span.source
        self._edits.insert_before(first, self._origin(written))
        for line in range(first, last + 1):
            self._edits.remove(line)
            text = source.line(line).strip()
            if text and line > first:
                quoted = text if text[0] in "#;" else f"#   {text}"
                self._edits.insert_before(first, [quoted])
        number = start
        blocks = []
        for node, sections in zip(written.nodes, written.plain or (), strict=True):
            self._note_fast_path(node, sections)
            for section in sections:
                blocks.append([f"[{section.kind}]", *self._options(written, node, section, number)])
                number += 1
        for position, block in enumerate(blocks):
            self._edits.insert_before(first, ([""] if position else []) + block)

    def _origin(self, written: _Written) -> Iterator[str]:
        where = f"line {written.section.span.line} of {Path(self._file).name}"
        count = f"{written.count} sections" if written.count > 1 else "1 section"
        yield f"# [{written.layer.kind}] at {where}, as {count}:"
        stop = _stop_of(written.section)
        if stop is not None:
            yield _left_out(stop)

    def _options(
        self, written: _Written, node: Node, section: PlainSection, number: int
    ) -> Iterator[str]:
        if section.reads_key is not None:
            sources = [self._relative(written, node, read, number) for read in section.reads]
            yield f"{section.reads_key}={','.join(map(str, sources))}"
        for key, value in section.options:
            yield f"{key}={value}"

    def _relative(self, written: _Written, node: Node, read: int, number: int) -> int:
        if read < 0:
            return read
        source = self._node_ends[node.inputs[read].source]
        if source == INPUT:
            self._report(
                written.layer.span,
                f"[{written.layer.kind}] reads the network's input a second time, which no "
                "section of Darknet's can",
            )
        return source - number

    def _note_fast_path(self, node: Node, sections: Sequence[PlainSection]) -> None:
        """Warn of a sum that AlexeyAB's CPU build gets wrong (darknet.md part 10, item 10)."""
        if len(sections) > 1 or sections[0].reads_key != "from" or len(node.inputs) != 2:
            return
        x, narrow = node.input_shapes
        source = self._graph.nodes[node.inputs[1].source]
        if source.layer.filters(source.input_shapes) is None:
            return
        if narrow.channels < x.channels and source.input_shapes[0] == x:
            self._note(
                node.layer.span,
                f"AlexeyAB's CPU build adds {x.channels} channels of a source that has "
                f"{narrow.channels}, as that source reads a map of the same shape as this layer",
            )


def _stop_of(section: Section) -> Option | None:
    """The option by which a section stops gradients."""
    found = (option for option in section.options if option.key == _STOP)
    return next((option for option in found if option.value != "none"), None)


def _left_out(option: Option) -> str:
    return f"# {option.key}={option.value} is left out: Darknet has no such key"
