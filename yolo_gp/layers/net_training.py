"""What [net] says about training: its keys, and those that have no effect here. (darknet.md 6.1)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from yolo_gp.errors import Span
from yolo_gp.layers.training_keys import TrainingOptions
from yolo_gp.options import MAX_SIZE, Options
from yolo_gp.rules import Rule

Policy = Literal["constant", "step", "steps", "exp", "poly", "sigmoid", "random", "sgdr"]

POLICIES: tuple[Policy, ...] = (
    "constant",
    "step",
    "steps",
    "exp",
    "poly",
    "sigmoid",
    "random",
    "sgdr",
)
_CLASSIFIERS = "it concerns classifiers only"
_VIDEO = "it belongs to training on video"
_PAIRS = "it belongs to contrastive training"
_CHANGES_WEIGHTS = "Darknet's way of changing a network while it learns is not imitated"
_REJECTION = "Darknet's rejection of labels late in training is not imitated"
_MEMORY = "it concerns Darknet's own memory use"
_PJREDDIE = "only pjreddie's Darknet reads it, for classifiers"

WITHOUT_EFFECT: Mapping[str, str] = {
    **dict.fromkeys(("angle", "aspect", "max_crop", "min_crop", "label_smooth_eps"), _CLASSIFIERS),
    **dict.fromkeys(
        ("time_steps", "track", "augment_speed", "sequential_subdivisions", "seq_scales"), _VIDEO
    ),
    **dict.fromkeys(
        ("contrastive", "contrastive_jit_flip", "contrastive_color", "unsupervised"), _PAIRS
    ),
    **dict.fromkeys(("adversarial_lr", "attention"), "adversarial passes are not made"),
    "weights_reject_freq": _CHANGES_WEIGHTS,
    **dict.fromkeys(
        ("equidistant_point", "badlabels_rejection_percentage", "num_sigmas_reject_badlabels"),
        _REJECTION,
    ),
    "dynamic_minibatch": "the batch keeps its size while the input's size varies",
    "loss_scale": "half precision scales its losses by itself",
    "try_fix_nan": "a loss that is no number stops the run",
    "max_chart_loss": "it concerns Darknet's chart only",
    "show_receptive_field": "it makes Darknet print only",
    **dict.fromkeys(("optimized_memory", "workspace_size_limit_MB", "use_cuda_graph"), _MEMORY),
    **dict.fromkeys(("notruth", "random", "max_ratio", "min_ratio", "center", "clip"), _PJREDDIE),
}
"""Keys of [net] that nothing here reads, and why."""


NET_TRAINING_KEYS: Mapping[str, str] = {
    "batch": "images per update",
    "subdivisions": "parts of a batch that go through the network one after the other",
    "max_batches": "updates in all",
    "learning_rate": "the rate after `burn_in`",
    "learning_rate_min": "the rate at which `policy=sgdr` ends",
    "policy": "the course of the rate; [docs/training.md](training.md) shows each",
    "burn_in": "updates in which the rate rises from 0",
    "power": "exponent of `policy=poly`, `policy=random` and of the rise",
    "step": "updates between two changes, for `policy=step`; the middle of `policy=sigmoid`",
    "scale": "factor of each change, for `policy=step`",
    "steps": "updates at which the rate changes, for `policy=steps`",
    "scales": "factor of each such change",
    "gamma": "base of `policy=exp`, steepness of `policy=sigmoid`",
    "sgdr_cycle": "updates of the first cycle of `policy=sgdr`; `max_batches` by default",
    "sgdr_mult": "factor by which each cycle is longer than the last",
    "momentum": "share of the last update that the next one keeps",
    "decay": "weight decay",
    "adam": "1: Adam in place of the momentum",
    "B1": "share of the first moment that Adam keeps",
    "B2": "share of the second moment that Adam keeps",
    "eps": "what Adam adds to the root of the second moment",
    "ema_alpha": "share of the averaged weights that an update keeps; 0 for no average",
    "flip": "1: half of the images are mirrored",
    "saturation": "saturation changes by up to this factor",
    "exposure": "brightness changes by up to this factor",
    "hue": "hues turn by up to this share of the circle",
    "blur": "1: half of the images are blurred; more: size of the blur",
    "gaussian_noise": "strength of the noise that is added",
    "mosaic": "1: four images are joined into one",
    "mixup": "1: two images are blended; 2: cutmix; 3: mosaic; 4: cutmix or mosaic",
    "cutmix": "1: a part of one image is put into another",
    "mosaic_bound": "1: boxes of a mosaic end at their quarter",
    "resize_step": "input sizes are multiples of this while `random` of a head varies them",
}
"""What `parse_net_training` reads, and what it means."""

OTHER_MEANINGS: Mapping[str, str] = {
    "angle": "images are turned by up to so many degrees",
    "aspect": "the aspect ratio changes by up to this factor",
    "max_crop": "largest side to which images are enlarged before they are cropped",
    "min_crop": "smallest such side",
    "label_smooth_eps": "class targets are moved so far from 0 and 1; a head has a key of its own",
    "time_steps": "frames that follow each other in a batch",
    "track": "1: a batch holds frames that follow each other",
    "augment_speed": "how fast the changes of images vary from frame to frame",
    "sequential_subdivisions": "subdivisions whose frames follow each other",
    "seq_scales": "factors of `sequential_subdivisions` at each of `steps`",
    "contrastive": "1: images come in pairs, changed differently",
    "contrastive_jit_flip": "1: the images of a pair are cropped and mirrored differently",
    "contrastive_color": "1: their colours are changed differently",
    "unsupervised": "1: without labels",
    "adversarial_lr": "step by which images are changed against the network",
    "attention": "1: draws where the network looks in such passes",
    "weights_reject_freq": "every so many updates, filters that resemble another start anew",
    "equidistant_point": "update from which the smallest deltas are dropped",
    "badlabels_rejection_percentage": "share of objects that may be taken for mislabelled",
    "num_sigmas_reject_badlabels": "deviation from which an object is taken for mislabelled",
    "dynamic_minibatch": "1: more images at once while the input is small",
    "loss_scale": "factor of losses in half precision",
    "try_fix_nan": "1: weights that are no numbers become 0",
    "max_chart_loss": "largest loss that the chart shows",
    "show_receptive_field": "1: prints the receptive field of each layer",
    "optimized_memory": "1: buffers are shared, 2: and kept off the GPU",
    "workspace_size_limit_MB": "most memory for a convolution's scratch space",
    "use_cuda_graph": "1: records the GPU's work once and repeats it",
    "notruth": "1: no targets are made",
    "random": "1: sizes vary",
    "max_ratio": "largest side as a multiple of the input's, before a crop",
    "min_ratio": "smallest such side",
    "center": "1: crops lie in the middle",
    "clip": "weights are kept within plus and minus this",
}
"""What the keys of `WITHOUT_EFFECT` mean where they have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetTraining:
    """The training keys of [net] that count here, with Darknet's defaults.

    Fields:
        batch: images per update, in so many parts (`subdivisions`).
        max_batches: updates in all; 0 if the file does not say.
        learning_rate, learning_rate_min: the rate after burn_in; where `sgdr` ends.
        policy: the rate's course; `burn_in`, `power`, `step`, `scale`, `steps`, `scales`, `gamma`,
            `sgdr_cycle` (None for max_batches) and `sgdr_mult` shape it.
        momentum, decay: of the gradients, of the weights.
        adam: moments in place of the momentum, with `beta1`, `beta2`, `epsilon`.
        ema_alpha: how much of the averaged weights is kept per update; 0 for no average.
        flip: half of the images are mirrored.
        saturation, exposure: colours change by up to these factors.
        hue: and are turned by up to this share of the circle.
        blur, gaussian_noise: sizes of the blur, of the noise.
        mosaic, mixup, cutmix: several images are joined into one.
        mosaic_bound: boxes of a mosaic end at their quarter.
        resize_step: input sizes are multiples of this.
    """

    batch: int = 1
    subdivisions: int = 1
    max_batches: int = 0
    learning_rate: float = 0.001
    learning_rate_min: float = 0.00001
    policy: Policy = "constant"
    burn_in: int = 0
    power: float = 4.0
    step: int = 1
    scale: float = 1.0
    steps: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()
    gamma: float = 1.0
    sgdr_cycle: int | None = None
    sgdr_mult: int = 2
    momentum: float = 0.9
    decay: float = 0.0001
    adam: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-6
    ema_alpha: float = 0.0
    flip: bool = True
    saturation: float = 1.0
    exposure: float = 1.0
    hue: float = 0.0
    blur: int = 0
    gaussian_noise: int = 0
    mosaic: bool = False
    mixup: bool = False
    cutmix: bool = False
    mosaic_bound: bool = False
    resize_step: int = 32


