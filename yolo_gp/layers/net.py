"""[net]: the input's size, and everything that concerns the whole file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yolo_gp.errors import Span
from yolo_gp.layers.base import training_only
from yolo_gp.layers.net_training import (
    NET_TRAINING_KEYS,
    WITHOUT_EFFECT,
    NetTraining,
    parse_net_training,
)
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

NET_IGNORED: Mapping[str, str] = {**training_only(*NET_TRAINING_KEYS), **WITHOUT_EFFECT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """[net]: what a network takes as input.

    Fields:
        input_shape: one image, (C, H, W); `inputs` numbers of a flat input are (inputs, 1, 1).
        letter_box: images are resized with their aspect ratio kept.
        training: what acts in training only.
    """

    span: Span
    input_shape: PartialShape
    letter_box: bool
    training: NetTraining = field(default_factory=NetTraining)

    @classmethod
    def parse(cls, options: Options) -> Net:
        return cls(
            span=options.span,
            input_shape=_input_shape(options),
            letter_box=options.flag("letter_box"),
            training=parse_net_training(options),
        )


def _input_shape(options: Options) -> PartialShape:
    flat = options.integer("inputs", 0, maximum=2**24)
    height, width, channels = (
        options.integer(key, 0, maximum=MAX_CHANNELS) for key in ("height", "width", "channels")
    )
    if options.failed:
        return PartialShape()
    if height and width and channels:
        return PartialShape(channels, height, width)
    if flat:
        return PartialShape(flat, 1, 1)
    absent = [
        key
        for key, value in (("width", width), ("height", height), ("channels", channels))
        if not value
    ]
    options.error(
        Rule.MISSING_KEY,
        absent[0],
        f"[net] has no {', no '.join(absent)}",
        expected="width, height and channels above 0 (or inputs, for a flat input)",
        help="for a detector add width=416, height=416, channels=3",
    )
    return PartialShape()
