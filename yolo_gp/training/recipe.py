"""How a network is trained, all choices made: by the keys of its cfg, or as YOLOR was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from yolo_gp.data.augmentation import Augmentation, ModernAugmentation
from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.losses.modern_settings import ModernLossSettings
from yolo_gp.training.choices import (
    AdamSettings,
    ModernCourse,
    darknet_adam,
    darknet_augmentation,
    modern_augmentation,
    modern_loss_settings,
    modern_schedule,
)
from yolo_gp.training.remarks import darknet_remarks, modern_remarks, stretch_remarks
from yolo_gp.training.requirements import (
    require_heads,
    require_usable,
    require_usable_sections,
    yolo_heads,
)
from yolo_gp.training.schedule import DarknetSchedule, RunLength, Schedule

RecipeName = Literal["darknet", "modern"]

_NOMINAL_BATCH = 64  # what YOLOR's learning rate, its decay and its EMA are meant for
_IMAGES_PER_PASS = 16
_MODERN_EPOCHS = 300.0
_FEW_ITERATIONS = 3000  # too few to spend several passes on each
_EMA_REACH = 10  # an average spans at most one part in so many of a run
_CLOSED_SHARE = 0.2  # of a run's epochs go by without mosaics at most
_LARGE_NETWORK = 10_000_000  # parameters, from which on YOLOv5 varies images more


@dataclass(frozen=True, slots=True)
class DarknetEma:
    """An average that starts halfway and takes the weights' place near the end (ema_alpha).

    Fields:
        keep: the share of the old average.
    """

    keep: float


@dataclass(frozen=True, slots=True)
class ModernEma:
    """An average over the whole run: the weights that are measured and saved.

    Fields:
        decay: the share of the old average, once many updates have been made.
        ramp: after so many updates it is 63 % of that.
    """

    decay: float = 0.9999
    ramp: float = 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a training run needs to know beside the network and the data.

    Fields:
        name: whose recipe it is.
        batch: images per update.
        subdivisions: parts of the batch that go through the network one after the other.
        iterations, epochs: how long; one of the two at most, neither if the cfg does not say.
        run: the length in full; None before `fit_to_data`.
        schedule: the course of learning rates and momentum.
        nesterov: of stochastic gradient descent.
        weight_decay: for updates of `nominal_batch` images, in proportion; for any if that is None.
        nominal_batch: see there.
        accumulates: a long run may enlarge the batch to `nominal_batch`.
        decays_all: biases and batch norms decay too, as with Darknet's Adam.
        adam: in place of stochastic gradient descent.
        augmentation: how images are varied.
        loss: "darknet" for the keys of [yolo], else the modern loss with these gains.
        ema: an average of the weights.
        gradient_clip: the largest norm of all gradients together; None for no bound.
        divide_by: gradients are sums over images; an update divides them by this.
        remarks: keys of the cfg that have no effect, and what else must be said.
    """

    name: RecipeName
    batch: int
    subdivisions: int
    iterations: int | None
    epochs: float | None
    schedule: Schedule
    nesterov: bool
    weight_decay: float
    augmentation: Augmentation
    loss: Literal["darknet"] | ModernLossSettings
    ema: DarknetEma | ModernEma | None
    gradient_clip: float | None
    divide_by: float
    run: RunLength | None = None
    nominal_batch: int | None = None
    accumulates: bool = False
    decays_all: bool = False
    adam: AdamSettings | None = None
    remarks: tuple[str, ...] = ()

    @property
    def images_per_pass(self) -> int:
        """Images that go through the network together."""
        return self.batch // self.subdivisions

    @property
    def decay(self) -> float:
        """The share of a weight's value that joins its gradient."""
        share = self.batch / self.nominal_batch if self.nominal_batch else 1.0
        return self.weight_decay * share


