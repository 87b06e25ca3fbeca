"""What sections say about training: the keys of [yolo], and those that every section takes.

Whatever a file says about training, its network must run: values that only training cannot use are
refused when training starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from yolo_gp.errors import did_you_mean, shown
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.options import Options
from yolo_gp.rules import Rule

IouName = Literal["iou", "giou", "diou", "ciou"]
BoxLossName = Literal["mse"] | IouName

IOU_NAMES: tuple[IouName, ...] = ("iou", "giou", "diou", "ciou")
BOX_LOSS_NAMES: tuple[BoxLossName, ...] = ("mse", *IOU_NAMES)

YOLO_TRAINING_KEYS: Mapping[str, str] = {
    "iou_loss": "what box deltas derive from: squared differences, or an overlap",
    "iou_thresh_kind": "the overlap that `iou_thresh` is about",
    "iou_normalizer": "factor of the box loss",
    "obj_normalizer": "factor of the objectness loss",
    "cls_normalizer": "factor of the class loss",
    "delta_normalizer": "factor of all three",
    "max_delta": "box deltas are clipped to this; no bound by default",
    "label_smooth_eps": "class targets are moved so far from 0 and 1",
    "objectness_smooth": "1: objectness targets are overlaps rather than 1",
    "focal_loss": "1: class deltas are scaled by the focal loss",
    "counters_per_class": "how many objects of each class there are; rare ones count more",
    "ignore_thresh": "a cell whose box overlaps an object more is not told to be background",
    "truth_thresh": "a cell whose box overlaps an object more is a positive",
    "iou_thresh": "anchors whose shape overlaps an object's more are positives beside the best",
    "jitter": "a crop's margins are at most this share of the image",
    "resize": "images are enlarged or reduced by up to this factor",
    "random": "the input's size varies by up to this factor; 1 stands for 1.4, 0 for no change",
    "max": "objects of one image that count",
    "show_details": "1: the reported cost is by overlap; 0: the sum of squares",
}
"""What `parse_yolo_training` reads, and what it means."""

YOLO_TRAINING_READERS: Mapping[str, Reader] = known_to(
    "AlexeyAB",
    *(
        key
        for key in YOLO_TRAINING_KEYS
        if key not in ("ignore_thresh", "truth_thresh", "jitter", "random", "max")
    ),
)

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionTraining:
    """Keys by which any section says how it learns. (darknet.md 6.8)

    Fields:
        learning_rate: the section's rate is the network's times this.
        stop_backward: 1, nothing up to here learns; n > 1, not before iteration n; 0, no effect.
        only_forward: no gradient passes here.
        dont_update: the section learns after this iteration only.
        burn_in_update: the section learns after so many times burn_in.
        train_only_bn: of everything up to here, only batch norms' statistics move.
        clip: weights are kept within +-clip; 0 for no bound.
    """

    learning_rate: float = 1.0
    stop_backward: int = 0
    only_forward: bool = False
    dont_update: int = 0
    burn_in_update: int = 0
    train_only_bn: bool = False
    clip: float = 0.0


def parse_section_training(options: Options) -> SectionTraining:
    """Read the keys that every section takes."""
    read = TrainingOptions(options)
    return SectionTraining(
        learning_rate=read.number("learning_rate", 1.0),
        stop_backward=read.integer("stopbackward", 0),
        only_forward=read.flag("onlyforward"),
        dont_update=read.integer("dont_update", 0),
        burn_in_update=read.integer("burnin_update", 0),
        train_only_bn=read.flag("train_only_bn"),
        clip=read.number("clip", 0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloTraining:
    """The keys of [yolo] that act in training only, with Darknet's defaults. (darknet.md 3.1, 6)

    Fields:
        box_loss: iou_loss, what box deltas derive from.
        iou_normalizer, obj_normalizer, cls_normalizer, delta_normalizer: factors of the parts, and
            of all of them.
        ignore_thresh: a cell whose box overlaps an object more is not told to be background.
        truth_thresh: one that overlaps it more than this is a positive.
        iou_thresh: anchors whose shape overlaps an object's more are positives beside the best.
        iou_thresh_kind: of that overlap.
        max_delta: box deltas are clipped to this; infinite for no bound.
        label_smooth_eps: class targets are moved so far from 0 and 1.
        objectness_smooth: objectness targets are overlaps rather than 1.
        focal_loss: class deltas are scaled by the focal loss.
        counters_per_class: objects of each class; empty for none.
        show_details: the reported cost is by overlap; otherwise the sum of squares.
        jitter: a crop's margins are at most this share of the image.
        resize: images are enlarged or reduced by up to this factor.
        random: the input's size varies by up to this factor; 1 stands for 1.4, 0 for no change.
        max_boxes: objects of one image that count.
    """

    box_loss: BoxLossName = "mse"
    iou_normalizer: float = 0.75
    obj_normalizer: float = 1.0
    cls_normalizer: float = 1.0
    delta_normalizer: float = 1.0
    ignore_thresh: float = 0.5
    truth_thresh: float = 1.0
    iou_thresh: float = 1.0
    iou_thresh_kind: IouName = "iou"
    max_delta: float = math.inf
    label_smooth_eps: float = 0.0
    objectness_smooth: bool = False
    focal_loss: bool = False
    counters_per_class: tuple[int, ...] = ()
    show_details: bool = True
    jitter: float = 0.2
    resize: float = 1.0
    random: float = 0.0
    max_boxes: int = 200


def parse_yolo_training(options: Options, classes: int) -> YoloTraining:
    """Read the training keys of a [yolo] with so many classes."""
    read = TrainingOptions(options)
    return YoloTraining(
        box_loss=read.name("iou_loss", "mse", BOX_LOSS_NAMES, otherwise="iou"),
        iou_normalizer=read.number("iou_normalizer", 0.75),
        obj_normalizer=read.number("obj_normalizer", 1.0),
        cls_normalizer=read.number("cls_normalizer", 1.0),
        delta_normalizer=read.number("delta_normalizer", 1.0),
        ignore_thresh=read.number("ignore_thresh", 0.5),
        truth_thresh=read.number("truth_thresh", 1.0),
        iou_thresh=read.number("iou_thresh", 1.0),
        iou_thresh_kind=read.name("iou_thresh_kind", "iou", IOU_NAMES, otherwise="iou"),
        max_delta=read.number("max_delta", math.inf),
        label_smooth_eps=read.number("label_smooth_eps", 0.0),
        objectness_smooth=read.flag("objectness_smooth"),
        focal_loss=read.flag("focal_loss"),
        counters_per_class=_parse_counters(options, classes),
        show_details=read.flag("show_details", default=True),
        jitter=read.number("jitter", 0.2),
        resize=read.number("resize", 1.0),
        random=read.number("random", 0.0),
        max_boxes=read.integer("max", 200),
    )


def _parse_counters(options: Options, classes: int) -> tuple[int, ...]:
    key = "counters_per_class"
    found = options.integers(key, minimum=0) if TrainingOptions(options).has(key) else None
    if found is None or not options.trusts(key, "classes"):
        return ()
    if len(found) != classes:
        options.error(
            Rule.OUT_OF_RANGE,
            key,
            f"[{options.kind}] counters_per_class lists {len(found)} numbers, but "
            f"classes={classes}",
            expected=f"{classes} numbers: the objects of each class",
        )
    return tuple(count for count, _ in found)


class TrainingOptions:
    """Reads of training keys from a section's options.

    A key without a value counts as absent, as in Darknet; `Options.finish` warns of it.
    """

    def __init__(self, options: Options) -> None:
        self._options = options

    def has(self, key: str) -> bool:
        """Whether the key stands there with a value."""
        if key not in self._options:
            return False
        span = self._options.span_of(key)
        before = span.source.line(span.line)[: span.column - 1]
        return "=" in before and span.text.strip()[:1] not in ("", "#", ";")

    def number(self, key: str, default: float) -> float:
        self._options.note(key, "number", default)
        return self._options.number(key, default) if self.has(key) else default

    def integer(self, key: str, default: int) -> int:
        """One as large as Darknet can hold."""
        self._options.note(key, "integer", default, minimum=-(2**31), maximum=2**31 - 1)
        if not self.has(key):
            return default
        return self._options.integer(key, default, minimum=-(2**31), maximum=2**31 - 1)

    def flag(self, key: str, default: bool = False) -> bool:
        self._options.note(key, "flag", int(default))
        return self.integer(key, int(default)) != 0

    def name(self, key: str, default: Name, names: Sequence[Name], *, otherwise: Name) -> Name:
        """A name; an unknown one is a warning, and read as Darknet reads it."""
        self._options.note(key, "choice", default, names=names)
        if not self.has(key):
            return default
        options = self._options
        text = "".join(options.span_of(key).text.split())
        if text in names or "\ufffd" in text:
            chosen = options.choice(key, default, names)
            return next(name for name in names if name == chosen)
        options.key_span_of(key)  # marks the key as read
        options.warning(
            Rule.UNKNOWN_NAME,
            key,
            f"[{options.kind}] {key}={shown(text)} is no {key} that exists; Darknet reads it as "
            f"{otherwise}, and so do we",
            expected="one of " + ", ".join(sorted(names)),
            help=did_you_mean(text, names),
        )
        return otherwise
