"""A network in the languages of other programs: DOT for Graphviz, and Mermaid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from yolo_gp.drawing.palette import ROLES
from yolo_gp.drawing.picture import Caption
from yolo_gp.drawing.scheme import Scheme, Thing
from yolo_gp.drawing.svg import INK, PAPER, printable


def dot_text(shown: Scheme, caption: Caption) -> str:
    """A digraph with one node for every thing and one edge for every input, sources first."""
    names = _names(shown)
    lines = [
        f"digraph {_quoted(printable(caption.title))} {{",
        f"  label={_quoted(caption.words)};",
        "  labelloc=t;",
        '  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=10];',
        '  edge [color="#555555"];',
    ]
    for group, things in _grouped(shown):
        if group is None:
            lines += [f"  {names[thing.index]} {_dot_looks(thing)};" for thing in things]
            continue
        lines.append(f"  subgraph {_quoted(f'cluster_{things[0].index}')} {{")
        lines.append(f"    label={_quoted(group)};")
        lines += [f"    {names[thing.index]} {_dot_looks(thing)};" for thing in things]
        lines.append("  }")
    for thing in shown.things:
        for edge in thing.edges:
            looks = " [style=dotted]" if edge.detached else ""
            lines.append(f"  {names[edge.source]} -> {names[thing.index]}{looks};")
    return "\n".join([*lines, "}"]) + "\n"


def mermaid_text(shown: Scheme, caption: Caption) -> str:
    """A flowchart with one node for every thing and one link for every input, sources first."""
    names = _names(shown)
    title = printable(f"{caption.title}: {caption.words}")
    lines = ["---", f"title: {_quoted(title)}", "---", "flowchart TD"]
    for group, things in _grouped(shown):
        if group is None:
            lines += [f"  {names[thing.index]}{_mermaid_looks(thing)}" for thing in things]
            continue
        lines.append(f'  subgraph s{things[0].index}["{_entities(group)}"]')
        lines += [f"    {names[thing.index]}{_mermaid_looks(thing)}" for thing in things]
        lines.append("  end")
    for thing in shown.things:
        for edge in thing.edges:
            arrow = "-.->" if edge.detached else "-->"
            lines.append(f"  {names[edge.source]} {arrow} {names[thing.index]}")
    used = {thing.role for thing in shown.things}
    lines += [f"  classDef {_class(role)} {_looks(role)}" for role in ROLES if role in used]
    return "\n".join(lines) + "\n"


def _grouped(shown: Scheme) -> Iterator[tuple[str | None, Sequence[Thing]]]:
    """The things in order; those of one macro together, with the name of its group."""
    members: dict[str | None, list[Thing]] = {}
    for thing in shown.things:
        members.setdefault(thing.group, []).append(thing)
    for thing in shown.things:
        group = members[thing.group]
        if thing.group is None or len(group) == 1:
            yield None, [thing]
        elif group[0] is thing:
            yield thing.group, group


def _names(shown: Scheme) -> dict[int, str]:
    """A name for every thing."""
    return {
        thing.index: thing.title if thing.role == "end" else f"layer{thing.index}"
        for thing in shown.things
    }


def _words(thing: Thing) -> list[str]:
    """The lines on a node."""
    first = f"{thing.number} {thing.title}".strip()
    is_loss = thing.role == "end" and bool(thing.edges)
    return [printable(first)] if is_loss else [printable(first), str(thing.shape)]


def _dot_looks(thing: Thing) -> str:
    fill, border = ROLES[thing.role]
    looks = {
        "label": "\n".join(_words(thing)),
        "tooltip": printable(thing.tip),
        "fillcolor": fill,
        "color": border,
        "fontcolor": _ink(thing.role),
    }
    words = ", ".join(f"{key}={_quoted(value)}" for key, value in looks.items())
    return f"[{words}]"


def _mermaid_looks(thing: Thing) -> str:
    words = "<br/>".join(map(_entities, _words(thing)))
    return f'["{words}"]:::{_class(thing.role)}'


def _looks(role: str) -> str:
    fill, border = ROLES[role]
    return f"fill:{fill},stroke:{border},color:{_ink(role)}"


def _ink(role: str) -> str:
    return PAPER if role == "head" else INK


def _class(role: str) -> str:
    return f"{role}Layer"  # "end" is a word of Mermaid's own


def _quoted(words: str) -> str:
    """A string of DOT's, and of YAML's."""
    return json.dumps(words, ensure_ascii=False)


def _entities(words: str) -> str:
    """Words between Mermaid's quotation marks."""
    return "".join(f"#{ord(c)};" if c in '#"<>&;`\\' else c for c in words)
