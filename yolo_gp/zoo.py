"""Names to files: packaged cfg files, model cards, pretrained models. Loads no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yolo_gp.cache import ModelCache, cache_from_environment, unhashed_sizes
from yolo_gp.cards import ModelCard, read_card
from yolo_gp.download import Progress
from yolo_gp.errors import DataError, UsageError, WeightsError, did_you_mean
from yolo_gp.graph import Graph
from yolo_gp.weights.layout import float_count
from yolo_gp.weights.manifest import ManifestModel, read_manifest

DEFAULT_WEIGHTS = "elan-nano-shapes"
"""The packaged weights that find objects where the user names no model."""

_INSIDE_WHEEL = Path(__file__).parent / "_data"
_CHECKOUT = Path(__file__).parent.parent


def data_root() -> Path:
    """The folder that holds cfg/, zoo/ and weights_manifest.json: in a wheel, or the checkout."""
    return _INSIDE_WHEEL if _INSIDE_WHEEL.is_dir() else _CHECKOUT


def packaged_cfgs() -> dict[str, Path]:
    """Every cfg that comes with the project, by its name without suffix."""
    return {path.stem: path for path in sorted((data_root() / "cfg").glob("*.cfg"))}


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Weights that come with the project; the file holds its cfg and its class names.

    Fields:
        card: of the model they were trained for.
    """

    path: Path
    card: ModelCard

    @property
    def knows(self) -> str:
        """What they tell apart, in words."""
        return self.card.trained.knows if self.card.trained else ""


def packaged_weights() -> dict[str, PackagedWeights]:
    """Every weights file that comes with the project, by its name without suffix.

    Raises:
        DataError: a card is wrong.
    """
    trained = ((card, card.trained) for card in model_cards().values())
    found = ((data_root() / "zoo" / made.file, card) for card, made in trained if made)
    return {path.stem: PackagedWeights(path, card) for path, card in found}


def pretrained_models() -> dict[str, ManifestModel]:
    """Every model whose weights can be pulled, by name, in the manifest's order.

    Raises:
        DataError: the manifest is wrong.
    """
    return {model.name: model for model in read_manifest(data_root() / "weights_manifest.json")}


def open_cache(*, offline: bool = False, progress: Progress | None = None) -> ModelCache:
    """The cache of pretrained models that the environment describes.

    Raises:
        UsageError: a variable of the environment cannot be used.
    """
    return cache_from_environment(
        os.environ, data_root() / "cfg", offline=offline, progress=progress
    )