def darknet_recipe(graph: Graph, *, seed: int = 0) -> Recipe:
    """What [net] and [yolo] say. Missing keys have Darknet's defaults.

    Args:
        seed: of policy=random.

    Raises:
        UsageError: the network has a head that Darknet cannot train, or none; or a key has a value
            that nobody can train with.
    """
    heads = yolo_heads(graph)
    require_usable(graph)
    keys = graph.spec.net.training
    per_pass = max(1, keys.batch // keys.subdivisions)
    batch = per_pass * keys.subdivisions
    return Recipe(
        name="darknet",
        batch=batch,
        subdivisions=keys.subdivisions,
        iterations=keys.max_batches or None,
        epochs=None,
        schedule=DarknetSchedule(keys, seed),
        nesterov=False,
        weight_decay=keys.decay,
        decays_all=keys.adam,
        adam=darknet_adam(keys, batch) if keys.adam else None,
        augmentation=darknet_augmentation(graph, keys, heads[-1]),
        loss="darknet",
        ema=DarknetEma(keys.ema_alpha) if keys.ema_alpha else None,
        gradient_clip=None,
        divide_by=float(batch),
        remarks=darknet_remarks(graph),
    )


def modern_recipe(
    graph: Graph,
    *,
    epochs: float | None = None,
    iterations: int | None = None,
    batch: int | None = None,
    subdivisions: int | None = None,
    lr: float | None = None,
    course: ModernCourse | None = None,
) -> Recipe:
    """YOLOR's recipe; networks without anchors get the rates that YOLOv5's successor learnt by.

    300 epochs, with 16 images per update: 64 in four parts where that makes 3000 updates or more,
    as `fit_to_data` then says. Gradients are sums over images, so that an image counts the same in
    both. The keys of [net] and [yolo] do not count, those that say how a section learns do.

    Args:
        epochs, iterations, batch, subdivisions, lr: as in `with_overrides`.
        course: of the rate; "cosine" if None, for networks without anchors "linear".

    Raises:
        UsageError: the network has no head, a section's rate is negative, or the numbers do not
            fit together.
    """
    require_heads(graph)
    require_usable_sections(graph)
    is_anchor_free = any(isinstance(head, AnchorFree) for _, head in graph.heads)
    is_large = graph.total.params >= _LARGE_NETWORK
    recipe = Recipe(
        name="modern",
        batch=_IMAGES_PER_PASS,
        subdivisions=1,
        iterations=None,
        epochs=_MODERN_EPOCHS,
        schedule=modern_schedule(course, is_anchor_free),
        nesterov=True,
        weight_decay=5e-4,
        nominal_batch=_NOMINAL_BATCH,
        accumulates=True,
        augmentation=modern_augmentation(graph, is_large),
        loss=modern_loss_settings(is_large),
        ema=ModernEma(),
        gradient_clip=10.0,
        divide_by=1.0,
        remarks=modern_remarks(graph),
    )
    return with_overrides(
        recipe,
        epochs=epochs,
        iterations=iterations,
        batch=batch,
        subdivisions=subdivisions,
        lr=lr,
    )


def with_overrides(
    recipe: Recipe,
    *,
    epochs: float | None = None,
    iterations: int | None = None,
    batch: int | None = None,
    subdivisions: int | None = None,
    lr: float | None = None,
) -> Recipe:
    """The recipe with what a user asks for in place of its own; None leaves a setting alone.

    With another batch but no subdivisions, about as many images go through the network together.

    Raises:
        UsageError: a number is out of range, or they do not fit together.
    """
    _require_positive("--epochs", epochs)
    _require_positive("--iterations", iterations)
    _require_positive("--batch", batch)
    _require_positive("--subdivisions", subdivisions)
    _require_positive("--lr", lr)
    if epochs is not None and iterations is not None:
        raise UsageError(
            f"--epochs {epochs:g} and --iterations {iterations} exclude each other\n"
            "expected: one of them"
        )
    if epochs is not None or iterations is not None:
        recipe = replace(recipe, epochs=epochs, iterations=iterations)
    if batch is not None or subdivisions is not None:
        recipe = _with_batch(recipe, batch or recipe.batch, subdivisions)
    if lr is not None:
        recipe = replace(recipe, schedule=recipe.schedule.with_learning_rate(lr))
    return recipe


def _require_positive(flag: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise UsageError(f"{flag} {value:g} is out of range\nexpected: a number above 0")


def _with_batch(recipe: Recipe, batch: int, subdivisions: int | None) -> Recipe:
    if subdivisions is None:
        together = recipe.images_per_pass if recipe.batch > 1 else batch
        parts = -(-batch // together)
        subdivisions = next(n for n in range(parts, batch + 1) if batch % n == 0)
    elif batch % subdivisions:
        raise UsageError(
            f"a batch of {batch} images cannot be cut into {subdivisions} equal parts\n"
            "expected: a batch that is a multiple of the subdivisions"
        )
    adam, divide_by = recipe.adam, recipe.divide_by
    if recipe.name == "darknet":
        divide_by = float(batch)
        adam = adam and replace(adam, epsilon=adam.epsilon * recipe.batch / batch)
    return replace(
        recipe,
        batch=batch,
        subdivisions=subdivisions,
        accumulates=False,
        adam=adam,
        divide_by=divide_by,
    )


def fit_to_data(recipe: Recipe, images: int) -> Recipe:
    """The recipe for a data set of so many images, its length worked out.

    A short run gets an average that spans at most a tenth of it (YOLOR's spans 10,000 updates), and
    mosaics in at least four fifths of its epochs.

    Raises:
        UsageError: the recipe does not say how long to train, has a batch of one image, or a
            learning rate without bounds.
    """
    recipe = _accumulated(recipe, images)
    _require_batch(recipe)
    run = RunLength(_iterations(recipe, images), images / recipe.batch)
    try:
        recipe.schedule.rates(run.iterations, run)
    except OverflowError as error:
        raise UsageError(
            f"the learning rate grows beyond all bounds before iteration {run.iterations}\n"
            "expected: gamma and scale of at most 1"
        ) from error
    augmentation = recipe.augmentation
    if isinstance(augmentation, ModernAugmentation):
        closed = min(augmentation.close_mosaic, int(run.epochs * _CLOSED_SHARE))
        augmentation = replace(augmentation, close_mosaic=closed)
    ema = recipe.ema
    if isinstance(ema, ModernEma):
        reach = min(1 / (1 - ema.decay), max(1.0, run.iterations / _EMA_REACH))
        ema = ModernEma(1 - 1 / reach, min(ema.ramp, max(1.0, reach / 2)))
    remarks = recipe.remarks
    if isinstance(recipe.schedule, DarknetSchedule):
        remarks += stretch_remarks(recipe.schedule, run)
    return replace(recipe, run=run, augmentation=augmentation, ema=ema, remarks=remarks)


def with_mosaic_closed(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe without mosaics in the last `epochs` of a run, be they all of them.

    Raises:
        UsageError: the recipe is Darknet's, which joins images as its cfg says to the end.
    """
    augmentation = recipe.augmentation
    if not isinstance(augmentation, ModernAugmentation):
        raise UsageError(
            "--close-mosaic needs --recipe modern\n"
            "help: with Darknet's recipe, mosaic=0 in [net] trains without mosaics"
        )
    return replace(recipe, augmentation=replace(augmentation, close_mosaic=epochs))


def _accumulated(recipe: Recipe, images: int) -> Recipe:
    """The recipe with its nominal batch, if the run makes enough updates of that size."""
    nominal = recipe.nominal_batch
    if not recipe.accumulates or nominal is None or nominal % recipe.images_per_pass:
        return recipe
    larger = replace(
        recipe, batch=nominal, subdivisions=nominal // recipe.images_per_pass, accumulates=False
    )
    return larger if _iterations(larger, images) >= _FEW_ITERATIONS else recipe


def _iterations(recipe: Recipe, images: int) -> int:
    if recipe.iterations is not None:
        return recipe.iterations
    if recipe.epochs is not None:
        return max(1, round(recipe.epochs * images / recipe.batch))
    raise UsageError(
        "[net] has no max_batches, so nothing says how long to train\n"
        "expected: max_batches=N in the cfg, --iterations N or --epochs N"
    )


def _require_batch(recipe: Recipe) -> None:
    if recipe.name == "darknet" and recipe.batch == 1:
        raise UsageError(
            "batch=1: Darknet does not train with one image per update, and neither do we\n"
            "expected: a batch of 2 or more, such as batch=64 with subdivisions=16, or --batch 16\n"
            "help: batch=1 is what cfgs for detection say"
        )