def parse_net_training(options: Options) -> NetTraining:
    """Read the training keys of [net]."""
    read = TrainingOptions(options)
    policy = read.name("policy", "constant", POLICIES, otherwise="constant")
    steps, scales = _parse_steps(options, read, policy)
    mosaic, mixup, cutmix = _parse_mixing(read)
    options.note("sgdr_cycle", "integer")
    cycle = read.integer("sgdr_cycle", 1)
    return NetTraining(
        batch=read.integer("batch", 1),
        subdivisions=_parse_subdivisions(options, read),
        max_batches=read.integer("max_batches", 0),
        learning_rate=read.number("learning_rate", 0.001),
        learning_rate_min=read.number("learning_rate_min", 0.00001),
        policy=policy,
        burn_in=read.integer("burn_in", 0),
        power=read.number("power", 4.0),
        step=read.integer("step", 1),
        scale=read.number("scale", 1.0),
        steps=steps,
        scales=scales,
        gamma=read.number("gamma", 1.0),
        sgdr_cycle=cycle if read.has("sgdr_cycle") else None,
        sgdr_mult=read.integer("sgdr_mult", 2),
        momentum=read.number("momentum", 0.9),
        decay=read.number("decay", 0.0001),
        adam=read.flag("adam"),
        beta1=read.number("B1", 0.9),
        beta2=read.number("B2", 0.999),
        epsilon=read.number("eps", 1e-6),
        ema_alpha=read.number("ema_alpha", 0.0),
        flip=read.flag("flip", default=True),
        saturation=read.number("saturation", 1.0),
        exposure=read.number("exposure", 1.0),
        hue=read.number("hue", 0.0),
        blur=read.integer("blur", 0),
        gaussian_noise=read.integer("gaussian_noise", 0),
        mosaic=mosaic,
        mixup=mixup,
        cutmix=cutmix,
        mosaic_bound=read.flag("mosaic_bound"),
        resize_step=read.integer("resize_step", 32),
    )