def find_cfg(name: str, cache: ModelCache | None = None) -> Path:
    """The cfg that `name` means: a path as given, else a packaged cfg, else a pretrained model's.

    Args:
        cache: where a model's own cfg lies or is pulled to; by default `open_cache()`.

    Raises:
        UsageError: there is none.
        WeightsError: it would have to be fetched, and cannot be.
    """
    path = Path(name)
    if path.is_file():
        return path
    packaged = packaged_cfgs()
    stem = path.stem if path.suffix == ".cfg" else path.name
    pretrained: dict[str, ManifestModel] = {}
    if path.parent == Path():
        if stem in packaged:
            return packaged[stem]
        pretrained = pretrained_models()
        if stem.lower() in pretrained:
            return (cache or open_cache()).cfg(pretrained[stem.lower()])
    if path.is_dir():
        raise UsageError(f"{name} is a folder\nexpected: a cfg file")
    suggestion = did_you_mean(stem, [*packaged, *pretrained])
    raise UsageError(
        f"there is no cfg {name}\n"
        f"expected: the path of a cfg file, or one that comes with yolo-gp: "
        f"{', '.join(f'{stem}.cfg' for stem in packaged)}"
        + (f"; or a pretrained model: {', '.join(pretrained)}" if pretrained else "")
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
    raise _not_in_zoo(name, cards)


def _not_in_zoo(name: str, known: Iterable[str]) -> UsageError:
    suggestion = did_you_mean(name, known)
    return UsageError(
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
class ListedModel:
    """What the zoo has under a name: a card, a pretrained model, or both.

    Fields:
        pretrained: the model of that name, or the one that the card names.
    """

    name: str
    card: ModelCard | None
    pretrained: ManifestModel | None


def find_listed(name: str) -> ListedModel:
    """What the zoo has under a name.

    Raises:
        UsageError: nothing.
        DataError: the manifest or a card is wrong.
    """
    cards, models = model_cards(), pretrained_models()
    card, model = cards.get(name), models.get(name.lower())
    if card is None and model is None:
        raise _not_in_zoo(name, [*cards, *models])
    if model is None and card is not None and card.weights is not None:
        model = models.get(card.weights)
    return ListedModel(name, card, model)


def find_pretrained(name: str) -> ManifestModel:
    """The pretrained model of that name, in whatever case, or the one that a card names.

    Raises:
        UsageError: there is none.
        DataError: the manifest or a card is wrong.
    """
    model = find_listed(name).pretrained
    if model is None:
        raise UsageError(
            f"there are no pretrained weights of {name}\n"
            "expected: a name from the second table that `yolo-gp zoo list` prints"
        )
    return model


@dataclass(frozen=True, slots=True)
class FoundWeights:
    """The weights that belong to a cfg.

    Fields:
        path: the file, in the cache.
        reason: why these: the model is called as the cfg, or its network computes the same.
    """

    path: Path
    model: ManifestModel
    reason: Literal["same name", "same network"]


def find_weights(graph: Graph, cfg: Path, cache: ModelCache | None = None) -> FoundWeights:
    """The pretrained weights of a network: of the model of that name, else of the same network.

    Where the namesake's network is known to be another, the network decides; a namesake whose
    weights merely fit, say because only anchors differ, comes last.

    Args:
        graph: what `cfg` was compiled to.
        cache: where the weights lie or are pulled to; by default `open_cache()`.

    Raises:
        WeightsError: there are none, or they would have to be fetched and cannot be.
    """
    models = pretrained_models()
    namesake = models.get(cfg.stem.lower())
    model = _weights_model(graph, namesake, models.values())
    if model is None:
        raise WeightsError(_no_weights_text(graph, cfg, namesake))
    reason: Literal["same name", "same network"] = (
        "same name" if model is namesake else "same network"
    )
    return FoundWeights((cache or open_cache()).weights(model), model, reason)


def _weights_model(
    graph: Graph, namesake: ManifestModel | None, models: Iterable[ManifestModel]
) -> ManifestModel | None:
    sizes = unhashed_sizes(float_count(graph))
    fitting = namesake if namesake is not None and namesake.weights.bytes in sizes else None
    if namesake is not None and namesake.fingerprint == graph.fingerprint:
        return namesake
    if fitting is not None and fitting.fingerprint is None:
        return fitting
    same = (model for model in models if model.fingerprint == graph.fingerprint)
    return next(same, fitting)


def _no_weights_text(graph: Graph, cfg: Path, namesake: ManifestModel | None) -> str:
    text = f"there are no pretrained weights for {cfg}"
    if namesake is not None:
        text += (
            f"\nthe pretrained {namesake.name} is another network: {_differences(namesake, graph)}"
        )
    return (
        f"{text}\nexpected: --weights FILE with weights that were made for this cfg\n"
        "help: `yolo-gp zoo list` names what can be had; --random-weights tries a network out "
        "untrained"
    )


def _differences(model: ManifestModel, graph: Graph) -> str:
    size = unhashed_sizes(float_count(graph))[0]
    found = [f"its weights file has {model.weights.bytes} bytes, one for this cfg {size}"]
    classes = {head.num_classes for _, head in graph.heads}
    if classes and classes != {len(model.class_names)}:
        counts = " and ".join(str(count) for count in sorted(classes))
        found.append(f"it tells {len(model.class_names)} classes apart, this cfg {counts}")
    return "; ".join(found)
