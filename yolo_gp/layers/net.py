"""[net]: the input's size, and everything that concerns the whole file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_gp.errors import Span
from yolo_gp.layers.base import training_only
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import PartialShape

NET_IGNORED: Mapping[str, str] = {
    **training_only(
        *"""batch subdivisions time_steps max_batches learning_rate learning_rate_min momentum decay
        policy burn_in power step scale steps scales seq_scales gamma sgdr_cycle sgdr_mult adam B1
        B2 eps loss_scale ema_alpha flip angle aspect saturation exposure hue blur gaussian_noise
        mixup cutmix mosaic mosaic_bound label_smooth_eps resize_step max_crop min_crop
        dynamic_minibatch track augment_speed sequential_subdivisions contrastive
        contrastive_jit_flip contrastive_color unsupervised adversarial_lr attention
        weights_reject_freq equidistant_point badlabels_rejection_percentage
        num_sigmas_reject_badlabels try_fix_nan loss_scale max_chart_loss notruth random max_ratio
        min_ratio center clip""".split()
    ),
    **dict.fromkeys(
        ("optimized_memory", "workspace_size_limit_MB", "use_cuda_graph"),
        "concerns Darknet's own memory use",
    ),
    "show_receptive_field": "prints only",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """[net]: what a network takes as input.

    Fields:
        input_shape: one image, (C, H, W); `inputs` numbers of a flat input are (inputs, 1, 1).
        letter_box: images are resized with their aspect ratio kept.
    """

    span: Span
    input_shape: PartialShape
    letter_box: bool

    @classmethod
    def parse(cls, options: Options) -> Net:
        return cls(
            span=options.span,
            input_shape=_input_shape(options),
            letter_box=options.flag("letter_box"),
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
