"""What changes from one network to another, as text for people and as plain data for JSON."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from yolo_gp.analysis.compared_sections import ComparedSection
from yolo_gp.analysis.differences import Change, NetworkDifference, Row
from yolo_gp.analysis.tables import align
from yolo_gp.analysis.written_settings import SettingChange
from yolo_gp.graph import Graph

SCHEMA_VERSION = 1
_SAME = "same"
_LONGEST_VALUE = 60  # characters of a value in a line


def difference_text(
    found: NetworkDifference, old_name: str, new_name: str, *, list_all: bool = False
) -> str:
    """The difference as a review shows it: `-` removed, `+` added, `~` changed.

    Layers are numbered as written, "7 -> 9" where the two networks differ in that.

    Args:
        list_all: every section on a line of its own, those unchanged too.
    """
    parts = [f"--- {old_name}\n+++ {new_name}"]
    if found.same_network:
        parts.append("the same network")
    if list_all or not found.same_network:
        parts.append("\n".join(_row_lines(found, list_all=list_all)))
    if around := list(_around(found, list_all=list_all)):
        parts.append("\n".join(("differs, but not in what it computes:", *around)))
    if not (found.same_network and found.same_input_size):
        parts.append(_totals(found))
    parts.append(_weights(found, list_all=list_all))
    return "\n\n".join(parts)


# -- sections --------------------------------------------------------------------------------------


def _row_lines(found: NetworkDifference, *, list_all: bool) -> Iterator[str]:
    if list_all:
        yield from (_row_line(row, found) for row in found.rows)
        return
    for kind, rows in itertools.groupby(found.rows, key=_fold):
        run = list(rows)
        if kind is None or (kind is Change.SHAPES and len(run) == 1):
            yield from (_row_line(row, found) for row in run)
        else:
            yield _folded(kind, run)


def _fold(row: Row) -> Change | None:
    """Rows of which a run is shown as one line; None for those shown one by one."""
    if row.change is Change.SHAPES:
        return Change.SHAPES
    return None if row.changes_network else Change.SAME


def _folded(kind: Change, run: Sequence[Row]) -> str:
    numbers = _renumbered(*(_range([s for s in side if s]) for side in _sides(run)))
    layers = "layer" if len(run) == 1 else "layers"
    if kind is Change.SAME:
        return f"  {layers} {numbers} unchanged"
    params = (sum(s.params for s in side if s) for side in _sides(run))
    return f"~ {layers} {numbers}: same settings, other maps{_if_changed('params', *params)}"


def _sides(run: Iterable[Row]) -> tuple[list[ComparedSection | None], list[ComparedSection | None]]:
    rows = list(run)
    return [row.old for row in rows], [row.new for row in rows]


def _row_line(row: Row, found: NetworkDifference) -> str:
    if row.old is None or row.new is None:
        return _lone_line(row)
    mark = "~" if row.changes_network else " "
    text = f"{mark} {_renumbered(str(row.old.number), str(row.new.number))} [{row.new.kind}]"
    details = "; ".join(_details(row, row.old, row.new, found))
    if row.change is Change.SHAPES and not details:
        details = "other maps to read"
    return f"{text} {details}".rstrip()


def _lone_line(row: Row) -> str:
    section = row.old or row.new
    assert section is not None
    cells = [f"{'-' if row.new is None else '+'} {section.number} [{section.kind}] {section.label}"]
    cells.append(f"output {section.output_shape}")
    if section.params:
        cells.append(f"params {section.params:,}")
    return "; ".join(cell.rstrip() for cell in cells)


def _details(
    row: Row, old: ComparedSection, new: ComparedSection, found: NetworkDifference
) -> Iterator[str]:
    if row.settings:
        yield ", ".join(map(_setting, row.settings))
    for verb, numbers in (("reads", row.readings), ("shares the weights of", row.sharing)):
        if numbers:
            another = " (another layer)" if numbers[0] == numbers[1] else ""
            yield f"{verb} {' -> '.join(numbers)}{another}"
    if found.shapes_differ(old, new):
        yield f"output {old.output_shape} -> {new.output_shape}"
    if old.params != new.params:
        yield f"params {old.params:,} -> {new.params:,}"


def _setting(change: SettingChange) -> str:
    return f"{change.key} {' -> '.join(_shortened(change.old, change.new))}"


def _shortened(*values: str) -> list[str]:
    """Two values, long ones from a little before the place where they begin to differ."""
    if max(map(len, values)) <= _LONGEST_VALUE:
        return list(values)
    equal = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*values, strict=False))
    start = max(0, sum(1 for _ in equal) - _LONGEST_VALUE // 4)
    end = start + _LONGEST_VALUE
    return [
        f"{'...' * (start > 0)}{value[start:end]}{'...' * (len(value) > end)}" for value in values
    ]


def _range(sections: Sequence[ComparedSection]) -> str:
    first, last = sections[0].number, sections[-1].number
    return str(first) if first == last else f"{first}-{last}"


def _renumbered(old: str, new: str) -> str:
    return old if old == new else f"{old} -> {new}"


def _if_changed(what: str, old: int, new: int) -> str:
    return "" if old == new else f"; {what} {old:,} -> {new:,}"


# -- what surrounds the sections -------------------------------------------------------------------


def _around(found: NetworkDifference, *, list_all: bool) -> Iterator[str]:
    """What differs in keys that change no result, and in how the same network is written."""
    if found.net:
        yield f"[net] {', '.join(map(_setting, found.net))}"
    keys = [row for row in found.rows if row.change is Change.KEYS and row.new and row.old]
    by_text: dict[str, list[Row]] = {}
    for row in keys if not list_all else ():
        text = f"[{row.new.kind if row.new else ''}] {', '.join(map(_setting, row.settings))}"
        by_text.setdefault(text, []).append(row)
    for text, rows in by_text.items():
        sides = (", ".join(str(s.number) for s in side if s) for side in _sides(rows))
        yield f"{'layer' if len(rows) == 1 else 'layers'} {_renumbered(*sides)} {text}"
    if found.same_network and not list_all:
        yield from _written_otherwise(found.rows)


def _written_otherwise(rows: Iterable[Row]) -> Iterator[str]:
    """Sections that only one of two equal networks has, such as macros and what they stand for."""
    lone = {change: Counter[str]() for change in (Change.REMOVED, Change.ADDED)}
    for row in rows:
        if section := (row.new if row.old is None else row.old if row.new is None else None):
            lone[row.change][section.kind] += 1
    for change, kinds in lone.items():
        if kinds:
            listed = ", ".join(f"{count} [{kind}]" for kind, count in kinds.items())
            yield f"sections {change}: {listed}"


def _totals(found: NetworkDifference) -> str:
    graphs = found.old, found.new
    params, flops, operations = zip(
        *((g.total.params, g.total.flops, g.total.darknet_operations) for g in graphs), strict=True
    )
    sections = [len(graph.spec.layers) for graph in graphs]
    grown = f"{sections[1] - sections[0]:+}" if sections[0] != sections[1] else _SAME
    bflops = [f"{graph.total.bflops:.3f}" for graph in graphs]
    rows = [
        ("", "old", "new", "change"),
        ("input (C x H x W)", *(str(graph.input_shape) for graph in graphs), ""),
        ("sections", *map(str, sections), grown),
        ("parameters", *(f"{count:,}" for count in params), _percent(*params)),
        ("FLOPs (2 per multiply-add)", *(f"{count:,}" for count in flops), _percent(*flops)),
        ("BFLOPs as Darknet counts them", *bflops, _percent(*operations)),
    ]
    return align(rows, {1, 2, 3})


def _percent(old: int, new: int) -> str:
    if old == new:
        return _SAME
    return f"{100 * (new - old) / old:+.1f} %" if old else ""


def _weights(found: NetworkDifference, *, list_all: bool) -> str:
    plan = found.plan
    if not plan.total_floats:
        return "weights: the new network has none"
    if list_all:
        return f"weights: {plan.to_text()}"
    share = 100 * plan.floats / plan.total_floats
    return f"weights: {len(plan.moves)} of {plan.total_layers} layers carry over ({share:.1f} %)"


# -- JSON ------------------------------------------------------------------------------------------


def difference_data(
    found: NetworkDifference, old_name: str, new_name: str, *, list_all: bool = False
) -> dict[str, object]:
    """The same for JSON; `list_all`: with the sections that are the same."""
    return {
        "schema_version": SCHEMA_VERSION,
        "same_network": found.same_network,
        "old": _graph_data(found.old, old_name),
        "new": _graph_data(found.new, new_name),
        "net": _settings_data(found.net),
        "sections": [
            _row_data(row) for row in found.rows if list_all or row.change is not Change.SAME
        ],
        "weights": found.plan.to_data(),
    }


def _graph_data(graph: Graph, name: str) -> dict[str, object]:
    return {
        "file": name,
        "fingerprint": graph.fingerprint,
        "input": [graph.input_shape.channels, *graph.input_shape.size],
        "sections": len(graph.spec.layers),
        "params": graph.total.params,
        "macs": graph.total.macs,
        "flops": graph.total.flops,
        "bflops": graph.total.bflops,
    }


def _row_data(row: Row) -> dict[str, object]:
    return {
        "change": str(row.change),
        "old": row.old and _section_data(row.old),
        "new": row.new and _section_data(row.new),
        "settings": _settings_data(row.settings),
        "reads": row.readings and list(row.readings),
        "shares_weights_of": row.sharing and list(row.sharing),
    }


def _section_data(section: ComparedSection) -> dict[str, object]:
    return {
        "written": section.number,
        "index": section.nodes[-1].index,
        "kind": section.kind,
        "output": [section.output_shape.channels, *section.output_shape.size],
        "params": section.params,
        "macs": section.macs,
    }


def _settings_data(changes: Iterable[SettingChange]) -> list[dict[str, str]]:
    return [{"key": change.key, "old": change.old, "new": change.new} for change in changes]
