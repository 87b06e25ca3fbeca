"""From what a user asks for to a run that can begin or go on: data, cfg, network, recipe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import fx

from yolo_gp.cache import ModelCache
from yolo_gp.data.augmentation import DarknetAugmentation, ModernAugmentation
from yolo_gp.data.training_loader import TrainingLoader
from yolo_gp.errors import UsageError, WeightsError
from yolo_gp.graph import Graph
from yolo_gp.losses.network_loss import NetworkLoss, darknet_loss, modern_loss
from yolo_gp.shapes import format_size
from yolo_gp.tasks.inference import find_device
from yolo_gp.tasks.models import Model
from yolo_gp.tasks.ranks import Ranks, require_agreement
from yolo_gp.tasks.train_data import TrainData, open_train_data, reopen_train_data
from yolo_gp.tasks.train_folder import (
    StoredRun,
    TrainFolder,
    begin_folder,
    data_digest,
    require_unchanged,
    write_run,
)
from yolo_gp.tasks.train_memory import images_that_fit
from yolo_gp.tasks.train_model import (
    BuiltNetwork,
    CfgText,
    build_network,
    fitted,
    read_cfg,
    set_bn_momentum,
    start_weights,
)
from yolo_gp.tasks.train_precision import Precision, precision
from yolo_gp.tasks.train_ranks import sharing_gradients
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_state import Training, require_space_for_run, restore, save
from yolo_gp.tasks.train_validation import Validation, usual_interval
from yolo_gp.tasks.val import ValSettings
from yolo_gp.training.choices import has_masks
from yolo_gp.training.ema import build_ema
from yolo_gp.training.optimiser import build_optimiser
from yolo_gp.training.recipe import (
    Recipe,
    darknet_recipe,
    fit_to_data,
    modern_recipe,
    with_mosaic_closed,
    with_overrides,
)
from yolo_gp.training.requirements import require_losses

_USUAL_MOMENTUM = {"darknet": 0.01, "modern": 0.03}  # of running statistics; Darknet's on a GPU
_LARGEST_MOMENTUM = 0.1
_SETTLED_AFTER = 20  # a run is at least so many times as long as its statistics look back


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and with what numbers this process computes, and beside which others."""

    device: torch.device
    precision: Precision
    ranks: Ranks


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can begin or go on, and what the user should know before it does."""

    run: Training
    notes: tuple[str, ...]


def begin(
    settings: TrainSettings,
    ranks: Ranks,
    *,
    save_dir: Path | None = None,
    cache: ModelCache | None = None,
) -> Prepared:
    """Prepare a new run, in a folder of its own.

    Args:
        save_dir: the folder; by default the next of runs/train.
        cache: where pretrained models lie or are pulled to; by default as the environment says.

    Raises:
        UsageError, CfgError, WeightsError, DataError: what does not fit; nothing has been written.
    """
    place = _place(settings, ranks)
    own = read_cfg(settings, cache)
    graph = own.compiled(strict=settings.strict)
    require_losses(graph)
    source, problem = _try_source(settings, own, cache)
    data = _open_data(settings, graph, source)
    cfg = fitted(own, graph, len(data.names), settings.size)
    if problem is not None:
        if cfg.content == own.content:
            raise problem
        source = _source_of_fitted(settings, cfg, problem, cache)
    graph = cfg.compiled(strict=settings.strict)
    built = build_network(graph, settings, source)
    images = len(data.training.samples)
    settings = _with_parts(settings, graph, built.network, place, images)
    recipe = _recipe(settings, graph, images, ranks.world)
    require_space_for_run(save_dir or Path(), built.network, recipe)
    facts = _facts(cfg, graph, data)
    require_agreement(ranks, {**facts, **_words(settings)})
    folder = None
    if ranks.rank == 0:
        folder = begin_folder(save_dir, cfg.name, cfg.content, data.names)
    folder = ranks.from_first(folder)
    assert folder is not None  # process 0 has it, or has gone with an error
    run = _assemble(settings, graph, built, recipe, data, folder, place)
    save(run)
    if ranks.rank == 0:
        write_run(folder, settings, data.names, facts)
    return Prepared(run, _notes(own, cfg, source, built, data, recipe, run))


def go_on(stored: StoredRun, settings: TrainSettings, ranks: Ranks) -> Prepared:
    """Prepare to go on with a run where its last checkpoint stands.

    Args:
        settings: those of `stored`, or with changes that do not bear on the results.

    Raises:
        UsageError: the data is not what it was, or the run is Darknet's CPU build's.
        CfgError, DataError: what cannot be read.
    """
    folder = stored.folder
    if settings.darknet_cpu:
        raise UsageError(
            f"{folder.path} was begun with --darknet-cpu, so it cannot go on: what Darknet's CPU "
            "build leaves in its layers between steps is not kept\nhelp: start anew"
        )
    place = _place(settings, ranks)
    cfg = CfgText(stored.cfg, str(folder.cfg), folder.cfg_name)
    graph = cfg.compiled()
    data = reopen_train_data(settings, stored.names, masks=has_masks(graph))
    facts = _facts(cfg, graph, data)
    require_unchanged(folder.path, stored.facts, facts)
    require_agreement(ranks, {**facts, **_words(settings)})
    built = build_network(graph, settings, None)
    recipe = _recipe(settings, graph, len(data.training.samples), ranks.world)
    run = _assemble(settings, graph, built, recipe, data, folder, place)
    restore(run)
    return Prepared(run, (f"goes on after iteration {run.progress.iteration}",))


def _place(settings: TrainSettings, ranks: Ranks) -> _Place:
    """Each process takes a GPU of its own.

    Raises:
        UsageError: the device is not there, or cannot do what is asked.
    """
    spread = settings.device == "cuda" and ranks.world > 1
    device = find_device(f"cuda:{ranks.local_rank}" if spread else settings.device)
    if settings.sync_bn and (device.type != "cuda" or ranks.world == 1):
        raise UsageError("--sync-bn needs several processes, each with a GPU\nhelp: leave it out")
    if settings.darknet_cpu and (device.type != "cpu" or ranks.world > 1):
        raise UsageError("--darknet-cpu needs --device cpu and one process, as Darknet has there")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return _Place(device, precision(settings.dtype, device), ranks)


def _try_source(
    settings: TrainSettings, cfg: CfgText, cache: ModelCache | None
) -> tuple[Model | None, WeightsError | None]:
    """The network to start from; or why the weights are not those of the cfg as it was given."""
    try:
        return start_weights(settings, cfg, cache), None
    except WeightsError as error:
        return None, error


def _source_of_fitted(
    settings: TrainSettings, cfg: CfgText, problem: WeightsError, cache: ModelCache | None
) -> Model | None:
    """The network to start from if its weights are those of the cfg as it was made to fit.

    Raises:
        WeightsError: they are not; says why they do not fit the cfg as it was given.
    """
    try:
        return start_weights(settings, cfg, cache)
    except WeightsError:
        raise problem from None


def _open_data(settings: TrainSettings, graph: Graph, source: Model | None) -> TrainData:
    classes = graph.heads[0][1].num_classes if graph.heads else 1
    names = () if source is None else source.names
    return open_train_data(settings, classes, names, masks=has_masks(graph))


def _recipe(settings: TrainSettings, graph: Graph, images: int, world: int) -> Recipe:
    """The recipe with all that the settings say, its passes shared among the processes.

    Raises:
        UsageError: the batch cannot be shared so.
    """
    modern = settings.recipe == "modern"
    recipe = with_overrides(
        modern_recipe(graph) if modern else darknet_recipe(graph, seed=settings.seed),
        epochs=settings.epochs,
        iterations=settings.iterations,
        batch=settings.batch,
        subdivisions=settings.subdivisions,
        lr=settings.lr,
    )
    recipe = fit_to_data(recipe, images)
    if settings.close_mosaic is not None:
        recipe = with_mosaic_closed(recipe, settings.close_mosaic)
    parts = recipe.subdivisions
    while parts % world or recipe.batch % parts:
        parts += 1
        if parts > recipe.batch:
            raise UsageError(
                f"a batch of {recipe.batch} images cannot be shared by {world} processes\n"
                f"expected: --batch a multiple of {world}"
            )
    return replace(recipe, subdivisions=parts)


def _with_parts(
    settings: TrainSettings,
    graph: Graph,
    network: fx.GraphModule,
    place: _Place,
    images: int,
) -> TrainSettings:
    """The settings with `subdivisions` found, if they ask for that."""
    if not settings.auto_batch or settings.subdivisions is not None:
        return settings
    recipe = _recipe(settings, graph, images, 1)
    match recipe.augmentation:
        case DarknetAugmentation() as augmentation:
            spread = augmentation.spread
        case ModernAugmentation() as augmentation:
            spread = 1 + augmentation.multi_scale
        case _:
            spread = 1.0
    own = images_that_fit(graph, network.to(place.device), place.device, spread)
    fit = min(place.ranks.gather(own))
    batch = recipe.batch
    parts = next(n for n in range(1, batch + 1) if batch % n == 0 and batch // n <= fit)
    return replace(settings, batch=batch, subdivisions=parts)


def _assemble(
    settings: TrainSettings,
    graph: Graph,
    built: BuiltNetwork,
    recipe: Recipe,
    data: TrainData,
    folder: TrainFolder,
    place: _Place,
) -> Training:
    network = built.network.to(place.device)
    if not settings.darknet_cpu or settings.bn_momentum is not None:
        set_bn_momentum(network, _bn_momentum(settings, recipe))
    optimiser = build_optimiser(graph, network, recipe)
    if settings.sync_bn:  # after the optimiser, which knows batch norms by their class
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return Training(
        settings=settings,
        graph=graph,
        network=network,
        forward=sharing_gradients(network, place.ranks, place.device, all_used=built.all_learn),
        recipe=recipe,
        passes=recipe.subdivisions // place.ranks.world,
        loss=_loss(graph, recipe),
        optimiser=optimiser,
        ema=build_ema(recipe, network),
        precision=place.precision,
        loader=_loader(settings, graph, recipe, data, place),
        validation=_validation(settings, recipe, data),
        folder=folder,
        data=data,
        device=place.device,
        ranks=place.ranks,
    )


def _bn_momentum(settings: TrainSettings, recipe: Recipe) -> float:
    """The share of each batch in the running statistics; larger in a short run."""
    if settings.bn_momentum is not None:
        return settings.bn_momentum
    assert recipe.run is not None
    settled = min(_LARGEST_MOMENTUM, _SETTLED_AFTER / recipe.run.iterations)
    return max(_USUAL_MOMENTUM[settings.recipe], settled)


def _loss(graph: Graph, recipe: Recipe) -> NetworkLoss:
    if recipe.loss == "darknet":
        return darknet_loss(graph)
    return modern_loss(graph, recipe.loss)


def _loader(
    settings: TrainSettings,
    graph: Graph,
    recipe: Recipe,
    data: TrainData,
    place: _Place,
) -> TrainingLoader:
    assert recipe.run is not None
    return TrainingLoader(
        data.training,
        recipe.augmentation,
        graph.input_shape.size,
        images_per_batch=recipe.images_per_pass * place.ranks.world,
        workers=settings.workers,
        seed=settings.seed,
        channels=graph.input_shape.channels,
        stride=graph.stride,
        sampling="replacement" if settings.recipe == "darknet" else "epochs",
        images_per_iteration=recipe.batch,
        iterations_total=recipe.run.iterations,
        rank=place.ranks.rank,
        world=place.ranks.world,
        masks=has_masks(graph),
        cache=None if settings.cache == "none" else settings.cache,
        device=str(place.device),
        pin_memory=True,
    )


def _validation(settings: TrainSettings, recipe: Recipe, data: TrainData) -> Validation | None:
    if data.validation is None:
        return None
    usual = usual_interval(len(data.training.samples), len(data.validation.samples))
    return Validation(
        dataset=data.validation,
        settings=ValSettings(batch_size=recipe.images_per_pass, workers=settings.workers),
        every=settings.val_every or usual,
    )


def _facts(cfg: CfgText, graph: Graph, data: TrainData) -> dict[str, str]:
    """What the results depend on beside the settings, in words."""
    facts = {
        "cfg": hashlib.sha256(cfg.content).hexdigest()[:16],
        "network": graph.fingerprint[:16],
        "data": data_digest(data.training),
    }
    if data.validation is not None:
        facts["val data"] = data_digest(data.validation)
    return facts


def _words(settings: TrainSettings) -> dict[str, str]:
    return {name: str(value) for name, value in settings.to_entries().items()}


def _notes(
    own: CfgText,
    cfg: CfgText,
    source: Model | None,
    built: BuiltNetwork,
    data: TrainData,
    recipe: Recipe,
    run: Training,
) -> tuple[str, ...]:
    """What the user should know: where weights come from, what was changed, what has no effect."""
    found = list(data.notes)
    if cfg.content != own.content:
        size = format_size(run.graph.input_shape.size)
        found.append(
            f"the cfg is trained with {len(data.names)} classes at {size}; it lies in "
            f"{run.folder.cfg}"
        )
    if source is not None:
        found += [*source.notes, built.report or ""]
    if count := run.settings.freeze:
        found.append(f"sections 0 to {count - 1} keep their weights and their statistics")
    return (*found, *recipe.remarks)
