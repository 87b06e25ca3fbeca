"""The zoo in tables: its cards, and published figures beside ours. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from yolo_gp.analysis.conventions import Counts, counts
from yolo_gp.analysis.tables import SCHEMA_VERSION, align, count_data, count_table
from yolo_gp.cards import (
    BILLION,
    MILLION,
    ModelCard,
    PrintedAccuracy,
    PrintedFigure,
    PublishedRow,
    TrainedWeights,
)
from yolo_gp.graph import read_graph
from yolo_gp.shapes import format_size
from yolo_gp.zoo import cfg_of

_PAPER_TABLE = re.compile(r"ELAN paper, table (\d+)", re.IGNORECASE)
_FLUSH_RIGHT = ("params", "FLOPs", "ours", "dev.")
_UNIT_LETTERS = {MILLION: "M", BILLION: "G"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A printed figure and ours, counted in the same convention."""

    printed: PrintedFigure
    ours: int

    @property
    def deviation(self) -> float:
        """How much larger ours is, in percent of the printed figure."""
        return float(100 * (self._in_units / self.printed.value - 1))

    @property
    def agrees(self) -> bool:
        """Ours, rounded to the digits that were printed, is what was printed."""
        return self._in_units.quantize(self.printed.value, ROUND_HALF_UP) == self.printed.value

    @property
    def _in_units(self) -> Decimal:
        return Decimal(self.ours) / self.printed.unit


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A published row beside the network that its card names.

    Fields:
        input_size: (height, width) at which the network was counted.
        params, flops: None where the row prints no such figure.
    """

    card: ModelCard
    published: PublishedRow
    input_size: tuple[int, int]
    params: Comparison | None
    flops: Comparison | None

    @property
    def agrees(self) -> bool:
        return all(found.agrees for found in (self.params, self.flops) if found)

    @property
    def note(self) -> str | None:
        """Why ours differ from what was printed; None if they do not."""
        if self.agrees:
            return None
        return self.published.note or self.card.note or "the card gives no reason"


def compare(card: ModelCard, rows: Iterable[PublishedRow]) -> tuple[ComparedRow, ...]:
    """Published rows of a card, each beside the card's cfg compiled at the row's input size.

    Raises:
        CfgError: the cfg does not compile at that size.
        DataError: there is no such cfg.
    """
    found: dict[tuple[int, int], Counts] = {}
    compared = []
    for published in rows:
        size = published.at or card.input_size
        if size not in found:
            found[size] = counts(read_graph(cfg_of(card), input_size=size))
        params, flops = (
            Comparison(figure, found[size].of(figure.convention)) if figure else None
            for figure in (published.params, published.flops)
        )
        compared.append(ComparedRow(card, published, size, params, flops))
    return tuple(compared)


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """A published table: its name as cards write it, and those of its rows that have a card."""

    name: str
    rows: tuple[ComparedRow, ...]


def paper_tables(cards: Iterable[ModelCard]) -> tuple[ComparedTable, ...]:
    """The ELAN paper's tables, rows in the paper's order, as far as cards stand for them."""
    rows: dict[int, list[ComparedRow]] = {}
    for card in cards:
        published = [row for row in card.published if _PAPER_TABLE.match(row.table)]
        for row in compare(card, published):
            rows.setdefault(_paper_table(row.published), []).append(row)
    return tuple(
        ComparedTable(
            f"ELAN paper, table {number}",
            tuple(sorted(rows[number], key=lambda row: (row.published.position, row.card.name))),
        )
        for number in sorted(rows)
    )


def _paper_table(published: PublishedRow) -> int:
    match = _PAPER_TABLE.match(published.table)
    assert match
    return int(match[1])


def comparison_text(tables: Iterable[ComparedTable]) -> str:
    """The tables for people. A row that differs bears the number of the note below its table."""
    return "\n\n".join(_table_text(table) for table in tables)


def _table_text(table: ComparedTable) -> str:
    notes = list(dict.fromkeys(row.note for row in table.rows if row.note))
    has_params = any(row.params for row in table.rows)
    figures = ("params", "ours", "count", "dev.") if has_params else ()
    header = ("row", "card", "input", *figures, "FLOPs", "ours", "count", "dev.", "status", "")
    rows = [
        (
            row.published.row,
            row.card.name,
            format_size(row.input_size),
            *(_cells(row.params) if has_params else ()),
            *_cells(row.flops),
            row.card.status,
            f"[{notes.index(row.note) + 1}]" if row.note else "",
        )
        for row in table.rows
    ]
    numbers = {column for column, name in enumerate(header) if name in _FLUSH_RIGHT}
    footnotes = [f"[{number}] {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join([table.name, align([header, *rows], numbers), *footnotes])


def _cells(found: Comparison | None) -> tuple[str, str, str, str]:
    """Printed, ours with at least two more digits, the count, the deviation."""
    if found is None:
        return ("", "", "", "")
    printed = found.printed
    deviation = f"{found.deviation:+.2f} %"
    return (
        _printed(printed),
        f"{found.ours / printed.unit:.3f} {_UNIT_LETTERS[printed.unit]}",
        printed.convention,
        "0.00 %" if deviation in ("+0.00 %", "-0.00 %") else deviation,
    )


def _printed(figure: PrintedFigure) -> str:
    return f"{figure.value} {_UNIT_LETTERS[figure.unit]}"


def comparison_data(tables: Iterable[ComparedTable]) -> dict[str, Any]:
    """The tables for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tables": [
            {"table": table.name, "rows": [row_data(row) for row in table.rows]} for table in tables
        ],
    }


