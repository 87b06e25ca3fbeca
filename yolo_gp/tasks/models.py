"""From what a user names to a network with its weights: cfg, weights file, class names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import fx

from yolo_gp.cache import ModelCache
from yolo_gp.dialect import Dialect
from yolo_gp.errors import DataError, UsageError, WeightsError, did_you_mean
from yolo_gp.files import read_names
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.header import WeightsHeader
from yolo_gp.weights.layout import WeightsDialect
from yolo_gp.weights.loading import embedded_info, load_any
from yolo_gp.weights.manifest import ManifestModel
from yolo_gp.zoo import (
    PackagedWeights,
    find_cfg,
    find_weights,
    open_cache,
    packaged_weights,
    pretrained_models,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """What names a model.

    Fields:
        cfg: a path, or the name of a packaged cfg or a pretrained model; None takes the one inside
            `weights`.
        weights: a Darknet `.weights` file, a safetensors file of ours, a torch state dict, or the
            name of packaged weights or of a pretrained model; None takes the pretrained ones that
            belong to the cfg.
        names: a file with one class name a line; None takes those inside `weights`, if any.
        size: (height, width) of the network's input in pixels; None takes the cfg's.
        strict: warnings about the cfg are errors.
        random_weights: an untrained network, for trying things out; needs no weights.
        batch_norm_epsilon: with which the weights were trained, if not with Darknet's 1e-5; the
            network then computes what theirs did.
        dialect: the one to read the cfg in; None for the one that it tells itself.
        weights_dialect: whose Darknet wrote the `.weights` file; None for AlexeyAB's.
    """

    cfg: str | Path | None = None
    weights: str | Path | None = None
    names: str | Path | None = None
    size: tuple[int, int] | None = None
    strict: bool = False
    random_weights: bool = False
    batch_norm_epsilon: float | None = None
    dialect: Dialect | None = None
    weights_dialect: WeightsDialect | None = None

    def __post_init__(self) -> None:
        if self.weights and self.random_weights:
            raise UsageError("weights and random weights exclude each other; give one")
        if self.cfg is None and not self.weights:
            raise UsageError(
                "neither a cfg nor weights are given\n"
                "expected: --cfg CFG, or --weights FILE with a file that `yolo-gp convert` wrote"
            )
        if self.weights_dialect and not self.weights:
            raise UsageError(
                f"the weights' dialect is {self.weights_dialect}, but no weights are given\n"
                "expected: a Darknet .weights file with it"
            )
        epsilon = self.batch_norm_epsilon
        if epsilon is not None and not (0 < epsilon < math.inf):
            raise UsageError(
                f"batch norm epsilon {epsilon:g} is out of range\n"
                "expected: a number above 0, such as 1e-4"
            )


@dataclass(frozen=True, slots=True)
class Model:
    """A network with its weights, on the CPU, in float32, not folded.

    Fields:
        names: class names by id; empty if none are known.
        header: of the Darknet weights it came from; None if it came from elsewhere.
        cfg_name: the cfg's file name without suffix.
        cutoff: only the sections before this number have their weights; None for all.
        notes: what the user should know about where the weights come from.
    """

    graph: Graph
    network: fx.GraphModule
    names: tuple[str, ...] = ()
    header: WeightsHeader | None = None
    cfg_name: str = ""
    cutoff: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ChosenWeights:
    """The weights file that is meant.

    Fields:
        cfg: of the pretrained model that it belongs to; None for a file that the user named.
        class_names: that belong to it, if it does not hold its own.
        notes: how it was found, if the user did not name the file.
    """

    path: Path
    cfg: Path | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_model(
    source: ModelSource, *, accept_partial: bool = False, cache: ModelCache | None = None
) -> Model:
    """Compile a cfg and load its weights.

    Args:
        accept_partial: weights of the first sections alone will do; see `Model.cutoff`.
        cache: where pretrained models lie or are pulled to; by default as the environment says.

    Raises:
        CfgError, WeightsError, UsageError, DataError: what does not fit, and where.
    """
    cfg = None if source.cfg is None else find_cfg(str(source.cfg), cache)
    names = _read_names(source)
    given = _given_weights(source, cache) if source.weights else None
    if cfg is None and given is not None:
        cfg = given.cfg
    graph, cfg_name = _compile(source, cfg, given.path if given else None)
    network = compile_network(graph)
    if source.random_weights:
        initialise(network, seed=0)
        return Model(graph, network, names, cfg_name=cfg_name)
    if given is None:
        assert cfg is not None
        given = _pretrained_weights(graph, cfg, cache)
    loaded = load_any(
        given.path,
        graph,
        network,
        accept_partial=accept_partial,
        batch_norm_epsilon=source.batch_norm_epsilon,
        weights_dialect=source.weights_dialect,
    )
    return Model(
        graph,
        network,
        names or loaded.class_names or given.class_names,
        loaded.header,
        cfg_name,
        loaded.cutoff,
        (*given.notes, *loaded.notes),
    )


def _read_names(source: ModelSource) -> tuple[str, ...]:
    names = read_names(Path(source.names)) if source.names else ()
    if source.names and not names:
        raise DataError(f"{source.names} holds no class names\nexpected: one name a line")
    return names


def _compile(source: ModelSource, cfg: Path | None, weights: Path | None) -> tuple[Graph, str]:
    """The graph of the cfg given, or else of the one inside the weights file; and its name."""
    if cfg is not None:
        graph = read_graph(
            cfg, input_size=source.size, strict=source.strict, dialect=source.dialect
        )
        return graph, cfg.stem
    assert weights is not None
    info = embedded_info(weights)
    if info is None:
        raise UsageError(
            f"{weights} holds no cfg, so it does not say what network it is for\n"
            "expected: --cfg CFG with it\n"
            "help: `yolo-gp convert` writes files that hold the cfg too"
        )
    graph = compile_text(
        info.cfg,
        f"<{weights}>",
        input_size=source.size,
        strict=source.strict,
        dialect=source.dialect,
    )
    return graph, info.cfg_name


def _given_weights(source: ModelSource, cache: ModelCache | None) -> _ChosenWeights:
    """The file given as weights, or the packaged one or the pretrained model of this name."""
    path = Path(source.weights or "")
    if path.exists() or path.parent != Path():
        return _ChosenWeights(path)
    packaged, pretrained = packaged_weights(), pretrained_models()
    name = path.name.lower()
    if name in packaged:
        return _ChosenWeights(packaged[name].path, notes=(_packaged_note(packaged[name]),))
    if name not in pretrained:
        raise WeightsError(_unknown_weights_text(path, [*packaged, *pretrained]))
    model = pretrained[name]
    cache = cache or open_cache()
    found = cache.weights(model)
    cfg = cache.cfg(model) if source.cfg is None else None
    return _ChosenWeights(found, cfg, model.class_names, (_note(model, found),))


def _unknown_weights_text(path: Path, known: Iterable[str]) -> str:
    suggestion = did_you_mean(path.name, known)
    return (
        f"cannot read weights {path}: no such file or directory\n"
        "expected: a file, or a pretrained model from the second table of `yolo-gp zoo list`"
        + (f"\nhelp: {suggestion}" if suggestion else "")
    )


def _pretrained_weights(graph: Graph, cfg: Path, cache: ModelCache | None) -> _ChosenWeights:
    """The weights of the zoo that belong to a cfg."""
    found = find_weights(graph, cfg, cache)
    note = _note(found.model, found.path, f" ({found.reason} as {cfg.name})")
    return _ChosenWeights(found.path, cfg, found.model.class_names, (note,))


def _packaged_note(weights: PackagedWeights) -> str:
    return f"weights: {weights.path.stem}, which come with yolo-gp and know {weights.knows} only"


def _note(model: ManifestModel, path: Path, reason: str = "") -> str:
    return f"weights: those of {model.name}{reason}, {path}; licence: {model.weights.licence}"
