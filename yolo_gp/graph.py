"""Typed layers to a graph: resolved sources, shapes and costs, all known before torch is loaded."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yolo_gp.cost import Cost
from yolo_gp.errors import Diagnostic, Diagnostics, Severity, Span, UsageError
from yolo_gp.files import os_reason
from yolo_gp.layers.base import Head, Layer, ShapeProblem
from yolo_gp.options import Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, format_size
from yolo_gp.spec import NetworkSpec, WrittenLayer, specify
from yolo_gp.syntax import parse_cfg

INPUT = -1
"""The source number that stands for the network's input."""

MAX_ELEMENTS = 2**31  # of one map, for one image
MAX_PARAMS = 2**33  # of the whole network: 32 GiB of float32
_COARSEST_STRIDE = 32


@dataclass(frozen=True, slots=True)
class Edge:
    """A layer's reading of another layer's output. A detached edge carries no gradient."""

    source: int
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in the graph.

    Fields:
        index: position among all layers; what `Edge.source` means.
        written: the section's number as users count.
        layer: the typed layer.
        inputs: what it reads, in the layer's order.
        input_shapes, output_shape: of one image.
        cost: for one image.
        weights_of: the layer whose parameters it shares; None if it has its own.
    """

    index: int
    written: int
    layer: Layer
    inputs: tuple[Edge, ...]
    input_shapes: tuple[FeatureShape, ...]
    output_shape: FeatureShape
    cost: Cost
    weights_of: int | None = None


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
        return tuple((node, node.layer) for node in self.nodes if isinstance(node.layer, Head))

    @functools.cached_property
    def output_edges(self) -> tuple[Edge, ...]:
        """What the network returns: the maps its heads read; without heads, the last layer."""
        if self.heads:
            return tuple(edge for node, _ in self.heads for edge in node.inputs)
        return (Edge(self.nodes[-1].index),)

    @functools.cached_property
    def stride(self) -> int:
        """Input pixels per cell of the coarsest map, along the height.

        Maps of a single row count only where a head reads them: elsewhere they are averages over
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
    path: Path, *, input_size: tuple[int, int] | None = None, strict: bool = False
) -> Graph:
    """Compile a cfg file as far as shapes and costs.

    Args:
        input_size: (height, width) to use in place of the cfg's.
        strict: treat warnings as errors.

    Raises:
        CfgError: with every finding of the file.
        UsageError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read cfg {path}: {os_reason(error)}") from error
    return compile_text(content, str(path), input_size=input_size, strict=strict)


def compile_text(
    content: bytes | str,
    file: str,
    *,
    input_size: tuple[int, int] | None = None,
    strict: bool = False,
) -> Graph:
    """Compile cfg text as far as shapes and costs; `file` is the name that messages show.

    Raises:
        CfgError: with every finding of the text.
    """
    diagnostics = Diagnostics()
    cfg = parse_cfg(content, file, diagnostics)
    spec = specify(cfg, diagnostics)
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
    builder = _Builder(spec, input_shape, diagnostics)
    for written in spec.layers:
        builder.add(written)
    return builder.finish()


@dataclass(frozen=True, slots=True)
class _SourceName:
    """How a message names a source: "{0}" is this as text, "{0.line}" the line of its header."""

    text: str
    line: int

    def __format__(self, _spec: str) -> str:
        return self.text


class _Builder:
    """Adds layers one by one, with shapes that may be partly unknown after an error."""

    def __init__(
        self, spec: NetworkSpec, input_shape: PartialShape, diagnostics: Diagnostics
    ) -> None:
        self._spec = spec
        self._input_shape = input_shape
        self._diagnostics = diagnostics
        self._shapes: list[PartialShape] = []
        self._nodes: list[Node] = []
        self._check_elements(input_shape, spec.net.span, "the input")

    def add(self, written: WrittenLayer) -> None:
        shape, node = PartialShape(), None
        if written.layer is not None:
            references = written.layer.sources()
            sources = [self._resolve(reference, written) for reference in references]
            if all(source is not None for source in sources):
                edges = [source for source in sources if source is not None]
                shape, node = self._place(written, written.layer, edges)
        self._shapes.append(shape)
        if node is not None:
            self._nodes.append(node)

    def _place(
        self, written: WrittenLayer, layer: Layer, sources: Sequence[int]
    ) -> tuple[PartialShape, Node | None]:
        inputs = [self._shape(source) for source in sources]
        if not written.trusted or not inputs:
            return PartialShape(), None
        try:
            shape = layer.output_shape(inputs)
        except ShapeProblem as problem:
            self._diagnostics.add(self._phrase(problem, Severity.ERROR, sources))
            return PartialShape(), None
        for remark in layer.remarks(inputs):
            self._diagnostics.add(self._phrase(remark, Severity.WARNING, sources))
        if not self._check_elements(shape, layer.span, f"[{written.kind}]"):
            return PartialShape(), None
        return shape, self._node(written, layer, sources, inputs, shape)

    def _node(
        self,
        written: WrittenLayer,
        layer: Layer,
        sources: Sequence[int],
        inputs: Sequence[PartialShape],
        shape: PartialShape,
    ) -> Node | None:
        output = shape.complete
        known = [source.complete for source in inputs]
        input_shapes = tuple(source for source in known if source is not None)
        if output is None or len(input_shapes) < len(inputs):
            return None
        owner = self._weights_owner(written, layer, inputs)
        return Node(
            index=len(self._shapes),
            written=written.written,
            layer=layer,
            inputs=tuple(Edge(source) for source in sources),
            input_shapes=input_shapes,
            output_shape=output,
            cost=layer.cost(input_shapes, output),
            weights_of=owner,
        )

    def _shape(self, source: int) -> PartialShape:
        return self._input_shape if source == INPUT else self._shapes[source]

    def _resolve(self, reference: Reference, written: WrittenLayer) -> int | None:
        own = len(self._shapes)
        index = reference.value if reference.value >= 0 else own + reference.value
        if 0 <= index < own or (own == 0 and reference.value == -1):
            return index
        where = "itself" if index == own else "a later layer" if index > own else "no layer"
        self._diagnostics.error(
            Rule.BAD_REFERENCE,
            reference.span,
            f"[{written.kind}], which is layer {own}, refers to {reference.value}, {where}",
            expected=f"0 to {own - 1}, or -1 to -{own}" if own else "a layer before this one",
            help="layers count from 0, [net] not included; negative numbers count back",
        )
        return None

    def _weights_owner(
        self, written: WrittenLayer, layer: Layer, inputs: Sequence[PartialShape]
    ) -> int | None:
        reference = layer.shares_weights_of()
        index = self._resolve(reference, written) if reference else None
        if reference is None or index is None or index == INPUT:
            return None
        owner = next((node for node in self._nodes if node.index == index), None)
        if owner is None:
            return None  # its own error has been reported
        problem = layer.sharing_problem(inputs, owner.layer, owner.input_shapes)
        if problem is None:
            return owner.index if owner.weights_of is None else owner.weights_of
        self._diagnostics.error(
            Rule.SHARED_LAYER,
            reference.span,
            f"[{written.kind}] cannot share the weights of layer {index}: {problem}",
            expected="a layer whose weights have the same shape",
        )
        return None

    def _check_elements(self, shape: PartialShape, span: Span, what: str) -> bool:
        complete = shape.complete
        if complete is None or complete.elements <= MAX_ELEMENTS:
            return True
        self._diagnostics.error(
            Rule.TOO_LARGE,
            span,
            f"{what} gives a map of {complete}, {complete.elements} numbers",
            expected=f"at most {MAX_ELEMENTS}",
        )
        return False

    def _phrase(
        self, problem: ShapeProblem, severity: Severity, sources: Sequence[int]
    ) -> Diagnostic:
        names = [self._name(source) for source in sources]
        helps = [problem.help] if problem.help else []
        if problem.wanted_size:
            helps += self._size_help(problem.wanted_size, sources)
        expected = problem.expected.format(*names) if problem.expected else None
        return Diagnostic(
            problem.rule,
            severity,
            problem.span,
            problem.message.format(*names),
            expected,
            "; ".join(helps).format(*names) or None,
        )

    def _name(self, source: int) -> _SourceName:
        if source == INPUT:
            return _SourceName("the input", self._spec.net.span.line)
        return _SourceName(f"layer {source}", self._spec.layers[source].span.line)

    def _size_help(self, wanted: tuple[int, int], sources: Sequence[int]) -> list[str]:
        size = self._input_shape.size
        if size and any(length % _COARSEST_STRIDE for length in size):
            return [
                f"the input, {format_size(size)}, is no multiple of {_COARSEST_STRIDE}, so maps "
                "that were halved and doubled again differ"
            ]
        fitting = [
            index
            for index, shape in enumerate(self._shapes)
            if shape.size == wanted and index not in sources
        ]
        if not fitting:
            return []
        nearest = min(fitting, key=lambda index: min(abs(index - source) for source in sources[1:]))
        return [f"layer {nearest} is {format_size(wanted)}"]

    def finish(self) -> Graph | None:
        input_shape = self._input_shape.complete
        if self._diagnostics.errors or input_shape is None:
            return None
        self._check_totals(input_shape)
        if self._diagnostics.errors:
            return None
        net = self._spec.net
        return Graph(self._spec, input_shape, tuple(self._nodes), net.letter_box)

    def _check_totals(self, input_shape: FeatureShape) -> None:
        params = sum(node.cost.params for node in self._nodes)
        span = self._spec.net.span
        if params > MAX_PARAMS:
            self._diagnostics.error(
                Rule.TOO_LARGE,
                span,
                f"the network has {params} parameters",
                expected=f"at most {MAX_PARAMS}",
            )
        spatial = any(min(s.size) > 1 for node in self._nodes for s in node.input_shapes)
        if not spatial:
            self._diagnostics.warning(
                Rule.NO_SPATIAL_LAYER,
                span,
                "no layer reads a map larger than one pixel; AlexeyAB's Darknet cannot load such "
                "a network",
            )
