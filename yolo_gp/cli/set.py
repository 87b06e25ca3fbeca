"""`yolo-gp set`: change what a cfg says, in its own text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from yolo_gp.cli.flags import print_notes, print_warnings, write_cfg
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.errors import UsageError

_Cfg = Annotated[
    str,
    typer.Argument(metavar="CFG", help="A cfg file; with -o also a name that yolo-gp knows."),
]
_Settings = Annotated[
    list[str],
    typer.Argument(
        metavar="SETTING...",
        help="classes=N, size=HEIGHTxWIDTH, anchors=W,H,W,H..., KEY=VALUE of [net], or "
        "SECTION:KEY=VALUE; SECTION is a kind (all of them), a number as `info` prints it (0 is "
        "the first after [net]), or @ and the section's name.",
    ),
]
_Diff = Annotated[
    bool, typer.Option("--diff", "--dry-run", help="Write nothing; show what would change.")
]
_Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write there; CFG stays as it is.")]


def set_options(cfg: _Cfg, settings: _Settings, diff: _Diff = False, out: _Out = None) -> None:
    """Change settings of a cfg in place; comments, layout and line ends stay.

    classes= changes every head and the layer before it to match. Sizes are height x width. A cfg
    that would not compile afterwards is left as it is.

    \b
    Examples:
      yolo-gp set my.cfg classes=3
      yolo-gp set my.cfg size=320x416 batch=32 subdivisions=4
      yolo-gp set my.cfg yolo:ignore_thresh=.6 12:filters=96 --diff
    """
    from yolo_gp.adjusting.applying import with_settings
    from yolo_gp.adjusting.settings import parse_settings
    from yolo_gp.cli.text_diff import changed_lines, print_diff
    from yolo_gp.files import rewrite
    from yolo_gp.graph import read_content

    asked = parse_settings(settings)
    path = _find(cfg, in_place=out is None and not diff)
    content = read_content(path)
    found = with_settings(content, str(path), asked)
    print_warnings(found.warnings)
    print_notes(found.notes)
    count = changed_lines(content, found.content)
    if diff:
        print_diff(content, found.content, str(path))
    elif out is not None:
        write_cfg(found.content, out)
    elif count:
        rewrite(path, found.content)
    print(_outcome(path, out, count, diff=diff), file=sys.stderr if diff else sys.stdout)


def _find(cfg: str, *, in_place: bool) -> Path:
    """The file to read.

    Raises:
        UsageError: there is none; or it comes with yolo-gp, and would be overwritten.
    """
    from yolo_gp.zoo import find_cfg

    path = find_cfg(cfg, visible_cache())
    if Path(cfg).is_file() or not in_place:
        return path
    raise UsageError(
        f"{cfg} is no file here, but a cfg that yolo-gp knows by name\n"
        "expected: the path of a cfg file, or -o FILE for a changed copy"
    )


def _outcome(path: Path, out: Path | None, count: int, *, diff: bool) -> str:
    lines = f"{count} line{'' if count == 1 else 's'}"
    if diff:
        return f"would change: {path}, {lines}"
    if out is not None:
        return f"{out}: {lines} changed from {path}"
    return f"changed: {path}, {lines}" if count else f"{path} says so already"
