"""[net]: the input's size, and everything that concerns the whole file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yolo_gp.dialect import DIALECT_NAMES, Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.common_keys import training_only
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.net_training import (
    NET_TRAINING_KEYS,
    OTHER_MEANINGS,
    WITHOUT_EFFECT,
    NetTraining,
    parse_net_training,
)
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

NET_IGNORED: Mapping[str, str] = {**training_only(*NET_TRAINING_KEYS), **WITHOUT_EFFECT}

NET_MEANINGS: Mapping[str, str] = {
    **NET_TRAINING_KEYS,
    **OTHER_MEANINGS,
    "width": "width of the input in pixels",
    "height": "height of the input in pixels",
    "channels": "channels of the input",
    "inputs": "numbers of an input that is no image, in place of width, height and channels",
    "letter_box": "1: images keep their aspect ratio, with grey margins",
    "dialect": "`yolor`: the file means what the YOLOR repositories make of it, also where no "
    "section tells",
}
NET_READERS: Mapping[str, Reader] = {
    **known_to(
        "AlexeyAB", "letter_box", "learning_rate_min", "sgdr_cycle", "sgdr_mult", "ema_alpha",
        "blur", "gaussian_noise", "mosaic", "mixup", "cutmix", "mosaic_bound", "resize_step",
        "flip", "label_smooth_eps", "track", "augment_speed", "sequential_subdivisions",
        "seq_scales", "contrastive", "contrastive_jit_flip", "contrastive_color", "unsupervised",
        "adversarial_lr", "attention", "weights_reject_freq", "equidistant_point",
        "badlabels_rejection_percentage", "num_sigmas_reject_badlabels", "dynamic_minibatch",
        "loss_scale", "try_fix_nan", "max_chart_loss", "show_receptive_field", "optimized_memory",
        "workspace_size_limit_MB", "use_cuda_graph",
    ),
    **known_to("yolo-gp", "dialect"),
    **known_to("pjreddie", "notruth", "random", "max_ratio", "min_ratio", "center", "clip"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """[net]: what a network takes as input.

    Fields:
        input_shape: one image, (C, H, W); `inputs` numbers of a flat input are (inputs, 1, 1).
        letter_box: images are resized with their aspect ratio kept.
        training: what acts in training only.
        dialect: the one that the whole file is read in; `dialect=` is a key of ours that says so
            where no section does.
    """

    span: Span
    input_shape: PartialShape
    letter_box: bool
    training: NetTraining = field(default_factory=NetTraining)
    dialect: Dialect = Dialect.DARKNET

    @classmethod
    def parse(cls, options: Options) -> Net:
        options.choice("dialect", options.dialect.value, DIALECT_NAMES)
        return cls(
            dialect=options.dialect,
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
