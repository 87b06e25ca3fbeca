"""Names to files: packaged cfg files, model cards and the weights manifest. Loads no torch."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.errors import UsageError, did_you_mean

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


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One file of zoo/: a model of ours and the figures it must come out as.

    Fields:
        name, cfg, description: the model, its file in cfg/, a line about it.
        classes: how many.
        input_size: (height, width) of the cfg.
        params, macs: exact, P_train and F0 / 2 of zoo.md A.1.
    """

    name: str
    cfg: str
    description: str
    classes: int
    input_size: tuple[int, int]
    params: int
    macs: int


def model_cards() -> dict[str, ModelCard]:
    """Every card of zoo/ by name."""
    cards = {}
    for path in sorted((data_root() / "zoo").glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        height, width = content["input_size"]
        cards[content["name"]] = ModelCard(
            name=content["name"],
            cfg=content["cfg"],
            description=content["description"],
            classes=content["classes"],
            input_size=(height, width),
            params=content["expected"]["params"],
            macs=content["expected"]["macs"],
        )
    return cards


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
