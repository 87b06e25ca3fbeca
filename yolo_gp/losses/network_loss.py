"""The loss of a whole network, from the maps it returns: Darknet's, or the modern one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.base import Head
from yolo_gp.layers.yolo import Yolo
from yolo_gp.losses.anchor_free import (
    BOX_GAIN,
    CLASS_GAIN,
    DISTRIBUTION_GAIN,
    anchor_free_losses,
)
from yolo_gp.losses.darknet_yolo import DarknetYoloLoss, DarknetYoloSettings, inject
from yolo_gp.losses.modern_settings import ModernLossSettings
from yolo_gp.losses.modern_yolo import yolo_losses
from yolo_gp.losses.targets import Targets

_BALANCE = (4.0, 1.0, 0.4)  # of objectness, finest head first; further ones a quarter of the last


@dataclass(frozen=True, slots=True)
class LossValue:
    """The loss of a batch.

    Fields:
        total: a scalar whose gradient is the sum over the images of the batch, not their mean.
        parts: what to show, as means over the images: "box", "objectness", "class", and where
            heads have them "distribution" and "mask"; Darknet's loss adds "darknet".
    """

    total: Tensor
    parts: Mapping[str, float]


class NetworkLoss(Protocol):
    """What a network trains with."""

    def __call__(
        self, maps: Sequence[Tensor], targets: Targets, input_size: tuple[int, int]
    ) -> LossValue:
        """The loss of what a network returned for a batch.

        Args:
            maps: as the network returns them, each (N, C, H, W), in any precision.
            input_size: (height, width) of the network's input in pixels.
        """
        ...


def darknet_loss(graph: Graph) -> NetworkLoss:
    """What Darknet trains every [yolo] with, by the section's own keys.

    The gradient of `total` is minus the sum of the deltas, times `delta_normalizer`, as Darknet's
    GPU builds have it. Its value, and parts["darknet"], follow what Darknet prints: for a batch of
    one mini-batch the latter is the number in "1: 2.345, ...". The other parts are sums of squared
    deltas.

    Raises:
        UsageError: the network has heads that Darknet's loss does not know, or none.
    """
    _check_heads(graph)
    heads = []
    for node, head in graph.heads:
        if not isinstance(head, Yolo) or head.masks.count or head.takes_logits:
            raise UsageError(
                f"the darknet recipe cannot train layer {node.written}, {_unlike_darknets(head)}\n"
                "expected: [yolo] heads without masks, the ones that Darknet has\n"
                "help: use --recipe modern"
            )
        heads.append((_darknet_settings(head), head.training.delta_normalizer))
    return _DarknetLoss(tuple(heads))


def _unlike_darknets(head: Head) -> str:
    """What a head is that Darknet has not."""
    if not isinstance(head, Yolo):
        return f"[{head.kind}]"
    return "[yolo] with masks" if head.masks.count else "[yolo] of the YOLOR dialect"


def modern_loss(graph: Graph, settings: ModernLossSettings) -> NetworkLoss:
    """YOLOv5's and YOLOR's loss for [yolo] heads, task alignment for [anchor_free] ones.

    `total` is the batch size times the gained parts, which are means.

    Raises:
        UsageError: the network has no heads, or [anchor_free] ones of different class counts.
    """
    _check_heads(graph)
    free = [(node, head) for node, head in graph.heads if isinstance(head, AnchorFree)]
    for node, head in free:
        if head.classes != free[0][1].classes:
            raise UsageError(
                f"layer {free[0][0].written} has {free[0][1].classes} classes and layer "
                f"{node.written} has {head.classes}\nexpected: [anchor_free] heads of one network "
                "with the same classes, as they share the objects out among themselves"
            )
    return _ModernLoss(graph, settings)


def _check_heads(graph: Graph) -> None:
    if not graph.heads:
        raise UsageError(
            "the network has no detection head to train\nexpected: a [yolo] or [anchor_free]"
        )


def _darknet_settings(head: Yolo) -> DarknetYoloSettings:
    keys = head.training
    return DarknetYoloSettings(
        classes=head.classes,
        anchors_wh=head.anchors.all_wh,
        mask=head.anchors.mask,
        scale_x_y=head.scale_x_y,
        new_coords=head.new_coords,
        box_loss=keys.box_loss,
        iou_normalizer=keys.iou_normalizer,
        obj_normalizer=keys.obj_normalizer,
        cls_normalizer=keys.cls_normalizer,
        ignore_thresh=keys.ignore_thresh,
        truth_thresh=keys.truth_thresh,
        iou_thresh=keys.iou_thresh,
        iou_thresh_kind=keys.iou_thresh_kind,
        max_delta=keys.max_delta,
        label_smooth_eps=keys.label_smooth_eps,
        objectness_smooth=keys.objectness_smooth,
        focal_loss=keys.focal_loss,
        counters_per_class=keys.counters_per_class,
        show_details=keys.show_details,
    )


class _DarknetLoss:
    """Darknet's loss of heads that each read one map, with a factor on the deltas of each."""

    def __init__(self, heads: tuple[tuple[DarknetYoloSettings, float], ...]) -> None:
        self._heads = heads

    def __call__(
        self, maps: Sequence[Tensor], targets: Targets, input_size: tuple[int, int]
    ) -> LossValue:
        images = len(maps[0])
        total = torch.zeros((), device=maps[0].device)
        box = objectness = classes = cost = 0.0
        for (settings, factor), raw in zip(self._heads, maps, strict=True):
            found = DarknetYoloLoss(settings, input_size).deltas(raw, targets)
            total = total + inject(raw, replace(found, deltas=found.deltas * factor))
            box += found.box_squares / images
            objectness += found.objectness_squares / images
            classes += found.class_squares / images
            cost += found.cost / images / len(self._heads)
        parts = {"box": box, "objectness": objectness, "class": classes, "darknet": cost}
        return LossValue(total, parts)


