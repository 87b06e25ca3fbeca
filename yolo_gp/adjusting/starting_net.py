"""[net] of a new cfg: input, batch, length and rates worked out, the rest the template's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yolo_gp.graph import Graph
from yolo_gp.syntax import Section

BATCH = 64  # images per update, as nearly all published cfgs have it
_GPU = 8e9  # bytes of a common card
_SHARE = 0.8  # of it, the rest is for other programs and for fragments
_BYTES = 4 * 2 * 1.6  # of float32 maps: the forward pass keeps about two of each, and gradients
_COPIES = 4  # of the weights: themselves, gradients, momentum, average
_LEAST = 6000  # updates
_PER_CLASS = 2000
_BURN_IN = 1000
_RATES = (("learning_rate", "0.001"), ("momentum", "0.949"), ("decay", "0.0005"))

_WORKED_OUT = frozenset(
    """width height channels batch subdivisions max_batches policy steps scales burn_in""".split()
)
_OTHER_COURSES = frozenset(
    """learning_rate_min sgdr_cycle sgdr_mult gamma power step scale ema_alpha""".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a new cfg learns.

    Fields:
        subdivisions: parts of a batch.
        max_batches: updates in all.
        length: why so many, for a comment.
        modern_only: the modern recipe can train the network, Darknet's cannot.
    """

    subdivisions: int
    max_batches: int
    length: str
    modern_only: bool


def advised_updates(classes: int, images: int | None) -> int:
    """Darknet's advice: 2000 for each class, at least 6000, at least one for each image.

    Source: the README of AlexeyAB/darknet, how to train.
    """
    return max(_LEAST, _PER_CLASS * classes, images or 0)


def updates(epochs: float, images: int) -> int:
    """As many as show each image so many times."""
    return max(1, round(epochs * images / BATCH))


def fitting_subdivisions(graph: Graph) -> int:
    """Parts of a batch that a card of 8 GB can hold, by the sizes of all maps; a power of 2.

    Args:
        graph: at the input size that it is trained at.
    """
    one = graph.total.activations * _BYTES
    free = _GPU * _SHARE - 4 * _COPIES * graph.total.params
    parts = 1
    while parts < BATCH and BATCH / parts * one > free:
        parts *= 2
    return parts


def net_lines(template: Section, size: tuple[int, int], training: Training) -> list[str]:
    """The lines of [net], with comments.

    Args:
        template: the template's [net].
        size: (height, width) in pixels.
    """
    written: dict[str, str] = {}
    for option in template.options:
        if option.value:
            written.setdefault(option.key, option.value)  # of a repeated key the first counts
    blocks = (
        _input(written, size),
        _batch(training),
        _course(written, training),
        _rest(written, training),
    )
    lines = ["[net]"]
    for block in blocks:
        lines += [*block, ""]
    while not lines[-1]:
        lines.pop()
    return lines


def _input(written: dict[str, str], size: tuple[int, int]) -> Iterator[str]:
    yield "# input in pixels"
    yield f"height={size[0]}"
    yield f"width={size[1]}"
    yield f"channels={written.get('channels', '3')}"


def _batch(training: Training) -> Iterator[str]:
    if training.modern_only:
        yield "# Darknet cannot train this network. `yolo-gp train --recipe modern` can; it has a"
        yield "# course of its own and reads none of the keys below."
        yield ""
    yield "# images for an update of the weights, and the parts that go through one after the"
    yield "# other: double subdivisions if the GPU's memory runs out"
    yield f"batch={BATCH}"
    yield f"subdivisions={training.subdivisions}"


def _course(written: dict[str, str], training: Training) -> Iterator[str]:
    updates = training.max_batches
    yield f"# updates in all: {training.length};"
    yield "# the rate climbs for burn_in of them, and falls to a tenth at 80 % and at 90 %"
    yield f"max_batches={updates}"
    yield "policy=steps"
    yield f"steps={updates * 4 // 5},{updates * 9 // 10}"
    yield "scales=.1,.1"
    yield f"burn_in={max(1, min(_BURN_IN, updates // 6))}"
    of_template = written.get("policy") == "steps"
    for key, usual in _RATES:
        yield f"{key}={written.get(key, usual) if of_template else usual}"


def _rest(written: dict[str, str], training: Training) -> Iterator[str]:
    """How images are varied, and whatever else the template says."""
    gone = {*_WORKED_OUT, *_OTHER_COURSES, *(key for key, _ in _RATES)}
    if not training.modern_only:
        gone.add("letter_box")  # Darknet does not train with it beside mosaic
    kept = {key: value for key, value in written.items() if key not in gone}
    if kept:
        yield "# as in the template: how images are varied, and the like"
    for key, value in kept.items():
        yield f"{key}={value}"
