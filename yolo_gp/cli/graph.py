"""`yolo-gp graph`: a picture of a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    CfgArgument,
    DialectOption,
    SizeOption,
    StrictOption,
    parse_size,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect
from yolo_gp.errors import UsageError
from yolo_gp.files import write_atomically

if TYPE_CHECKING:
    from yolo_gp.graph import Graph

_SUFFIXES = {
    ".svg": "svg",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}
_STDOUT = Path("-")
_FORMATS = ("svg", "dot", "mermaid")
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="File to write: .svg, .dot or .gv, .mmd or .mermaid; standard output with -, and by "
        "default.",
    ),
]
_Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="svg|dot|mermaid", help="By default what the file's name tells; svg."
    ),
]
_Collapse = Annotated[
    bool,
    typer.Option(
        "--collapse/--expand", help="Show [csp] and [elan] as one box each, or all their layers."
    ),
]
_Layers = Annotated[
    str | None,
    typer.Option("--layers", metavar="A..B", help="Show these layers only, numbered as written."),
]


def graph(
    cfg: CfgArgument,
    out: _Out = None,
    format: _Format = None,
    collapse: _Collapse = False,
    layers: _Layers = None,
    size: SizeOption = None,
    dialect: DialectOption = None,
    strict: StrictOption = False,
) -> None:
    """Draw a network: its stages by map size, every layer with its shape, every skip connection.

    In a browser, layers and edges say more under the pointer.
    """
    language = _language(out, format)
    from yolo_gp.drawing.picture import network_caption, network_svg
    from yolo_gp.drawing.scheme import part, scheme
    from yolo_gp.drawing.text_graphs import dot_text, mermaid_text
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import find_cfg

    path = find_cfg(cfg, visible_cache())
    network = read_graph(
        path, input_size=parse_size(size), strict=strict, dialect=parse_dialect(dialect)
    )
    print_warnings(network.warnings)
    shown, note = scheme(network, collapse=collapse), ""
    if layers is not None:
        first, last = _range(layers, network)
        chosen = (node.index for node in network.nodes if first <= node.written <= last)
        shown, note = part(shown, chosen), f"here layers {first} to {last}"
    write = {"svg": network_svg, "dot": dot_text, "mermaid": mermaid_text}[language]
    _write(write(shown, network_caption(network, path.name, note)), out)


def _write(text: str, out: Path | None) -> None:
    if out is None or out == _STDOUT:
        sys.stdout.write(text)
    else:
        write_atomically(out, text)


def _language(out: Path | None, format: str | None) -> str:
    if format is not None:
        if format not in _FORMATS:
            raise UsageError(
                f"--format {format} is none that graph can write\n"
                f"expected: one of {', '.join(_FORMATS)}"
            )
        return format
    if out is None or out == _STDOUT:
        return "svg"
    if out.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"-o {out} does not tell what to write\n"
            f"expected: a name that ends in {', '.join(_SUFFIXES)}, or --format"
        )
    return _SUFFIXES[out.suffix.lower()]


def _range(text: str, network: Graph) -> tuple[int, int]:
    """The first and the last section of "3..9", "3..", "..9" or "3"."""
    end = network.nodes[-1].written
    match = re.fullmatch(r"\s*([0-9]{0,9})\s*(\.\.)?\s*([0-9]{0,9})\s*", text)
    if match and (match[1] or match[3]) and (match[2] or not match[3]):
        first = int(match[1] or 0)
        last = int(match[3] or end) if match[2] else first
        if first <= last <= end:
            return first, last
    raise UsageError(
        f"--layers {text} are no layers of this network\n"
        f"expected: two numbers from 0 to {end}, such as 0..{end}"
    )
