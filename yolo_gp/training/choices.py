"""What the two recipes choose for a network: rates, optimiser, augmentation, gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yolo_gp.data.augmentation import DarknetAugmentation, ModernAugmentation
from yolo_gp.graph import Graph
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.net_training import NetTraining
from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.modern_settings import ModernLossSettings
from yolo_gp.training.schedule import Course, OneCycle, Schedule, WarmedUp


@dataclass(frozen=True, slots=True)
class AdamSettings:
    """Adam with the decay added to the gradient.

    Fields:
        betas: shares of the old first and second moment.
        epsilon: added to the root of the second, for gradients that are means over the batch.
    """

    betas: tuple[float, float]
    epsilon: float


def darknet_adam(keys: NetTraining, batch: int) -> AdamSettings:
    """Darknet's gradients are sums, ours means: the moments shrink by the batch, so must epsilon.

    Source: darknet.md 6.3.
    """
    return AdamSettings((keys.beta1, keys.beta2), keys.epsilon / batch)


def darknet_augmentation(graph: Graph, keys: NetTraining, last: Yolo) -> DarknetAugmentation:
    """The last head's jitter, resize, random and max count. (darknet.md 6.5)"""
    return DarknetAugmentation(
        jitter=last.training.jitter,
        resize=last.training.resize,
        flip=keys.flip,
        saturation=keys.saturation,
        exposure=keys.exposure,
        hue=keys.hue,
        blur=keys.blur,
        gaussian_noise=keys.gaussian_noise,
        mosaic=keys.mosaic,
        mosaic_bound=keys.mosaic_bound,
        mixup=keys.mixup,
        letter_box=graph.letter_box and not keys.mosaic,
        max_boxes=last.training.max_boxes,
        random=last.training.random,
        resize_step=keys.resize_step,
    )


ModernCourse = Course | Literal["one-cycle"]


def modern_schedule(course: ModernCourse | None, is_anchor_free: bool) -> Schedule:
    if course == "one-cycle":
        return OneCycle()
    if is_anchor_free:
        return WarmedUp(course=course or "linear", final=0.01)
    return WarmedUp(course=course or "cosine", final=0.2)


def modern_augmentation(graph: Graph, is_large: bool) -> ModernAugmentation:
    """Much variety for networks that could learn the images by heart, less for small ones."""
    if not is_large:
        return ModernAugmentation(scale=0.5, mixup=0.0)
    return ModernAugmentation(scale=0.9, mixup=0.1, copy_paste=0.1 if has_masks(graph) else 0.0)


def has_masks(graph: Graph) -> bool:
    """Whether a head learns from instance masks."""
    heads = (head for _, head in graph.heads)
    return any(isinstance(head, Yolo | AnchorFree) and head.masks.count > 0 for head in heads)


def modern_loss_settings(is_large: bool) -> ModernLossSettings:
    """The gains that go with the two augmentations."""
    if is_large:
        return ModernLossSettings(box=0.05, classes=0.3, objectness=0.7)
    return ModernLossSettings(box=0.05, classes=0.5, objectness=1.0)
