"""The anchors of all heads in pixels, and others in their place: each in one head, by size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from yolo_gp.adjusting.anchors import anchors_text
from yolo_gp.edits import Edits
from yolo_gp.graph import Graph
from yolo_gp.layers.anchors import Anchors
from yolo_gp.layers.base import Head
from yolo_gp.nodes import Node
from yolo_gp.syntax import Section

Pairs = tuple[tuple[float, float], ...]

_SILENCES = re.compile(r"\s*[#;]\s*lint:\s*ignore\b")


@dataclass(frozen=True, slots=True)
class _AnchorHead:
    """A head that has anchors.

    Fields:
        cell: (width, height) of what its anchors count, in pixels of the input.
    """

    node: Node
    anchors: Anchors
    cell: tuple[float, float]

    @property
    def slots(self) -> int:
        """How many boxes each cell of its map proposes."""
        return len(self.anchors.mask)

    @property
    def cells(self) -> int:
        """How many cells its map has."""
        shape = self.node.input_shapes[0]
        return shape.height * shape.width


def used_anchors(graph: Graph) -> Pairs:
    """(width, height) of the anchors that heads predict with, in pixels, each once."""
    found = (
        (width * head.cell[0], height * head.cell[1])
        for head in _heads(graph)
        for width, height in head.anchors.masked_wh
    )
    return tuple(dict.fromkeys(found))


def anchor_slots(graph: Graph) -> int:
    """How many anchors the heads use together, if each has its own."""
    return sum(head.slots for head in _heads(graph))


def scaled_anchors(graph: Graph, size: tuple[int, int]) -> Pairs | None:
    """The anchors of a network for another input size, (height, width), by area; in pixels.

    None where there are more or fewer than the heads have use for.
    """
    listed = [pair for head in _heads(graph) for pair in _all_scaled(head, graph, size)]
    distinct = tuple(sorted(set(listed), key=lambda wh: (wh[0] * wh[1], wh)))
    return distinct if len(distinct) == anchor_slots(graph) else None


def put_anchors(
    edits: Edits, sections: Sequence[Section], graph: Graph, anchors_wh: Pairs
) -> tuple[int, ...]:
    """Give the heads these anchors; which sections that concerned, by their numbers.

    Heads that list anchors for all of them do so again, each with its own mask.

    Args:
        sections: those after [net], as they stand in the text.
        graph: the network at its new input size.
        anchors_wh: (width, height) in pixels, by area; as many as `anchor_slots`.
    """
    first = 0
    heads = _heads(graph)
    for head in sorted(heads, key=lambda head: -head.cells):
        own = range(first, first + head.slots)
        first = own.stop
        section = sections[head.node.written]
        shown = anchors_wh[own.start : own.stop] if head.anchors.mask_is_default else anchors_wh
        if not head.anchors.mask_is_default and head.anchors.mask != tuple(own):
            edits.set_option(section, "mask", ",".join(map(str, own)))
            _forget_silencing(edits, section)
        edits.set_option(section, "anchors", _text(shown, head.cell))
        edits.set_option(section, "num", str(len(shown)))
    return tuple(head.node.written for head in heads)


def _forget_silencing(edits: Edits, section: Section) -> None:
    """Take out a comment that silences what was to be said of the old mask."""
    for option in section.options:
        above = option.key_span.line - 1
        if option.key == "mask" and _SILENCES.match(section.span.source.line(above)):
            edits.remove(above)


def put_scaled_anchors(
    edits: Edits, sections: Sequence[Section], graph: Graph, size: tuple[int, int]
) -> tuple[int, ...]:
    """Scale the anchors that the heads list to another input size; masks stay."""
    heads = _heads(graph)
    for head in heads:
        wh = _all_scaled(head, graph, size)
        edits.set_option(sections[head.node.written], "anchors", _text(wh, head.cell))
    return tuple(head.node.written for head in heads)


def _heads(graph: Graph) -> list[_AnchorHead]:
    return [
        _AnchorHead(node, anchors, _cell(graph, node, head))
        for node, head in graph.heads
        if (anchors := head.box_anchors()) is not None
    ]


def _cell(graph: Graph, node: Node, head: Head) -> tuple[float, float]:
    if not head.anchors_in_cells:
        return 1.0, 1.0
    (height, width), grid = graph.input_shape.size, node.input_shapes[0]
    return width / grid.width, height / grid.height


def _all_scaled(head: _AnchorHead, graph: Graph, size: tuple[int, int]) -> Pairs:
    """All that the head lists, in pixels of an input of that size."""
    height, width = graph.input_shape.size
    factors = head.cell[0] * size[1] / width, head.cell[1] * size[0] / height
    return tuple((w * factors[0], h * factors[1]) for w, h in head.anchors.all_wh)


def _text(anchors_wh: Pairs, cell: tuple[float, float]) -> str:
    """Anchors in tenths of a pixel, or thousandths of a cell."""
    decimals = 1 if cell == (1.0, 1.0) else 3
    numbers = (side / unit for wh in anchors_wh for side, unit in zip(wh, cell, strict=True))
    return anchors_text([f"{max(round(n, decimals), 10**-decimals):g}" for n in numbers])
