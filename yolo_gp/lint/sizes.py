"""Input sizes that a network's strides do not divide."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_gp.errors import CfgError
from yolo_gp.graph import Graph
from yolo_gp.lint.subject import Compiled, Findings, span_of, warning
from yolo_gp.rules import Rule
from yolo_gp.shapes import format_size

_STEPS = (32, 64, 128)  # input sizes that work are multiples of one of these


def uneven_input(subject: Compiled) -> Findings:
    """An input of which the cells of a head's map are no whole number of pixels."""
    graph = subject.graph
    height, width = graph.input_shape.size
    uneven = [place for place in subject.heads if not _divides(graph, place.map_size)]
    if not uneven:
        return
    first = next(node for node in graph.nodes if not _divides(graph, node.output_shape.size))
    before = graph.shape_of(first.inputs[0].source).size
    cells = ", ".join(f"{format_size(place.map_size)} (line {place.line})" for place in uneven)
    key = "width" if width % uneven[0].map_size[1] else "height"
    sizes = " or ".join(f"height={h}, width={w}" for h, w in _even_sizes(graph))
    yield warning(
        Rule.UNEVEN_INPUT,
        span_of(subject.net, key),
        f"the input, {format_size((height, width))}, is no multiple of the strides: layer "
        f"{first.written}, [{first.layer.kind}] at line {first.layer.span.line}, makes "
        f"{format_size(first.output_shape.size)} of {format_size(before)}, and heads get "
        f"{cells} cells",
        expected="a height and width that every head's stride divides",
        help=sizes or None,
    )


def _divides(graph: Graph, size: tuple[int, int]) -> bool:
    (height, width), (rows, columns) = graph.input_shape.size, size
    return height % rows == 0 and width % columns == 0


def _even_sizes(graph: Graph) -> Iterator[tuple[int, int]]:
    """The nearest smaller and the nearest larger input size, of equal step, that is even."""
    for step in _STEPS:
        height, width = graph.input_shape.size
        smaller = (height // step * step, width // step * step)
        larger = (-(-height // step) * step, -(-width // step) * step)
        found = [size for size in (smaller, larger) if min(size) and _is_even(graph, size)]
        if found:
            yield from found
            return


def _is_even(graph: Graph, size: tuple[int, int]) -> bool:
    try:
        resized = graph.with_input_size(size)
    except CfgError:
        return False
    return all(_divides(resized, node.input_shapes[0].size) for node, _ in resized.heads)
