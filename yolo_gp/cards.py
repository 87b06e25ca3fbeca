"""Model cards: what a file of zoo/ says, read from TOML and checked. Loads no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

from yolo_gp.analysis.conventions import OPERATION_CONVENTIONS, PARAMETER_CONVENTIONS, Convention
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason
from yolo_gp.records import Record, to_decimal, to_whole

Status = Literal["exact", "reconstructed", "paper disagrees"]
"""Our figures are the published ones; or the structure is a guess that comes near them; or the
published figures belong to no single network."""

AccuracyFigure = Literal["AP", "AP50", "AP75", "mask AP", "mask AP75", "top-1"]
"""COCO's figures for boxes and for masks; the share of images whose best class is right."""

MILLION, BILLION = 10**6, 10**9


@dataclass(frozen=True, slots=True)
class PrintedFigure:
    """A figure as somebody published it.

    Fields:
        value: in units of `unit`, with the digits that were printed.
        unit: MILLION for parameters, BILLION for operations.
        convention: how it is counted: a symbol of `analysis.conventions`.
    """

    value: Decimal
    unit: int
    convention: str


@dataclass(frozen=True, slots=True)
class PrintedAccuracy:
    """How well a trained network did, as somebody published it.

    Fields:
        value: percent, with the digits that were printed.
        data: what it was measured on, such as "COCO val".
    """

    figure: AccuracyFigure
    value: Decimal
    data: str


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of a published table that a card stands for.

    Fields:
        table: such as "ELAN paper, table 3".
        row: its label there.
        position: its place in the table, 1 for the first row; 0 if that is not said.
        params, flops: the figures printed there; None where the table does not print one.
        at: (height, width) of the input, if it is not the card's.
        source: where the figures were read.
        note: why ours differ; None if the card's note says it.
        accuracy: of the network that the publisher trained, in the order of AccuracyFigure.
    """

    table: str
    row: str
    position: int
    params: PrintedFigure | None
    flops: PrintedFigure | None
    at: tuple[int, int] | None
    source: str
    note: str | None
    accuracy: tuple[PrintedAccuracy, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainedWeights:
    """Weights of ours that come with yolo-gp.

    Fields:
        file: in zoo/; it holds the cfg that was trained and the names of its classes.
        knows: what they tell apart, in words.
        commands: what made them, in order.
        seed: of the training.
        accuracy: in the order of AccuracyFigure.
    """

    file: str
    knows: str
    commands: tuple[str, ...]
    seed: int
    accuracy: tuple[PrintedAccuracy, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a card's cfg must come out as, exactly, at the card's input size.

    Fields:
        params: P_train of `analysis.conventions`.
        macs: F0 / 2.
        p_w, p_fused, p_file, d1, d2, t2: further counts.
    """

    params: int
    macs: int
    p_w: int | None = None
    p_fused: int | None = None
    p_file: int | None = None
    d1: int | None = None
    d2: int | None = None
    t2: int | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One file of zoo/: a model, what it must come out as, and what was published about it.

    Fields:
        name, cfg, description: the model, its file in cfg/, a line about it.
        classes: how many.
        input_size: (height, width) of the cfg.
        status: how our figures relate to the published ones.
        recipe: the command that trains it.
        weights: its entry in weights_manifest.json.
        trained: weights that come with it, possibly for other classes than the cfg's.
        note: what to know about the published figures.
    """

    name: str
    cfg: str
    description: str
    classes: int
    input_size: tuple[int, int]
    status: Status
    recipe: str
    expected: Expected
    weights: str | None = None
    trained: TrainedWeights | None = None
    note: str | None = None
    published: tuple[PublishedRow, ...] = ()


def read_card(path: Path) -> ModelCard:
    """One card.

    Raises:
        DataError: with everything that is wrong with it.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise DataError(f"cannot read model card {path}: {os_reason(error)}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise DataError(f"{path} is no TOML file: {error}") from error
    problems: list[str] = []
    table = Record(content, "", problems, _shown)
    card = ModelCard(
        name=table.text("name") or "",
        cfg=table.text("cfg") or "",
        description=table.text("description") or "",
        classes=table.count("classes") or 0,
        input_size=table.size("input_size") or (0, 0),
        status=_read_status(table),
        recipe=table.text("recipe") or "",
        expected=_read_expected(table.record("expected", "[expected] ", "a table [expected]")),
        weights=table.text("weights", required=False),
        trained=_read_trained(table),
        note=table.text("note", required=False),
        published=tuple(
            _read_published(row)
            for row in table.records(
                "published", _name_of_row, "tables [[published]]", required=False
            )
        ),
    )
    table.finish()
    if problems:
        raise DataError("\n".join(f"{path}: {problem}" for problem in problems))
    return card


def _read_status(table: Record) -> Status:
    value = table.choice("status", get_args(Status))
    return next((status for status in get_args(Status) if status == value), "exact")


def _read_expected(table: Record) -> Expected:
    found = Expected(
        params=table.count("params") or 0,
        macs=table.count("macs") or 0,
        p_w=table.count("p_w", required=False),
        p_fused=table.count("p_fused", required=False),
        p_file=table.count("p_file", required=False),
        d1=table.count("d1", required=False),
        d2=table.count("d2", required=False),
        t2=table.count("t2", required=False),
    )
    table.finish()
    return found


def _read_trained(table: Record) -> TrainedWeights | None:
    trained = table.record("trained", "[trained] ", "a table [trained]", required=False)
    if not trained.keys:
        return None
    found = TrainedWeights(
        file=trained.text("file") or "",
        knows=trained.text("knows") or "",
        commands=trained.texts("commands"),
        seed=trained.get("seed", to_whole, "a whole number, at least 0") or 0,
        accuracy=_read_accuracy(trained),
    )
    trained.finish()
    return found


def _read_published(table: Record) -> PublishedRow:
    found = PublishedRow(
        table=table.text("table") or "",
        row=table.text("row") or "",
        position=table.count("position", required=False) or 0,
        params=_read_figure(table, "params", MILLION, PARAMETER_CONVENTIONS),
        flops=_read_figure(table, "flops", BILLION, OPERATION_CONVENTIONS),
        at=table.size("at", required=False),
        source=table.text("source") or "",
        note=table.text("note", required=False),
        accuracy=_read_accuracy(table),
    )
    table.finish()
    return found


def _read_accuracy(table: Record) -> tuple[PrintedAccuracy, ...]:
    """`accuracy = { AP = 51.0 }` with `accuracy_data = "COCO val"`; each needs the other."""
    if not {"accuracy", "accuracy_data"} & set(table.keys):
        return ()
    figures = table.record("accuracy", "[accuracy] ", "a table [accuracy]")
    data = table.text("accuracy_data") or ""
    choices: tuple[AccuracyFigure, ...] = get_args(AccuracyFigure)
    read = [
        (key, figures.get(key, _to_percent, "percent: above 0, at most 100", required=False))
        for key in choices
    ]
    figures.finish()
    return tuple(PrintedAccuracy(figure, value, data) for figure, value in read if value)


def _read_figure(
    table: Record, key: str, unit: int, conventions: Collection[Convention]
) -> PrintedFigure | None:
    """`params = 54.3` with `params_count = "P_fused"`; each needs the other."""
    if not {key, f"{key}_count"} & set(table.keys):
        return None
    value = table.get(key, _to_positive, "a number above 0")
    symbol = table.choice(f"{key}_count", [convention.symbol for convention in conventions])
    return PrintedFigure(value, unit, symbol) if value is not None and symbol else None


def _name_of_row(row: Mapping[str, Any], number: int) -> str:
    return f"[[published]] {number}: "


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _to_positive(value: object) -> Decimal | None:
    number = to_decimal(value)
    return number if number is not None and number > 0 else None


def _to_percent(value: object) -> Decimal | None:
    number = _to_positive(value)
    return number if number is not None and number <= 100 else None
