"""`yolo-gp analyze`: the gradient paths of networks."""

from __future__ import annotations

import json
import operator
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolo_gp.cli.flags import (
    DialectOption,
    JsonOption,
    SizeOption,
    StrictOption,
    parse_size,
    print_warnings,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import Dialect, parse_dialect
from yolo_gp.errors import ExitCode, UsageError, did_you_mean
from yolo_gp.files import write_atomically

if TYPE_CHECKING:
    from yolo_gp.analysis.path_tables import Analysis

_Cfgs = Annotated[
    list[str],
    typer.Argument(metavar="CFG...", help="Cfg files, or names of ones that come with yolo-gp."),
]
_Layer = Annotated[
    int | None,
    typer.Option("--layer", help="Show this layer, as numbered in the cfg, with actual paths."),
]
_FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit with 1 if a figure is so, as in 'longest_shortest>12'. May be repeated.",
    ),
]
_Html = Annotated[
    Path | None,
    typer.Option("--html", help="Write drawings, plots and tables as one HTML file, to explore."),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Write one network's drawing, an .svg for papers; with --layer, of its paths.",
    ),
]
_HTML, _SVG = (".html", ".htm"), (".svg",)
_OPERATORS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def analyze(
    cfgs: _Cfgs,
    layer: _Layer = None,
    fail_if: _FailIf = None,
    html: _Html = None,
    out: _Out = None,
    size: SizeOption = None,
    as_json: JsonOption = False,
    dialect: DialectOption = None,
    strict: StrictOption = False,
) -> None:
    """Show timestamps, sources and lengths of gradient paths; of several cfgs, side by side.

    With --html or -o it writes pictures instead.
    """
    conditions = [_Condition(text) for text in fail_if or ()]
    _check(cfgs, layer, html, out, as_json=as_json)
    read_as = parse_dialect(dialect)
    analyses = [_analysis(cfg, parse_size(size), read_as, strict=strict) for cfg in cfgs]
    index = None if layer is None else _index(analyses[0], layer)
    _draw(analyses, index, html, out)
    if as_json:
        print(_json(analyses))
    elif html is None and out is None:
        print(_text(analyses, index))
    broken = [text for condition in conditions for text in condition.broken_by(analyses)]
    for text in broken:
        print(text, file=sys.stderr)
    if broken:
        raise typer.Exit(ExitCode.FINDINGS)


def _check(
    cfgs: list[str], layer: int | None, html: Path | None, out: Path | None, *, as_json: bool
) -> None:
    """Refuse flags that do not go together, before any work."""
    if layer is not None and (len(cfgs) > 1 or as_json):
        raise UsageError("--layer shows a layer of one cfg, as text\nexpected: one cfg, no --json")
    _check_suffix("--html", html, _HTML)
    _check_suffix("-o", out, _SVG)
    if out is not None and len(cfgs) > 1:
        raise UsageError(
            f"-o draws one network, there are {len(cfgs)} cfgs\n"
            "help: --html FILE puts several into one report"
        )


def _check_suffix(flag: str, path: Path | None, suffixes: tuple[str, ...]) -> None:
    if path is not None and path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{flag} {path} has a suffix it cannot write\n"
            f"expected: a name that ends in {' or '.join(suffixes)}"
        )


def _draw(analyses: list[Analysis], index: int | None, html: Path | None, out: Path | None) -> None:
    """Write the pictures that were asked for."""
    if html is not None:
        from yolo_gp.drawing.report import report_html

        write_atomically(html, report_html(analyses, index))
    if out is not None:
        from yolo_gp.drawing.figure import layer_svg, overview_svg

        (analysis,) = analyses
        picture = overview_svg(analysis) if index is None else layer_svg(analysis, index)
        write_atomically(out, picture)


def _text(analyses: list[Analysis], index: int | None) -> str:
    from yolo_gp.analysis.path_tables import comparison_table, layer_text, paths_table

    if index is not None:
        return layer_text(analyses[0], index)
    return paths_table(analyses[0]) if len(analyses) == 1 else comparison_table(analyses)


def _analysis(
    cfg: str, size: tuple[int, int] | None, dialect: Dialect | None, *, strict: bool
) -> Analysis:
    from yolo_gp.analysis.gradient_paths import gradient_paths
    from yolo_gp.analysis.path_tables import Analysis
    from yolo_gp.graph import read_graph
    from yolo_gp.zoo import find_cfg

    path = find_cfg(cfg, visible_cache())
    graph = read_graph(path, input_size=size, strict=strict, dialect=dialect)
    print_warnings(graph.warnings)
    return Analysis(path.name, graph, gradient_paths(graph))


def _json(analyses: list[Analysis]) -> str:
    from yolo_gp.analysis.path_tables import SCHEMA_VERSION, paths_data

    networks = [paths_data(analysis) for analysis in analyses]
    return json.dumps({"schema_version": SCHEMA_VERSION, "networks": networks})


def _index(analysis: Analysis, written: int) -> int:
    """The layer of that number; of a macro's layers the last, which is its output."""
    found = [node.index for node in analysis.graph.nodes if node.written == written]
    if not found:
        last = analysis.graph.nodes[-1].written
        raise UsageError(f"--layer {written} is no layer of {analysis.name}\nexpected: 0 to {last}")
    return found[-1]


class _Condition:
    """A condition on a network's figures, such as `longest_shortest>12`."""

    def __init__(self, text: str) -> None:
        from yolo_gp.analysis.path_tables import FIGURE_NAMES

        match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*", text)
        if not match or match[1] not in FIGURE_NAMES:
            suggestion = did_you_mean(match[1], FIGURE_NAMES) if match else None
            raise UsageError(
                f"--fail-if {text!r} is no condition\nexpected: a figure, an operator and a "
                f"number, as in 'longest_shortest>12'; figures: {', '.join(FIGURE_NAMES)}"
                + (f"\nhelp: {suggestion}" if suggestion else "")
            )
        self._text = text.strip()
        self._figure = match[1]
        self._holds = _OPERATORS[match[2]]
        self._bound = float(match[3])

    def broken_by(self, analyses: list[Analysis]) -> list[str]:
        """A line for each network for which the condition holds."""
        from yolo_gp.analysis.path_tables import figures

        found = ((analysis.name, figures(analysis)[self._figure]) for analysis in analyses)
        return [
            f"{name}: {self._text}: {self._figure} is {value}"
            for name, value in found
            if self._holds(value, self._bound)
        ]
