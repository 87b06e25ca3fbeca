"""A cfg to start from: a template's own text for other classes, another size, other data.

A template is a cfg as it stands. What changes is the comment at its top, [net], and what heads and
the layers before them say of classes and anchors; the network between stays as it is written.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from yolo_gp.adjusting.classes import head_widths, put_classes
from yolo_gp.adjusting.head_anchors import (
    Pairs,
    put_anchors,
    put_scaled_anchors,
    scaled_anchors,
)
from yolo_gp.adjusting.starting_net import Training, net_lines
from yolo_gp.edits import Edits, last_line
from yolo_gp.errors import Diagnostics, shown
from yolo_gp.graph import Graph
from yolo_gp.shapes import format_size
from yolo_gp.syntax import Section, parse_cfg

_WIDTH = 100  # of a line of comment


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a new cfg is for.

    Fields:
        template: what the template is called.
        training: how it learns.
        anchors_wh: (width, height) for each place of the heads, in pixels, by area; None to take
            the template's, scaled to the size.
        anchors_origin: where the anchors are from, for a comment.
    """

    template: str
    classes: int
    training: Training
    anchors_wh: Pairs | None = None
    anchors_origin: str = ""


def starting_cfg(content: bytes, graph: Graph, sized: Graph, start: Start) -> bytes:
    """The text of a new cfg.

    Args:
        content: the template's text.
        graph: what it was compiled to, at its own size.
        sized: the same at the new size.

    Raises:
        UsageError: the classes of a head cannot be changed.
    """
    sections = parse_cfg(content, "", Diagnostics()).sections
    edits = Edits(content)
    _put_top(edits, sections[0], sized.input_shape.size, start)
    widths = put_classes(edits, sections[1:], graph.spec, start.classes)
    more = head_widths(graph.spec, start.classes + 1)
    _explain(edits, sections[1:], graph, [n for n in widths if widths[n] != more[n]])
    _put_anchors(edits, sections[1:], graph, sized, start)
    return edits.content()


def _put_top(edits: Edits, net: Section, size: tuple[int, int], start: Start) -> None:
    """Write all up to the end of [net] anew, but for the first sentence."""
    source, last = net.span.source, last_line(net)
    made = (
        f"Made by `yolo-gp new` from the template {shown(start.template)}: {start.classes} "
        f"class{'es' * (start.classes != 1)}, input {format_size(size)} (height x width)."
    )
    title = _first_sentence(source.lines)
    lines = [
        *(_comment(title) if title else ()),
        *_comment(
            f"{made} `yolo-gp set` changes classes, size and keys, `yolo-gp lint` looks for "
            "mistakes."
        ),
        "",
        *net_lines(net, size, start.training),
    ]
    edits.insert_before(1, lines)
    for line in range(1, last + 1):
        edits.remove(line)


def _first_sentence(lines: Sequence[str]) -> str | None:
    """What the comment at the top says first, up to the end of a line that ends in a full stop."""
    said: list[str] = []
    for line in lines:
        text = line.strip()
        if not text.startswith(("#", ";")) or not text.strip("#; \t"):
            break
        said.append(text.strip("#; \t"))
        if said[-1].endswith("."):
            return " ".join(said)
    return None


def _comment(text: str) -> list[str]:
    """Lines of comment; commands in backquotes stay on one line."""
    glued = re.sub(r"`[^`]*`", lambda command: command[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(glued, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return ["# " + line.replace("\0", " ") for line in lines]


def _explain(
    edits: Edits, sections: Sequence[Section], graph: Graph, numbers: Iterable[int]
) -> None:
    """A comment above the channels of layers where the number of classes decides."""
    for number in numbers:
        layer = graph.spec.layers[number].layer
        for option in sections[number].options:
            if layer is not None and option.key == layer.width_key:
                edits.insert_before(
                    option.key_span.line,
                    ["# as many as the head below reads; `yolo-gp set` keeps them right"],
                )


def _put_anchors(
    edits: Edits, sections: Sequence[Section], graph: Graph, sized: Graph, start: Start
) -> None:
    """Anchors, with a comment in the first head that has any."""
    size = sized.input_shape.size
    anchors_wh = start.anchors_wh or scaled_anchors(graph, size)
    if anchors_wh is None:
        concerned = put_scaled_anchors(edits, sections, graph, size)
    else:
        concerned = put_anchors(edits, sections, sized, anchors_wh)
    if not concerned:
        return
    head = next(head for node, head in graph.heads if node.written == concerned[0])
    unit = "cells of the map" if head.anchors_in_cells else "pixels of the input"
    text = f"width,height in {unit}, {start.anchors_origin}."
    options = {option.key: option for option in sections[concerned[0]].options}
    if "mask" in options and anchors_wh is not None:
        text += " mask: those that this head uses; the smallest belong to the finest map."
    if "anchors" in options:
        edits.insert_before(options["anchors"].key_span.line, _comment(text))
