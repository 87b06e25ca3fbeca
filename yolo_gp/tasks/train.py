"""Training: one loop, from batches of images to weights on the disk."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from yolo_gp.data.training_loader import TrainingBatch
from yolo_gp.errors import DataError
from yolo_gp.losses.network_loss import LossValue
from yolo_gp.tasks.train_ranks import any_of, without_sharing
from yolo_gp.tasks.train_state import Training, merge, save, save_final
from yolo_gp.tasks.train_stop import StopRequest
from yolo_gp.training.optimiser import set_rates
from yolo_gp.training.progress import Epoch

_SKIPS_IN_A_ROW = 10  # then skipping does not help
_SHOWN = 20  # images listed in an error


@dataclass(slots=True)
class Step:
    """One iteration, as far as it has come.

    Fields:
        iteration: counted from 1.
        rate: the learning rate of weights.
        images: of this process.
        loss, parts: means over them.
        seconds: what it took, and `waited` of them without images.
        sources: the files that the images are made of.
        problems: images that could not be read, told for the first time.
        skipped: loss or gradient was not finite, so the weights are as they were.
    """

    iteration: int
    rate: float
    started: float
    images: int = 0
    loss: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0
    sources: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: bool = False


def train(run: Training, stop: StopRequest) -> Iterator[Step | Epoch]:
    """Make the iterations that are left; yields each, and each epoch at its end.

    Ends early when `stop` asks for it, once the step that is under way is done and saved.

    Raises:
        DataError: a loss or gradient is not finite, an image cannot be read, or there is no room.
    """
    with contextlib.closing(run.loader.batches(run.progress.iteration * run.passes)) as batches:
        stopping = False
        while not (stopping or run.is_over):
            step = _begin(run)
            for part in range(run.passes):
                batch = _next(batches, step)
                with without_sharing(run.forward, unless=part == run.passes - 1):
                    loss = _loss(run, batch, step)
                    _backward(run, loss)
            if _is_finite(run, step):
                _update(run)
            yield _log(run, step)
            if run.ends_epoch:
                yield _end_epoch(run, step)
            stopping, due = any_of(run.ranks, (bool(stop), run.ends_epoch or run.save_is_due))
            if stopping or due:
                save(run)
    if run.is_over:
        save_final(run)


def _begin(run: Training) -> Step:
    """Set the rates, clear the gradients; dropout draws anew for each iteration and process."""
    iteration = run.progress.iteration + 1
    torch.manual_seed(hash((run.settings.seed, iteration, run.ranks.rank)))
    run.keep_statistics()
    run.tell_layers(iteration)
    rate = set_rates(run.optimiser, run.recipe, iteration)
    run.optimiser.zero_grad()
    return Step(iteration, rate, time.perf_counter())


def _next(batches: Iterator[TrainingBatch], step: Step) -> TrainingBatch:
    start = time.perf_counter()
    batch = next(batches)
    step.waited += time.perf_counter() - start
    step.sources += batch.sources
    step.problems += batch.problems
    return batch


def _loss(run: Training, batch: TrainingBatch, step: Step) -> LossValue:
    """What the network gets wrong in a batch."""
    images = batch.images.contiguous(memory_format=torch.channels_last)
    with run.precision.autocast():
        maps = run.forward(images)
    loss = run.loss(
        [each.float() for each in maps], batch.targets, (images.shape[2], images.shape[3])
    )
    step.images += len(images)
    step.loss += float(loss.total.detach())
    for name, value in loss.parts.items():
        step.parts[name] = step.parts.get(name, 0.0) + value * len(images)
    return loss


def _backward(run: Training, loss: LossValue) -> None:
    """Add the gradient of a batch, as the recipe scales it; torch averages over processes."""
    scale = run.ranks.world / run.recipe.divide_by
    scaled: Tensor = run.precision.scaler.scale(loss.total * scale)
    scaled.backward()  # type: ignore[no-untyped-call]


def _is_finite(run: Training, step: Step) -> bool:
    """Whether the weights may be changed; if so, the gradients are ready for it.

    A gradient that mixed precision let overflow is no fault: its scaler leaves such steps out.

    Raises:
        DataError: loss or gradient is not finite, and the settings say to stop then.
    """
    run.precision.scaler.unscale_(run.optimiser)
    norm = torch.nn.utils.get_total_norm([p.grad for p in run.learning if p.grad is not None])
    if run.recipe.gradient_clip is not None:
        torch.nn.utils.clip_grads_with_norm_(run.learning, run.recipe.gradient_clip, norm)
    fine = math.isfinite(step.loss) and (run.precision.is_scaled or bool(norm.isfinite()))
    (failed,) = any_of(run.ranks, (not fine,))
    if not failed:
        run.progress.skipped = 0
        return True
    step.skipped = True
    run.progress.skipped += 1
    if run.settings.non_finite == "stop" or run.progress.skipped >= _SKIPS_IN_A_ROW:
        raise _not_finite(run, step, float(norm))
    run.put_statistics_back()
    return False


def _not_finite(run: Training, step: Step, norm: float) -> DataError:
    """The error that names what the weights were about to learn from."""
    everywhere = [name for names in run.ranks.gather(step.sources) for name in names]
    names = list(dict.fromkeys(everywhere))
    lines = [f"  {name}" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        lines.append(f"  ... and {len(names) - _SHOWN} more")
    times = run.progress.skipped
    again = f", {times} times in a row" if times > 1 else ""
    head = (
        f"iteration {step.iteration}: the loss is {step.loss:g} and the norm of the gradient "
        f"{norm:g}{again}; its images were"
    )
    return DataError(
        "\n".join((head, *lines))
        + "\nhelp: look at their labels; where these are fine, take a lower --lr; the last "
        f"checkpoint in {run.folder.path} is whole"
    )


def _update(run: Training) -> None:
    """Change the weights, and let their average follow."""
    run.precision.scaler.step(run.optimiser)
    run.precision.scaler.update()
    if run.ema is not None:
        run.ema.update(run.network, run.progress.iteration + 1)


def _log(run: Training, step: Step) -> Step:
    """Count the iteration. What was skipped counts as made, but not in the mean loss."""
    step.loss /= step.images
    step.parts = {name: value / step.images for name, value in step.parts.items()}
    step.seconds = time.perf_counter() - step.started
    run.progress.iteration = step.iteration
    run.progress.seconds += step.seconds
    run.progress.waited += step.waited
    if not step.skipped:
        run.progress.add(step.parts, step.loss, step.images)
    return step


def _end_epoch(run: Training, step: Step) -> Epoch:
    """Close the epoch, and measure accuracy if it is time to."""
    merge(run)
    run.progress.set_sums([value * run.ranks.world for value in run.progress.sums])
    epoch = run.progress.end_epoch(step.rate)
    validation = run.validation
    is_last = run.progress.iteration == run.length.iterations
    if validation is None or (epoch.epoch % validation.every and not is_last):
        return epoch
    found = validation.measure(run.graph, run.evaluated(run.device), run.ranks)
    return run.progress.measured(found.ap, found.ap50, found.ap75)
