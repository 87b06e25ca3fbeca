"""What the rules look at: a cfg as text, as typed sections and, where it compiles, as a graph."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from yolo_gp.errors import Diagnostic, Severity, Span
from yolo_gp.graph import Graph
from yolo_gp.layers.base import Head, is_head
from yolo_gp.layers.net_training import NetTraining
from yolo_gp.lint.labels import Labels
from yolo_gp.nodes import Node
from yolo_gp.rules import Rule
from yolo_gp.spec import NetworkSpec
from yolo_gp.syntax import CfgFile, Option, Section

Findings = Iterator[Diagnostic]
"""What a check gives."""


@dataclass(frozen=True)
class Subject:
    """A cfg whose [net] is right.

    Fields:
        cfg: its text; the first section is [net].
        spec: its sections, typed.
        labels: the classes that it is to be compared with.
    """

    cfg: CfgFile
    spec: NetworkSpec
    labels: Labels

    @property
    def net(self) -> Section:
        return self.cfg.sections[0]

    @property
    def training(self) -> NetTraining:
        return self.spec.net.training

    def section(self, written: int) -> Section:
        """The text of a section by its number as users count."""
        return self.cfg.sections[written + 1]

    @functools.cached_property
    def written_heads(self) -> tuple[tuple[Section, Head], ...]:
        """Every head with its text, in file order."""
        found = ((self.section(w.written), w.layer) for w in self.spec.layers)
        return tuple((section, layer) for section, layer in found if is_head(layer))


@dataclass(frozen=True)
class Compiled(Subject):
    """A cfg that compiles."""

    graph: Graph

    @functools.cached_property
    def heads(self) -> tuple[HeadPlace, ...]:
        """The heads in file order."""
        size = self.graph.input_shape.size
        return tuple(
            HeadPlace(node, head, self.section(node.written), size)
            for node, head in self.graph.heads
        )


@dataclass(frozen=True, slots=True)
class HeadPlace:
    """A head in its network.

    Fields:
        section: its text.
        input_size: the network's, (height, width) in pixels.
    """

    node: Node
    head: Head
    section: Section
    input_size: tuple[int, int]

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.node.input_shapes[0].size

    @property
    def stride(self) -> tuple[float, float]:
        """Input pixels per cell, (y, x)."""
        (height, width), (rows, columns) = self.input_size, self.map_size
        return height / rows, width / columns

    @property
    def line(self) -> int:
        return self.section.span.line


def option_of(section: Section, key: str) -> Option | None:
    """The line of a key that counts; None if the key is absent or has no value."""
    return next((o for o in section.options if o.key == key and o.value), None)


def span_of(section: Section, key: str) -> Span:
    """Where the value of a key stands; the section's header if the key is absent."""
    option = option_of(section, key)
    return option.value_span if option else section.span


def warning(
    rule: Rule, span: Span, message: str, *, expected: str | None = None, help: str | None = None
) -> Diagnostic:
    return Diagnostic(rule, Severity.WARNING, span, message, expected, help)
