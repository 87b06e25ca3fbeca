"""Training keys of [net] that cost days when they are wrong. (darknet.md 6.1, 6.2)"""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.layers.net_training import Policy
from yolo_gp.lint.subject import Findings, Subject, option_of, span_of, warning
from yolo_gp.rules import Rule

_PUBLIC_DATA = {20: "VOC", 80: "COCO", 601: "OpenImages", 9418: "YOLO9000"}
"""Class counts of data sets whose models are published with files that are set to detect."""

_PER_CLASS = 2000  # updates that Darknet's README advises
_LEAST_UPDATES = 6000
_MOST_UPDATES = 500_000  # with which Darknet's own models of 601 and 9418 classes were trained


def batch_left_at_test(subject: Subject) -> Findings:
    """batch=1 and subdivisions=1 in a file that is to be trained."""
    keys, training = subject.training, _looks_trained(subject)
    if training and keys.batch <= 1 and keys.subdivisions <= 1:
        yield warning(
            Rule.TEST_BATCH,
            span_of(subject.net, "batch"),
            f"batch={keys.batch} and subdivisions={keys.subdivisions} are for detection, but "
            f"{training}; Darknet refuses to train with one image per update",
            help="for training batch=64, and subdivisions as small as memory allows",
        )


def batch_parts(subject: Subject) -> Findings:
    """A batch that does not split evenly into its subdivisions."""
    keys = subject.training
    if keys.batch < 1 or keys.batch % keys.subdivisions == 0:
        return
    images = max(1, keys.batch // keys.subdivisions) * keys.subdivisions
    yield warning(
        Rule.BATCH_PARTS,
        span_of(subject.net, "batch"),
        f"batch={keys.batch} is no multiple of subdivisions={keys.subdivisions}; an update takes "
        f"{images} images",
        expected="a multiple of subdivisions",
    )


def late_step(subject: Subject) -> Findings:
    """Changes of the learning rate that are never reached."""
    keys, option = subject.training, option_of(subject.net, "steps")
    if keys.policy != "steps" or not keys.max_batches or option is None:
        return
    late = [
        (step, span)
        for step, (_, span) in zip(keys.steps, option.items(), strict=False)
        if step >= keys.max_batches
    ]
    if late:
        listed = ",".join(str(step) for step, _ in late)
        yield warning(
            Rule.LATE_STEP,
            late[0][1],
            f"steps={listed} {'lies' if len(late) == 1 else 'lie'} at or past the end, "
            f"max_batches={keys.max_batches}, so the learning rate does not change there",
            help=f"Darknet advises 80 and 90 % of it: steps={keys.max_batches * 8 // 10},"
            f"{keys.max_batches * 9 // 10}",
        )


def long_burn_in(subject: Subject) -> Findings:
    """A burn_in that ends after the training, or after the first change of the rate."""
    keys, first = subject.training, subject.training.steps[:1]
    end = f"max_batches={keys.max_batches}"
    limit = keys.max_batches
    if keys.policy == "steps" and first and 0 < first[0] < limit:
        limit, end = first[0], f"the first of steps={first[0]}"
    if keys.burn_in and limit and keys.burn_in >= limit:
        yield warning(
            Rule.LONG_BURN_IN,
            span_of(subject.net, "burn_in"),
            f"burn_in={keys.burn_in} lasts until {end} or longer, so the full learning rate is "
            "never used",
            expected=f"less than {limit}",
        )


def short_training(subject: Subject) -> Findings:
    """max_batches far below what so many classes take."""
    classes = max((head.num_classes for _, head in subject.written_heads), default=0)
    advised = min(max(classes * _PER_CLASS, _LEAST_UPDATES), _MOST_UPDATES)
    updates = subject.training.max_batches
    if option_of(subject.net, "max_batches") is None or updates >= advised:
        return
    if not classes or not _looks_trained(subject):
        return
    yield warning(
        Rule.SHORT_TRAINING,
        span_of(subject.net, "max_batches"),
        f"max_batches={updates} is short for {classes} class{'es' * (classes > 1)}",
        expected=f"at least {advised}: {_PER_CLASS} per class, {_LEAST_UPDATES} in all, by "
        "Darknet's advice",
        help=f"max_batches={advised} and steps={advised * 8 // 10},{advised * 9 // 10}",
    )


_READ_BY: Mapping[str, tuple[Policy, ...]] = {
    "step": ("step", "sigmoid"),
    "scale": ("step",),
    "steps": ("steps", "sgdr"),
    "scales": ("steps", "sgdr"),
    "gamma": ("exp", "sigmoid"),
    "sgdr_cycle": ("sgdr",),
    "sgdr_mult": ("sgdr",),
    "learning_rate_min": ("sgdr",),
}


def unread_by_policy(subject: Subject) -> Findings:
    """Keys of another policy than the one that is set."""
    keys = subject.training
    unread = {key: f"policy={keys.policy}" for key, by in _READ_BY.items() if keys.policy not in by}
    if keys.policy not in ("poly", "random") and not keys.burn_in:
        unread["power"] = f"policy={keys.policy} without burn_in"
    if not keys.adam:
        unread |= dict.fromkeys(("B1", "B2", "eps"), "training without adam=1")
    for key, reader in unread.items():
        option = option_of(subject.net, key)
        if option is not None:
            yield warning(
                Rule.UNREAD_BY_POLICY,
                option.key_span,
                f"{key}={option.value} has no effect: {reader} does not read it",
            )


_CLASSIFIERS = {"angle": 0.0, "aspect": 1.0}
"""Augmentations that Darknet makes for classifiers only, with the value that does nothing."""


def classifier_key(subject: Subject) -> Findings:
    """Rotation or aspect asked of a detector, for which Darknet makes neither."""
    if not subject.written_heads:
        return
    for key, neutral in _CLASSIFIERS.items():
        option = option_of(subject.net, key)
        if option is not None and option.value and not _is(option.value, neutral):
            yield warning(
                Rule.CLASSIFIER_KEY,
                option.key_span,
                f"{key}={option.value} has no effect: Darknet changes images so for classifiers "
                "only",
            )


def _is(text: str, number: float) -> bool:
    try:
        return float(text) == number
    except ValueError:
        return False


def _looks_trained(subject: Subject) -> str:
    """Why the file seems to be meant for training; empty if it does not."""
    if subject.labels.trains:
        return "the .data file names images to train on"
    counts = {head.num_classes for _, head in subject.written_heads}
    if counts and not counts & _PUBLIC_DATA.keys() and subject.training.max_batches > 1:
        return (
            f"{max(counts)} class{'es' * (max(counts) > 1)} and "
            f"max_batches={subject.training.max_batches} look like a training of your own"
        )
    return ""
