"""Typed layers to a graph: resolved sources, shapes and costs, all known before torch is loaded."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from yolo_gp.building import Builder
from yolo_gp.cost import Cost
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Diagnostic, Diagnostics, UsageError
from yolo_gp.files import os_reason
from yolo_gp.fingerprint import fingerprint
from yolo_gp.layers.base import Head, is_head
from yolo_gp.nodes import INPUT, Edge, Node
from yolo_gp.shapes import FeatureShape, PartialShape
from yolo_gp.spec import NetworkSpec, specify
from yolo_gp.syntax import parse_cfg


@dataclass(frozen=True)
class Graph:
    """A compiled network description. Frozen; a new input size gives a new graph.

    Fields:
        input_shape: one image, (C, H, W).
        nodes: in file order; each reads only earlier ones.
        letter_box: the cfg asks for images resized with their aspect ratio kept.
        warnings: what was found on the way.
    """

    spec: NetworkSpec
    input_shape: FeatureShape
    nodes: tuple[Node, ...]
    letter_box: bool
    warnings: tuple[Diagnostic, ...] = ()

    @functools.cached_property
    def total(self) -> Cost:
        """Cost of the whole network for one image."""
        return functools.reduce(Cost.__add__, (node.cost for node in self.nodes), Cost())

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of what the network computes; see fingerprint.py."""
        return fingerprint(self.input_shape.channels, self.nodes)

    @property
    def dialect(self) -> Dialect:
        """The one that the cfg was read in."""
        return self.spec.net.dialect

    @property
    def cfg_text(self) -> str:
        """The text it was compiled from, with "\\n" as line ends; it may name another size.

        Where only the caller said which dialect it is in, [net] says so here.
        """
        header = self.spec.net.span
        lines = list(header.source.lines)
        if not self.spec.tells_dialect:
            lines.insert(header.line, f"dialect={self.dialect.value}")
        return "\n".join(lines).rstrip("\n") + "\n"

    @functools.cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """For each layer, the layers that read it."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for source in {edge.source for edge in node.inputs} - {INPUT}:
                users[source].append(node.index)
        return tuple(tuple(u) for u in users)

    @functools.cached_property
    def heads(self) -> tuple[tuple[Node, Head], ...]:
        """The detection heads in file order."""
        return tuple((node, node.layer) for node in self.nodes if is_head(node.layer))

    def naming(self, count: int) -> Graph:
        """The same network, its heads with the list of classes that has so many, if one has."""
        named = {node.index: head.naming(count) for node, head in self.heads}
        if all(named[node.index] is head for node, head in self.heads):
            return self
        nodes = (replace(n, layer=named.get(n.index, n.layer)) for n in self.nodes)
        return replace(self, nodes=tuple(nodes))

    @functools.cached_property
    def recurrent_nodes(self) -> tuple[Node, ...]:
        """The layers that remember what they were given before."""
        return tuple(node for node in self.nodes if node.layer.remembers())

    @functools.cached_property
    def output_edges(self) -> tuple[Edge, ...]:
        """What the network returns: the maps its heads read; without heads, the last layer."""
        if self.heads:
            return tuple(edge for node, _ in self.heads for edge in node.inputs)
        return (Edge(self.nodes[-1].index),)

    @functools.cached_property
    def stride(self) -> int:
        """Input pixels per cell of the coarsest map, along the height.

        Maps of a single row count only where they are returned: elsewhere they are averages over
        the whole image, whatever its size.
        """
        shapes = [self.shape_of(edge.source) for edge in self.output_edges]
        shapes += [node.output_shape for node in self.nodes if node.output_shape.height > 1]
        return max(max(1, self.input_shape.height // shape.height) for shape in shapes)

    def shape_of(self, source: int) -> FeatureShape:
        return self.input_shape if source == INPUT else self.nodes[source].output_shape

    def with_input_size(self, size: tuple[int, int]) -> Graph:
        """The same network at another input size, (height, width) in pixels.

        Raises:
            CfgError: the layers do not fit together at that size.
        """
        if size == self.input_shape.size:
            return self
        diagnostics = Diagnostics()
        graph = build_graph(self.spec, diagnostics, size)
        diagnostics.raise_errors()
        assert graph is not None
        return replace(graph, warnings=self.warnings)


def read_graph(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    strict: bool = False,
    dialect: Dialect | None = None,
) -> Graph:
    """Compile a cfg file as far as shapes and costs.

    Args:
        input_size: (height, width) to use in place of the cfg's.
        strict: treat warnings as errors.
        dialect: to read it in; by default the one that it tells itself.

    Raises:
        CfgError: with every finding of the file.
        UsageError: the file cannot be read.
    """
    content = read_content(path)
    return compile_text(content, str(path), input_size=input_size, strict=strict, dialect=dialect)


def read_content(path: Path) -> bytes:
    """The bytes of a cfg file.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read cfg {path}: {os_reason(error)}") from error


def compile_text(
    content: bytes | str,
    file: str,
    *,
    input_size: tuple[int, int] | None = None,
    strict: bool = False,
    dialect: Dialect | None = None,
) -> Graph:
    """Compile cfg text as far as shapes and costs; `file` is the name that messages show.

    Raises:
        CfgError: with every finding of the text.
    """
    diagnostics = Diagnostics()
    cfg = parse_cfg(content, file, diagnostics)
    spec = specify(cfg, diagnostics, dialect)
    graph = build_graph(spec, diagnostics, input_size) if spec else None
    diagnostics.raise_errors(strict=strict)
    assert graph is not None
    return replace(graph, warnings=tuple(diagnostics.warnings))


def build_graph(
    spec: NetworkSpec, diagnostics: Diagnostics, input_size: tuple[int, int] | None = None
) -> Graph | None:
    """Resolve references, infer shapes, count costs. None if an error was found on the way."""
    input_shape = spec.net.input_shape
    if input_size and input_shape.channels:
        input_shape = PartialShape(input_shape.channels, *input_size)
    built = Builder(spec, input_shape, diagnostics).build()
    return Graph(spec, *built, spec.net.letter_box) if built else None