def row_data(row: ComparedRow) -> dict[str, Any]:
    """One compared row for JSON."""
    return {
        "row": row.published.row,
        "table": row.published.table,
        "card": row.card.name,
        "input_size": list(row.input_size),
        "status": row.card.status,
        "params": _figure_data(row.params),
        "flops": _figure_data(row.flops),
        "agrees": row.agrees,
        "note": row.note,
        "source": row.published.source,
    }


def _figure_data(found: Comparison | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "printed": float(found.printed.value),
        "unit": found.printed.unit,
        "count": found.printed.convention,
        "ours": found.ours,
        "deviation_percent": round(found.deviation, 4),
        "agrees": found.agrees,
    }


def list_text(cards: Iterable[ModelCard]) -> str:
    """One line per card."""
    rows = [
        (
            card.name,
            format_size(card.input_size),
            f"{card.expected.params:,}",
            f"{card.expected.macs:,}",
            card.status,
            card.description,
        )
        for card in cards
    ]
    return align([("model", "input", "parameters", "MACs", "status", ""), *rows], {2, 3})


def list_data(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """The list for JSON."""
    return {"schema_version": SCHEMA_VERSION, "models": [_card_data(card) for card in cards]}


def _card_data(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "cfg": card.cfg,
        "description": card.description,
        "classes": card.classes,
        "input_size": list(card.input_size),
        "status": card.status,
        "recipe": card.recipe,
        "weights": card.weights,
        "trained": _trained_data(card.trained) if card.trained else None,
        "note": card.note,
        "params": card.expected.params,
        "macs": card.expected.macs,
    }


def card_text(card: ModelCard) -> str:
    """A card, its cfg's counts in every convention, and what was published about it."""
    facts = [
        ("cfg", card.cfg),
        ("classes", str(card.classes)),
        ("input", f"{format_size(card.input_size)} (height x width)"),
        ("status", card.status),
        ("train", card.recipe),
        ("weights", card.weights or (card.trained.file if card.trained else "none known")),
        *([("note", card.note)] if card.note else []),
    ]
    parts = [f"{card.name}: {card.description}", align(facts, ()), count_table(_counts(card))]
    parts += [_trained_text(card.trained)] if card.trained else []
    tables: dict[str, list[ComparedRow]] = {}
    for row in compare(card, card.published):
        tables.setdefault(row.published.table, []).append(row)
    compared = [ComparedTable(name, tuple(rows)) for name, rows in tables.items()]
    parts += [comparison_text(compared)] if compared else []
    parts += [_accuracy_text(card)] if any(row.accuracy for row in card.published) else []
    return "\n\n".join(parts)


def _trained_text(trained: TrainedWeights) -> str:
    """Weights that come with yolo-gp: what they know, how well, and how they were made."""
    figures = ", ".join(f"{found.figure} {found.value} %" for found in trained.accuracy)
    data = " and ".join(dict.fromkeys(found.data for found in trained.accuracy))
    facts = [
        ("knows", f"{trained.knows}, nothing else"),
        ("reaches", f"{figures} on {data}"),
        ("seed", str(trained.seed)),
        *(("made by", command) for command in trained.commands),
    ]
    return f"{trained.file}, which comes with yolo-gp\n{align(facts, ())}"


def _accuracy_text(card: ModelCard) -> str:
    """What was published about trained networks, a line per figure."""
    lines = [
        (
            row.row,
            format_size(row.at or card.input_size),
            found.figure,
            f"{found.value} %",
            found.data,
            row.table,
        )
        for row in card.published
        for found in row.accuracy
    ]
    header = ("row", "input", "accuracy", "", "data", "table")
    return align([header, *lines], {3})


def _counts(card: ModelCard) -> Counts:
    return counts(read_graph(cfg_of(card), input_size=card.input_size))


def card_data(card: ModelCard) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        **_card_data(card),
        "counts": count_data(_counts(card)),
        "published": [
            {**row_data(row), "accuracy": _accuracy_data(row.published.accuracy)}
            for row in compare(card, card.published)
        ],
    }


def _trained_data(trained: TrainedWeights) -> dict[str, Any]:
    return {
        "file": trained.file,
        "knows": trained.knows,
        "commands": list(trained.commands),
        "seed": trained.seed,
        "accuracy": _accuracy_data(trained.accuracy),
    }


def _accuracy_data(accuracy: Iterable[PrintedAccuracy]) -> list[dict[str, Any]]:
    return [
        {"figure": found.figure, "value": float(found.value), "unit": "%", "data": found.data}
        for found in accuracy
    ]


def markdown(cards: Iterable[ModelCard]) -> str:
    """The README's table of models, from the cards alone."""
    lines = [
        "| model | what it is | input | parameters | FLOPs | published | status |",
        "|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        cells = (
            f"[{card.name}](cfg/{card.cfg})",
            card.description,
            format_size(card.input_size),
            f"{card.expected.params / MILLION:.2f} M",
            f"{2 * card.expected.macs / BILLION:.2f} G",
            _published_cell(card.published),
            card.status,
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def _published_cell(rows: Iterable[PublishedRow]) -> str:
    """The figures printed, each pair once, at which input if not the card's, and where."""
    tables: dict[str, list[str]] = {}
    for row in rows:
        figures = ", ".join(_printed(figure) for figure in (row.params, row.flops) if figure)
        figures += f" at {format_size(row.at)}" if row.at else ""
        tables.setdefault(figures, []).append(row.table)
    return "; ".join(
        f"{figures} ({', '.join(dict.fromkeys(names))})".strip()
        for figures, names in tables.items()
    )
