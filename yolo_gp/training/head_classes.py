"""A cfg made to fit a data set: other classes in its heads, another input size, in its own text."""

from __future__ import annotations

from yolo_gp.edits import Edits
from yolo_gp.errors import Diagnostics, UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.base import Head
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.yolo import Yolo
from yolo_gp.nodes import INPUT, Node
from yolo_gp.syntax import Section, parse_cfg

_PER_CLASS = ("counters_per_class",)  # lists that are as long as there are classes


def with_classes(content: bytes, graph: Graph, count: int) -> bytes:
    """The cfg with `count` classes in every head, and convolutions before them to match.

    All else stays byte for byte, comments included. A list with a number for each class becomes
    a comment.

    Args:
        content: the cfg's text.
        graph: what it was compiled to.

    Raises:
        UsageError: the map that a head reads is not made by a convolution of its own.
    """
    edits = Edits(content)
    sections = parse_cfg(content, "", Diagnostics()).sections
    for node, head in graph.heads:
        if head.num_classes == count:
            continue
        own = sections[node.written + 1]  # the first is [net]
        edits.set_option(own, "classes", str(count))
        _comment_out(edits, own)
        for edge, shape, wanted in zip(
            node.inputs, node.input_shapes, _map_channels(head, count), strict=False
        ):
            if wanted != shape.channels:
                maker = _maker(graph, node, edge.source)
                edits.set_option(sections[maker.written + 1], "filters", str(wanted))
    return edits.content()


def with_input_size(content: bytes, size: tuple[int, int]) -> bytes:
    """The cfg with (height, width) of its input replaced."""
    edits = Edits(content)
    net = parse_cfg(content, "", Diagnostics()).sections[0]
    for key, value in zip(("height", "width"), size, strict=True):
        edits.set_option(net, key, str(value))
    return edits.content()


def _comment_out(edits: Edits, section: Section) -> None:
    for option in section.options:
        if option.key in _PER_CLASS:
            edits.replace(option.key_span, f"# {option.key_span.text}")


def _map_channels(head: Head, count: int) -> tuple[int, ...]:
    """Channels of the maps that a head reads if it tells `count` classes apart."""
    if isinstance(head, Yolo):
        return (len(head.anchors.mask) * (5 + count + head.masks.count),)
    assert isinstance(head, AnchorFree)
    return (4 * head.bins, count, head.masks.count)


def _maker(graph: Graph, reader: Node, source: int) -> Node:
    """The convolution whose output is layer `source`.

    Raises:
        UsageError: it is no convolution that stands in the cfg.
    """
    if source != INPUT:
        node = graph.nodes[source]
        is_macro = graph.spec.layers[node.written].macro is not None
        if isinstance(node.layer, Convolutional) and not is_macro:
            return node
        found = f"layer {node.written} [{graph.spec.layers[node.written].kind}]"
    else:
        found = "the network's input"
    raise UsageError(
        f"{reader.layer.span}: the classes of [{reader.layer.kind}] cannot be changed: it reads "
        f"{found}, and only a convolution's filters can be\n"
        "expected: a [convolutional] directly before the head\n"
        "help: write the cfg for the classes of the data by hand"
    )
