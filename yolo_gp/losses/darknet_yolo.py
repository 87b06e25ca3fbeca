"""The loss of Darknet's [yolo] head, exactly: deltas that are no gradient of any scalar.

Darknet adds `delta = target - prediction` to a map's values, often without the derivative of the
sigmoid before it, so there is no loss to differentiate. `DarknetYoloLoss.deltas` computes them,
and `inject` hands them to autograd as if they were the (negative) gradient.

Legend: N images, A anchors of the head, C classes, H x W cells, T objects, P positives.
Source: Darknet src/yolo_layer.c forward_yolo_layer; darknet.md 6.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from yolo_gp.boxes import pairwise_iou_cxcywh
from yolo_gp.losses.darknet_boxes import BoxLoss, IouKind, iou_gradient, iou_of
from yolo_gp.losses.darknet_matching import match_anchors
from yolo_gp.losses.positives import Positives
from yolo_gp.losses.targets import Targets

_SURE_OF_A_CLASS = 0.25  # a cell whose every class lies below is never spared as a near miss


@dataclass(frozen=True, slots=True, kw_only=True)
class DarknetYoloSettings:
    """The keys of [yolo] that bear on its loss.

    Fields:
        classes: how many.
        anchors_wh: (width, height) of all anchors, in pixels of the network input.
        mask: the numbers of those that the head owns.
        scale_x_y, new_coords: of the decoding.
        box_loss: what the box deltas derive from.
        iou_normalizer, obj_normalizer, cls_normalizer: factors of the three parts; the last acts
            beside `counters_per_class` only.
        ignore_thresh: a cell whose box overlaps an object more is not told to be background.
        truth_thresh: one that overlaps it more than this is a positive.
        iou_thresh: anchors whose shape overlaps an object's more are positives beside the best.
        iou_thresh_kind: of that overlap.
        max_delta: box deltas are clipped to this.
        label_smooth_eps: class targets are moved so far from 0 and 1.
        objectness_smooth: objectness targets are overlaps rather than 1.
        focal_loss: class deltas are scaled by the focal loss.
        counters_per_class: objects of each class, to give rare ones more weight; empty for none.
        show_details: the reported cost is by overlap; otherwise the sum of squares.
    """

    classes: int
    anchors_wh: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    scale_x_y: float = 1.0
    new_coords: bool = False
    box_loss: BoxLoss = "mse"
    iou_normalizer: float = 0.75
    obj_normalizer: float = 1.0
    cls_normalizer: float = 1.0
    ignore_thresh: float = 0.5
    truth_thresh: float = 1.0
    iou_thresh: float = 1.0
    iou_thresh_kind: IouKind = "iou"
    max_delta: float = math.inf
    label_smooth_eps: float = 0.0
    objectness_smooth: bool = False
    focal_loss: bool = False
    counters_per_class: tuple[int, ...] = ()
    show_details: bool = True

    @property
    def class_weights(self) -> tuple[float, ...]:
        """The multiplier of each class: most objects over its objects, at most `max_delta`."""
        if not self.counters_per_class:
            return (1.0,) * self.classes
        counts = [max(1.0, float(count)) for count in self.counters_per_class]
        return tuple(min(max(counts) / count, self.max_delta) for count in counts)


@dataclass(frozen=True, slots=True)
class YoloDeltas:
    """What Darknet's loss says to one head's map.

    Fields:
        deltas: as the map, (N, A (5 + C), H, W).
        cost: the number that goes into the loss that Darknet prints, of the whole batch.
        positives: how many cells and anchors were told to hold an object.
        mean_iou: of their boxes with their objects, before this step; 0 if there are none.
        box_squares, objectness_squares, class_squares: sums of squared deltas.
    """

    deltas: Tensor
    cost: float
    positives: int
    mean_iou: float
    box_squares: float
    objectness_squares: float
    class_squares: float

    @property
    def other_squares(self) -> float:
        """What Darknet prints as class_loss, of the whole batch."""
        return self.objectness_squares + self.class_squares


class DarknetYoloLoss:
    """The deltas of one head.

    Args:
        input_size: (height, width) of the network's input in pixels.
    """

    def __init__(self, settings: DarknetYoloSettings, input_size: tuple[int, int]) -> None:
        self._settings = settings
        self._input_size = input_size

    @torch.no_grad()
    def deltas(self, raw: Tensor, targets: Targets) -> YoloDeltas:
        """What to add to a raw map (N, A (5 + C), H, W)."""
        s = self._settings
        batch, _, height, width = raw.shape
        shaped = raw.detach().float().reshape(batch, len(s.mask), -1, height, width)
        state = _State(s, shaped.permute(0, 1, 3, 4, 2), self._input_size)
        numbers = targets.of_classes(s.classes)
        near = state.background(targets, numbers)
        if near is not None:
            state.teach(near, targets, smooth_target="overlap")
        positives = match_anchors(
            targets,
            numbers,
            anchors_wh=s.anchors_wh,
            mask=s.mask,
            iou_thresh=s.iou_thresh,
            iou_thresh_kind=s.iou_thresh_kind,
            grid=(height, width),
            input_size=self._input_size,
        )
        state.teach(positives, targets, smooth_target="one")
        places = state.taught.nonzero(as_tuple=True)
        if s.iou_thresh < 1:
            state.average_boxes(places)
        deltas = state.deltas.permute(0, 1, 4, 2, 3).reshape(raw.shape)
        return state.report(deltas, positives, places, targets)


class _State:
    """The decoded map and its growing deltas, both (N, A, H, W, ...)."""

    def __init__(
        self, settings: DarknetYoloSettings, raw: Tensor, input_size: tuple[int, int]
    ) -> None:
        s = self.settings = settings
        self.raw = raw
        self.deltas = torch.zeros_like(raw)
        self.taught = torch.zeros(raw.shape[:4], dtype=torch.bool, device=raw.device)
        self.input_size = input_size
        self.objectness = self._activated(raw[..., 4])
        self.xy = self._activated(raw[..., :2]) * s.scale_x_y - 0.5 * (s.scale_x_y - 1)
        height, width = raw.shape[2:4]
        rows, columns = torch.meshgrid(
            torch.arange(height, device=raw.device),
            torch.arange(width, device=raw.device),
            indexing="ij",
        )
        corner = torch.stack((columns, rows), dim=-1)
        centre = (corner + self.xy) / raw.new_tensor((width, height))
        anchors = raw.new_tensor([s.anchors_wh[n] for n in s.mask])[None, :, None, None]
        anchors = anchors / raw.new_tensor(input_size[::-1])
        factor = 4 * raw[..., 2:4].square() if s.new_coords else raw[..., 2:4].exp()
        self.boxes = torch.cat((centre, factor * anchors), dim=-1)
        self.weights = raw.new_tensor(s.class_weights)

    def _activated(self, entries: Tensor) -> Tensor:
        return entries if self.settings.new_coords else entries.sigmoid()

    def background(self, targets: Targets, numbers: Tensor) -> Positives | None:
        """Pass 1: every cell is background, unless its box lies well on an object.

        Returns:
            The cells that overlap an object by more than `truth_thresh`, to be taught as positives.
        """
        s = self.settings
        best, which = self._best_overlap(targets, numbers)
        sure = self._activated(self.raw[..., 5:].amax(-1)) > _SURE_OF_A_CLASS
        best_match = torch.where(sure, best, 0.0)
        delta = -s.obj_normalizer * self.objectness
        spared = best_match > s.ignore_thresh
        if s.objectness_smooth:
            toward = s.obj_normalizer * (best_match - self.objectness)
            delta = torch.where(spared, torch.maximum(delta, toward), delta)
        else:
            delta = torch.where(spared, 0.0, delta)
        self.deltas[..., 4] = delta
        near = best > s.truth_thresh
        if not bool(near.any()):
            return None
        image, slot, row, column = near.nonzero(as_tuple=True)
        return Positives(image, slot, row, column, which[near])

    def _best_overlap(self, targets: Targets, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """The highest IoU of each cell's box with an object of its image, and that object."""
        best = self.raw.new_zeros(self.raw.shape[:4])
        which = torch.zeros_like(best, dtype=torch.long)
        for image in range(len(self.raw)):
            own = numbers[targets.image[numbers] == image]
            if not len(own):
                continue
            truths = targets.boxes_cxcywh_norm[own]
            overlap = pairwise_iou_cxcywh(self.boxes[image].reshape(-1, 4), truths)
            value, place = overlap.max(1)
            best[image] = value.reshape(best.shape[1:])
            which[image] = own[place].reshape(best.shape[1:])
        return best, which

    def teach(self, positives: Positives, targets: Targets, *, smooth_target: str) -> None:
        """Deltas of cells that hold an object; where several do, one after the other."""
        if not len(positives.truth):
            return
        self.taught[positives.place] = True
        self._teach_boxes(positives, targets)
        rank = positives.rank(self.raw.shape[1], (self.raw.shape[2], self.raw.shape[3]))
        for turn in range(int(rank.max()) + 1):
            now = positives.only(rank == turn)
            self._teach_objectness(now, targets, smooth_target)
            self._teach_classes(now, targets, smooth_target)

    def _overlap(self, positives: Positives, targets: Targets) -> Tensor:
        truths = targets.boxes_cxcywh_norm[positives.truth]
        return iou_of("iou", self.boxes[positives.place], truths)

    def _teach_objectness(self, positives: Positives, targets: Targets, smooth_target: str) -> None:
        s = self.settings
        objectness = self.objectness[positives.place]
        if smooth_target == "overlap":
            goal = self._overlap(positives, targets).square() if s.objectness_smooth else 1.0
            delta = s.obj_normalizer * (goal - objectness)
        else:
            weight = self.weights[targets.class_ids[positives.truth]]
            delta = weight * s.obj_normalizer * (1 - objectness)
            if s.objectness_smooth:
                before = self.deltas[(*positives.place, 4)]
                delta = torch.where(before == 0, delta, before)
        self.deltas[(*positives.place, 4)] = delta

    def _teach_classes(self, positives: Positives, targets: Targets, smooth_target: str) -> None:
        s = self.settings
        own = targets.class_ids[positives.truth]
        predicted = self._activated(self.raw[positives.place][:, 5:])
        before = self.deltas[positives.place][:, 5:]
        column = own[:, None]
        is_own = torch.zeros_like(predicted, dtype=torch.bool).scatter_(1, column, True)
        again = before.gather(1, column) != 0
        goal = is_own * (1 - s.label_smooth_eps) + 0.5 * s.label_smooth_eps
        plain = goal - predicted
        weight = self.weights[own][:, None]
        single = torch.where(is_own, plain * weight, before)
        if s.focal_loss:
            fresh = (is_own.float() - predicted) * _focal(predicted.gather(1, column))
        else:
            factor = weight * s.cls_normalizer if s.counters_per_class else weight
            fresh = torch.where(is_own, plain * factor, plain)
        delta = torch.where(again, single, fresh)
        if smooth_target == "overlap" and s.objectness_smooth:
            goal = self._overlap(positives, targets).square()[:, None]
            delta = torch.where(is_own, weight * (goal - predicted), delta)
        kept = self.deltas[positives.place]
        kept[:, 5:] = delta
        self.deltas[positives.place] = kept

    def _teach_boxes(self, positives: Positives, targets: Targets) -> None:
        """Box deltas add up where several objects share a cell and an anchor."""
        s = self.settings
        truths = targets.boxes_cxcywh_norm[positives.truth]
        raw = self.raw[positives.place]
        if s.box_loss == "mse":
            delta = self._coordinate_errors(positives, truths, raw)
        else:
            delta = iou_gradient(s.box_loss, self.boxes[positives.place], truths)
            if not s.new_coords:
                delta = torch.cat((delta[:, :2], delta[:, 2:] * raw[:, 2:4].exp()), dim=1)
        weight = self.weights[targets.class_ids[positives.truth]]
        delta = delta * (s.iou_normalizer * weight)[:, None]
        delta = torch.where(delta.isfinite(), delta, 0.0)
        if s.box_loss != "mse":
            delta = delta.clamp(-s.max_delta, s.max_delta)
        boxes = torch.zeros_like(self.deltas[..., :4])
        boxes.index_put_(positives.place, delta, accumulate=True)
        self.deltas[..., :4] += boxes

    def _coordinate_errors(self, positives: Positives, truths: Tensor, raw: Tensor) -> Tensor:
        s = self.settings
        height, width = self.raw.shape[2:4]
        cells = truths.new_tensor((width, height))
        corner = torch.stack((positives.column, positives.row), dim=1)
        anchors = truths.new_tensor([s.anchors_wh[n] for n in s.mask])[positives.slot]
        ratio = truths[:, 2:] * truths.new_tensor(self.input_size[::-1]) / anchors
        goal_wh = (ratio / 4).sqrt() if s.new_coords else ratio.log()
        goal_xy = truths[:, :2] * cells - corner
        small = 2 - truths[:, 2:].prod(1, keepdim=True)  # small objects count more
        found = torch.cat((self.xy[positives.place], raw[:, 2:4]), dim=1)
        return small * (torch.cat((goal_xy, goal_wh), dim=1) - found)

    def average_boxes(self, places: tuple[Tensor, ...]) -> None:
        """Pass 3: box deltas are divided by the number of classes that their cell is taught."""
        deltas = self.deltas[places]
        taught = (deltas[:, 5:] > 0).sum(-1)
        divisor = torch.where((deltas[:, 4] != 0) & (taught > 0), taught, 1)
        deltas[:, :4] /= divisor[:, None]
        self.deltas[places] = deltas

    def report(
        self,
        deltas: Tensor,
        positives: Positives,
        places: tuple[Tensor, ...],
        targets: Targets,
    ) -> YoloDeltas:
        """The deltas and what Darknet prints of them; `places` are all that were taught."""
        s = self.settings
        count = len(positives)
        taught = self.deltas[places].double().square()
        objectness_squares = float(self.deltas[..., 4].double().square().sum())
        box_squares, class_squares = float(taught[:, :4].sum()), float(taught[:, 5:].sum())
        mean_iou = float(self._overlap(positives, targets).mean()) if count else 0.0
        cost = box_squares + objectness_squares + class_squares
        if s.box_loss != "mse" and s.show_details:
            kind: IouKind = "giou" if s.box_loss == "giou" else "iou"
            truths = targets.boxes_cxcywh_norm[positives.truth]
            overlap = iou_of(kind, self.boxes[positives.place], truths)
            missing = float((1 - overlap).mean()) if count else 0.0
            cost = s.iou_normalizer * missing
            cost += s.obj_normalizer * (objectness_squares + class_squares)
        return YoloDeltas(
            deltas, cost, count, mean_iou, box_squares, objectness_squares, class_squares
        )


def _focal(probability: Tensor) -> Tensor:
    """Darknet's focal factor of an object's class: (P, 1)."""
    p = probability + 1e-15
    return -0.5 * (1 - p) * (2 * p * p.log() + p - 1)


class _Injected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor, deltas: Tensor, cost: float) -> Tensor:
        ctx.save_for_backward(deltas)
        # A cost may lie beyond float16.
        return torch.tensor(
            cost, dtype=torch.promote_types(raw.dtype, torch.float32), device=raw.device
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (deltas,) = ctx.saved_tensors
        return -deltas * gradients[0].to(deltas.dtype), None, None


def inject(raw: Tensor, found: YoloDeltas) -> Tensor:
    """A scalar whose value is the cost, and whose gradient by `raw` is minus the deltas."""
    deltas = found.deltas.to(raw.dtype)
    result: Tensor = _Injected.apply(raw, deltas, found.cost)  # type: ignore[no-untyped-call]
    return result
