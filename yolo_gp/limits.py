"""How large a network may be, so that a slip of the pen does not fill the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from yolo_gp.cost import Cost
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Diagnostics, Span
from yolo_gp.nodes import Node
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

MAX_ELEMENTS = 2**31  # of one map, for one image
MAX_PARAMS = 2**33  # of the whole network: 32 GiB of float32
MAX_LAYERS = 20_000


def check_elements(shape: PartialShape, span: Span, what: str, diagnostics: Diagnostics) -> bool:
    """Whether a map is not too large, as far as its shape is known; if it is, an error says so.

    Args:
        what: gives the map, as the message begins.
    """
    lengths = (shape.channels, shape.height, shape.width)
    elements = math.prod(1 if length is None else length for length in lengths)
    if elements <= MAX_ELEMENTS:
        return True
    diagnostics.error(
        Rule.TOO_LARGE,
        span,
        f"{what} gives a map of {shape}, {elements} numbers",
        expected=f"at most {MAX_ELEMENTS}",
    )
    return False


def check_totals(nodes: Sequence[Node], span: Span, diagnostics: Diagnostics) -> None:
    """Report a network of too many parameters, or one without any spatial layer, at [net]."""
    params = sum((node.cost for node in nodes), Cost()).params
    if params > MAX_PARAMS:
        diagnostics.error(
            Rule.TOO_LARGE,
            span,
            f"the network has {params} parameters",
            expected=f"at most {MAX_PARAMS}",
        )
    is_darknets = all(node.layer.common.dialect is Dialect.DARKNET for node in nodes)
    is_spatial = any(min(shape.size) > 1 for node in nodes for shape in node.input_shapes)
    if is_darknets and not is_spatial:
        diagnostics.warning(
            Rule.NO_SPATIAL_LAYER,
            span,
            "no layer reads a map larger than one pixel; AlexeyAB's Darknet cannot load such "
            "a network",
        )
