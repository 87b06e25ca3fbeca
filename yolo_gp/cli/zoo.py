"""`yolo-gp zoo`: the models that come with yolo-gp, and how their figures compare with papers."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

from yolo_gp.cli.flags import JsonOption
from yolo_gp.errors import UsageError

zoo = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The models that come with yolo-gp: list, show, table.",
)


class TableName(enum.StrEnum):
    """What `yolo-gp zoo table` prints."""

    PAPER = "paper"
    README = "readme"


NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A model's name, as `zoo list` prints it.")
]
TableArgument = Annotated[
    TableName,
    typer.Argument(
        metavar="TABLE",
        help="paper: the ELAN paper's tables, its parameters and FLOPs beside ours. "
        "readme: the README's table of models, in Markdown.",
    ),
]


@zoo.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Name every model, one a line, with what its card expects."""
    from yolo_gp.zoo import model_cards
    from yolo_gp.zoo_tables import list_data, list_text

    cards = model_cards().values()
    print(json.dumps(list_data(cards)) if as_json else list_text(cards))


@zoo.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a model's card, its counts in every convention, and published figures beside ours."""
    from yolo_gp.zoo import find_card
    from yolo_gp.zoo_tables import card_data, card_text

    card = find_card(name)
    print(json.dumps(card_data(card)) if as_json else card_text(card))


@zoo.command()
def table(name: TableArgument, as_json: JsonOption = False) -> None:
    """Print a table over all models."""
    from yolo_gp.zoo import model_cards
    from yolo_gp.zoo_tables import comparison_data, comparison_text, markdown, paper_tables

    cards = model_cards().values()
    if name is TableName.README:
        if as_json:
            raise UsageError("zoo table readme is Markdown\nexpected: no --json")
        print(markdown(cards))
        return
    tables = paper_tables(cards)
    print(json.dumps(comparison_data(tables)) if as_json else comparison_text(tables))
