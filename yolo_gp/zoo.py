"""Names to files: packaged cfg files, model cards and the weights manifest. Loads no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.cards import ModelCard, read_card
from yolo_gp.errors import DataError, UsageError, did_you_mean

_INSIDE_WHEEL = Path(__file__).parent / "_data"
_CHECKOUT = Path(__file__).parent.parent


def data_root() -> Path:
    """The folder that holds cfg/, zoo/ and weights_manifest.json: in a wheel, or the checkout."""
    return _INSIDE_WHEEL if _INSIDE_WHEEL.is_dir() else _CHECKOUT


def packaged_cfgs() -> dict[str, Path]:
    """Every cfg that comes with the project, by its name without suffix."""
    return {path.stem: path for path in sorted((data_root() / "cfg").glob("*.cfg"))}


def find_cfg(name: str) -> Path:
    """The cfg file that `name` means: a path as given, else a packaged cfg.

    Raises:
        UsageError: neither exists.
    """
    path = Path(name)
    if path.is_file():
        return path
    packaged = packaged_cfgs()
    stem = path.stem if path.suffix == ".cfg" else path.name
    if stem in packaged and path.parent == Path():
        return packaged[stem]
    if path.is_dir():
        raise UsageError(f"{name} is a folder\nexpected: a cfg file")
    suggestion = did_you_mean(stem, packaged)
    raise UsageError(
        f"there is no cfg {name}\n"
        f"expected: the path of a cfg file, or one that comes with yolo-gp: "
        f"{', '.join(f'{stem}.cfg' for stem in packaged)}"
        + (f"\nhelp: {suggestion}" if suggestion else "")
    )


def model_cards() -> dict[str, ModelCard]:
    """Every card of zoo/ by name, in alphabetical order.

    Raises:
        DataError: a card is wrong.
    """
    cards: dict[str, ModelCard] = {}
    for path in sorted((data_root() / "zoo").glob("*.toml")):
        card = read_card(path)
        if card.name in cards:
            raise DataError(f'{path}: name = "{card.name}" is another card\'s name too')
        cards[card.name] = card
    return dict(sorted(cards.items()))


def find_card(name: str) -> ModelCard:
    """The card of that name.

    Raises:
        UsageError: there is none.
        DataError: a card is wrong.
    """
    cards = model_cards()
    if name in cards:
        return cards[name]
    suggestion = did_you_mean(name, cards)
    raise UsageError(
        f"there is no model {name} in the zoo\nexpected: a name that `yolo-gp zoo list` prints"
        + (f"\nhelp: {suggestion}" if suggestion else "")
    )


def cfg_of(card: ModelCard) -> Path:
    """The cfg file of a card.

    Raises:
        DataError: cfg/ has no such file.
    """
    path = data_root() / "cfg" / card.cfg
    if not path.is_file():
        raise DataError(f'the card of {card.name} says cfg = "{card.cfg}", which cfg/ has not')
    return path


@dataclass(frozen=True, slots=True)
class KnownWeights:
    """Where weights of a third party lie, from weights_manifest.json."""

    name: str
    url: str
    bytes: int
    sha256: str
    licence: str


def known_weights(cfg_name: str) -> KnownWeights | None:
    """The manifest's entry for a cfg of that name without suffix, or None."""
    manifest = json.loads((data_root() / "weights_manifest.json").read_text(encoding="utf-8"))
    for model in manifest["models"]:
        if model["name"].lower() == cfg_name.lower():
            weights = model["weights"]
            return KnownWeights(
                model["name"], weights["url"], weights["bytes"], weights["sha256"], model["licence"]
            )
    return None
