"""Other anchors in a cfg's heads, in its own text."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_gp.edits import Edits
from yolo_gp.errors import Diagnostics, UsageError
from yolo_gp.layers.base import is_head
from yolo_gp.spec import NetworkSpec
from yolo_gp.syntax import parse_cfg


def with_anchors(content: bytes, spec: NetworkSpec, texts: Sequence[str]) -> bytes:
    """The cfg with the same anchors in every head that has any; their number stays.

    Args:
        content: the cfg's text.
        spec: what it says.
        texts: the numbers, width and height by turns, in the unit of the heads' kind.

    Raises:
        UsageError: no head has anchors, or one lists more or fewer.
    """
    edits = Edits(content)
    sections = parse_cfg(content, "", Diagnostics()).sections[1:]  # the first is [net]
    text = anchors_text(texts)
    found = False
    for layer in spec.layers:
        anchors = layer.layer.box_anchors() if is_head(layer.layer) else None
        if anchors is None:
            continue
        found = True
        if len(texts) != 2 * len(anchors.all_wh):
            raise UsageError(
                f"anchors lists {len(texts)} numbers, but the [{layer.kind}] at line "
                f"{layer.span.line} has {len(anchors.all_wh)} anchors\n"
                f"expected: {2 * len(anchors.all_wh)} numbers, width and height of each\n"
                f"help: `{layer.kind}:num=N` changes their number, and mask= of each head must "
                "follow"
            )
        edits.set_option(sections[layer.written], "anchors", text)
    if not found:
        raise UsageError("anchors: no section of the cfg has anchors")
    return edits.content()


def anchors_text(texts: Sequence[str]) -> str:
    """Numbers as `anchors=` lists them, pair by pair."""
    pairs = (",".join(texts[first : first + 2]) for first in range(0, len(texts), 2))
    return ", ".join(pairs)