@dataclass(frozen=True, slots=True)
class _Part:
    """A gained mean, which may be one of several that are shown under one name."""

    name: str
    value: Tensor


class _ModernLoss:
    """The modern loss of all heads of a graph."""

    def __init__(self, graph: Graph, settings: ModernLossSettings) -> None:
        self._settings = settings
        self._input_size = graph.input_shape.size
        self._heads = tuple(head for _, head in graph.heads)
        self._reads = tuple(len(node.inputs) for node, _ in graph.heads)

    def __call__(
        self, maps: Sequence[Tensor], targets: Targets, input_size: tuple[int, int]
    ) -> LossValue:
        with torch.autocast(maps[0].device.type, enabled=False):
            parts = self._parts(maps, targets, input_size)
            values = torch.stack([part.value for part in parts])
            total = values.sum() * len(maps[0])
        shown: dict[str, float] = {}
        for part, value in zip(parts, values.tolist(), strict=True):
            shown[part.name] = shown.get(part.name, 0.0) + value
        return LossValue(total, shown)

    def _parts(
        self, maps: Sequence[Tensor], targets: Targets, input_size: tuple[int, int]
    ) -> list[_Part]:
        read = iter(maps)
        own = [tuple(itertools.islice(read, count)) for count in self._reads]
        yolos = [(h, m) for h, m in zip(self._heads, own, strict=True) if isinstance(h, Yolo)]
        free = [(h, m) for h, m in zip(self._heads, own, strict=True) if isinstance(h, AnchorFree)]
        parts = []
        for (head, head_maps), balance in zip(yolos, _balance(yolos), strict=True):
            parts += self._yolo_parts(head, head_maps, balance, targets, input_size)
        if free:
            parts += _anchor_free_parts(free, targets, input_size)
        return parts

    def _yolo_parts(
        self,
        head: Yolo,
        maps: tuple[Tensor, ...],
        balance: float,
        targets: Targets,
        input_size: tuple[int, int],
    ) -> list[_Part]:
        height, width = self._input_size
        gains, share = self._settings, 3 / sum(isinstance(h, Yolo) for h in self._heads)
        found = yolo_losses(head, maps, targets, input_size)
        area = height * width / 640**2
        parts = [
            _Part("box", found.box * (gains.box * share)),
            _Part("objectness", found.objectness * (gains.objectness * share * area * balance)),
            _Part("class", found.classes * (gains.classes * share * head.classes / 80)),
        ]
        if found.mask is not None:
            parts.append(_Part("mask", found.mask * (gains.box * share)))
        return parts


def _balance(heads: Sequence[tuple[Yolo, tuple[Tensor, ...]]]) -> list[float]:
    """What the objectness of each head counts: by the number of its cells, the most first."""
    cells = [-maps[0].shape[2] * maps[0].shape[3] for _, maps in heads]
    order = sorted(range(len(cells)), key=cells.__getitem__)
    weights = [0.0] * len(cells)
    for place, index in enumerate(order):
        beyond = max(0, place + 1 - len(_BALANCE))
        weights[index] = _BALANCE[min(place, len(_BALANCE) - 1)] / 4**beyond
    return weights


def _anchor_free_parts(
    heads: Sequence[tuple[AnchorFree, tuple[Tensor, ...]]],
    targets: Targets,
    input_size: tuple[int, int],
) -> list[_Part]:
    layers, maps = zip(*heads, strict=True)
    found = anchor_free_losses(layers, maps, targets, input_size)
    parts = [
        _Part("box", found.box * BOX_GAIN),
        _Part("class", found.classes * CLASS_GAIN),
        _Part("distribution", found.distribution * DISTRIBUTION_GAIN),
    ]
    if found.mask is not None:
        parts.append(_Part("mask", found.mask * BOX_GAIN))
    return parts