def _parse_subdivisions(options: Options, read: TrainingOptions) -> int:
    """Darknet divides by it, in detection as well."""
    options.note("subdivisions", "integer", 1, minimum=1, maximum=MAX_SIZE)
    return options.integer("subdivisions", 1, minimum=1) if read.has("subdivisions") else 1


def _parse_mixing(read: TrainingOptions) -> tuple[bool, bool, bool]:
    """Mosaic, mixup, cutmix. One mode excludes the others, except cutmix beside mosaic."""
    mode = read.integer("mixup", 0)  # 1 mixup, 2 cutmix, 3 mosaic, 4 cutmix or mosaic
    mosaic, cutmix = read.flag("mosaic"), read.flag("cutmix")
    if mosaic or cutmix:
        return mosaic, False, cutmix
    return mode in (3, 4), mode == 1, mode in (2, 4)


def _parse_steps(
    options: Options, read: TrainingOptions, policy: Policy
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Where the rate changes, and by what factors."""
    steps = options.integers("steps") if read.has("steps") else None
    scales = options.numbers("scales") if read.has("scales") else None
    if policy != "steps":
        return (), ()
    for key in ("steps", "scales"):
        if key not in options:
            options.missing(key, "a number for each change of the rate (with policy=steps)")
        elif not read.has(key):
            options.number(key, 0.0)  # reports the line without a value
    if steps is None or scales is None or not options.trusts("steps", "scales"):
        return (), ()
    _check_steps(options, steps, scales)
    numbers = tuple(step for step, _ in steps)
    return numbers, tuple(scales[: len(numbers)])


def _check_steps(options: Options, steps: list[tuple[int, Span]], scales: list[float]) -> None:
    numbers = [step for step, _ in steps]
    if len(scales) < len(numbers):
        options.error(
            Rule.OUT_OF_RANGE,
            "scales",
            f"[{options.kind}] scales lists {len(scales)} numbers, but steps lists {len(numbers)}",
            expected=f"{len(numbers)} numbers: a factor for each step",
        )
    elif len(scales) > len(numbers):
        options.warning(
            Rule.NO_EFFECT,
            "scales",
            f"[{options.kind}] scales lists {len(scales)} numbers, but steps lists "
            f"{len(numbers)}; the first {len(numbers)} count, as in Darknet",
        )
    if numbers != sorted(numbers):
        options.warning(
            Rule.OUT_OF_RANGE,
            "steps",
            f"[{options.kind}] steps do not ascend; each counts from its iteration on",
            expected="ascending numbers",
        )
