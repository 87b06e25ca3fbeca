"""`yolo-gp expand`: a cfg without macros, names and sections of our own."""

from __future__ import annotations

from yolo_gp.cli.flags import (
    CfgArgument,
    DialectOption,
    OutOption,
    StrictOption,
    print_warnings,
    write_cfg,
)
from yolo_gp.cli.zoo_files import visible_cache
from yolo_gp.dialect import parse_dialect


def expand(
    cfg: CfgArgument,
    out: OutOption = None,
    dialect: DialectOption = None,
    strict: StrictOption = False,
) -> None:
    """Write the same network as plain Darknet cfg.

    Sections of Darknet's own keep their text; [csp], [elan] and [partial_shortcut] are written out
    under a comment that says where they stood. Weights files fit both cfgs.
    """
    from yolo_gp.graph import compile_text, read_content
    from yolo_gp.plain import write_plain
    from yolo_gp.zoo import find_cfg

    path = find_cfg(cfg, visible_cache())
    content = read_content(path)
    graph = compile_text(content, str(path), strict=strict, dialect=parse_dialect(dialect))
    plain = write_plain(content, graph)
    print_warnings(plain.notes)
    result = compile_text(plain.content, str(out) if out else f"{path}, expanded")
    print_warnings(result.warnings)
    write_cfg(plain.content, out)
