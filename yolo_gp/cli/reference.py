"""`yolo-gp reference`: every kind of section and every key of the cfg language."""

from __future__ import annotations

from typing import Annotated

import typer

_Kind = Annotated[
    str | None,
    typer.Argument(metavar="[KIND]", help="One kind of section, such as yolo; all by default."),
]


def reference(kind: _Kind = None) -> None:
    """Print the reference of sections and keys as Markdown: type, default, range, meaning."""
    from yolo_gp.reference.page import reference_page, section_page

    print(reference_page() if kind is None else section_page(kind), end="")
