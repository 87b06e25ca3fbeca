"""What a layer has to say about the shapes it is given."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_gp.errors import Span
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape, format_size


class ShapeProblem(Exception):
    """What a layer has to say about its inputs: raised, an error; returned, a warning.

    A layer does not know its index. In `message` and `help`, `{0}` stands for its first input as
    the user would name it ("layer 9"), `{0.line}` for the line of that layer's header.

    Args:
        span: the value to blame.
        wanted_size: the (height, width) that would have fitted; the graph names a layer with it.
    """

    def __init__(
        self,
        rule: Rule,
        span: Span,
        message: str,
        *,
        expected: str | None = None,
        help: str | None = None,
        wanted_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.span = span
        self.message = message
        self.expected = expected
        self.help = help
        self.wanted_size = wanted_size


def check_equal_sizes(
    inputs: Sequence[PartialShape], position: int, span: Span, what: str, expected: str
) -> None:
    """Raise a ShapeProblem, at `span`, if an input is not as large as the first.

    Args:
        what: how the message begins, such as "[route] joins maps of different size".
    """
    first, source = inputs[0].size, inputs[position].size
    if source is None or first is None or source == first:
        return
    raise ShapeProblem(
        Rule.SIZE_MISMATCH,
        span,
        f"{what}: {{0}} is {format_size(first)}, {{{position}}} is {format_size(source)}",
        expected=expected,
        wanted_size=first,
    )
