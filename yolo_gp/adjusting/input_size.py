"""Another input size in a cfg's own text."""

from __future__ import annotations

from yolo_gp.edits import Edits
from yolo_gp.errors import Diagnostics
from yolo_gp.syntax import parse_cfg


def with_input_size(content: bytes, size: tuple[int, int]) -> bytes:
    """The cfg with (height, width) of its input replaced."""
    edits = Edits(content)
    net = parse_cfg(content, "", Diagnostics()).sections[0]
    for key, value in zip(("height", "width"), size, strict=True):
        edits.set_option(net, key, str(value))
    return edits.content()
