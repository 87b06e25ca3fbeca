"""`yolo-gp zoo`: the models that come with yolo-gp, their figures, and pretrained weights."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

from yolo_gp.cli.flags import JsonOption
from yolo_gp.cli.zoo_files import add, path, pull, rm, verify
from yolo_gp.errors import UsageError

zoo = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The models that come with yolo-gp, and pretrained weights.",
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
    """List every model, then those that can be pulled.

    The first table has a line for each cfg that comes with yolo-gp, with its counts; the second
    has the pretrained models, and whether they are in the cache.
    """
    from yolo_gp.cache.tables import pretrained_data, pretrained_text
    from yolo_gp.zoo import model_cards, open_cache, pretrained_models
    from yolo_gp.zoo_tables import list_data, list_text

    cards, cache = model_cards().values(), open_cache()
    pretrained = pretrained_models().values()
    if as_json:
        print(json.dumps({**list_data(cards), "pretrained": pretrained_data(pretrained, cache)}))
        return
    print(f"{list_text(cards)}\n\n{pretrained_text(pretrained, cache)}")


@zoo.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a model's figures and its weights.

    That is its card, its counts, what was published; and where its pretrained weights come from.
    """
    from yolo_gp.analysis.tables import SCHEMA_VERSION
    from yolo_gp.cache.tables import model_data, model_text
    from yolo_gp.zoo import find_listed, open_cache
    from yolo_gp.zoo_tables import card_data, card_text

    found, cache = find_listed(name), open_cache()
    card, model = found.card, found.pretrained
    if as_json:
        data = card_data(card) if card else {"schema_version": SCHEMA_VERSION, "name": found.name}
        print(json.dumps({**data, "pretrained": model_data(model, cache) if model else None}))
        return
    texts = [card_text(card)] if card else []
    texts += [model_text(model, cache)] if model else []
    print("\n\n".join(texts))


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


for command in (pull, verify, path, rm, add):
    zoo.command()(command)
