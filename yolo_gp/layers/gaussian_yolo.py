"""[Gaussian_yolo]: a [yolo] that says how uncertain each number of a box is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors, parse_anchors
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.base import Head, same_shape
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.nms_keys import parse_darknet_nms
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn

Point = Literal["center", "left_top", "right_bottom"]

# The entries of an anchor: x, y, w, h, each with its sigma behind it, objectness, classes.
_MEANS = (0, 2, 4, 6)
_SIGMAS = (1, 3, 5, 7)
_OBJECTNESS = 8
_FIRST_CLASS = 9
_FROM_POINT: Mapping[Point, float] = {"center": 0.0, "left_top": 0.5, "right_bottom": -0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianYolo(Head):
    """[Gaussian_yolo]: A anchors per cell, each with 9 numbers and C classes: (A (9 + C), H, W).

    The boxes are those of [yolo] without new_coords, but that `yolo_point` may say that x, y are a
    corner. Every number but w and h takes a sigmoid; a confidence is objectness times class times
    1 - the mean of the four sigmas. Objectness itself must exceed the threshold.

    Source: Darknet src/gaussian_yolo_layer.c; darknet.md 3.5.  Stores no weights.
    """

    kind: ClassVar[str] = "Gaussian_yolo"
    reader: ClassVar[Reader] = "AlexeyAB"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only(
            *"""iou_loss iou_thresh_kind iou_normalizer uc_normalizer obj_normalizer cls_normalizer
            delta_normalizer max_delta label_smooth_eps objectness_smooth counters_per_class
            ignore_thresh truth_thresh iou_thresh jitter resize random max""".split()
        ),
        "map": "renames classes while Darknet trains; label the data with the classes meant",
    }
    meanings: ClassVar[Mapping[str, str]] = {
        "anchors": "width and height of each anchor, in pixels of the input",
        "mask": "the numbers, from 0, of the anchors that this head predicts with",
        "scale_x_y": "lets a centre leave its cell: factor of its place inside",
        "yolo_point": "what x and y are: the `center` of a box, its `left_top` or its "
        "`right_bottom` corner",
        "map": "file with another number for each class, while Darknet trains",
        "uc_normalizer": "factor of the uncertainties' part of the loss",
        "iou_loss": "what the boxes' part of the loss derives from",
        "iou_thresh_kind": "the overlap that `iou_thresh` is compared with",
        "iou_normalizer": "factor of the boxes' part of the loss",
        "obj_normalizer": "factor of the objectness part of the loss",
        "cls_normalizer": "factor of the classes' part of the loss",
        "delta_normalizer": "factor of the whole loss",
        "max_delta": "bound of the boxes' part of the loss",
        "label_smooth_eps": "class targets are moved so far from 0 and 1",
        "objectness_smooth": "1: objectness targets are overlaps rather than 1",
        "counters_per_class": "objects of each class in the training data",
        "ignore_thresh": "a box that overlaps an object more is not told to be background",
        "truth_thresh": "a box that overlaps an object more learns it",
        "iou_thresh": "anchors whose shape overlaps an object's more learn it beside the best",
        "jitter": "a crop's margins are at most this share of the image",
        "resize": "images are enlarged or reduced by up to this factor",
        "random": "the input's size varies by up to this factor; 1 stands for 1.4",
        "max": "objects of one image that count",
    }
    learns: ClassVar[bool] = False

    span: Span
    common: CommonKeys
    classes: int
    anchors: Anchors  # in pixels of the network input
    scale_x_y: float
    point: Point
    nms: NmsRule

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> GaussianYolo:
        point = options.choice("yolo_point", "center", tuple(_FROM_POINT))
        return cls(
            span=options.span,
            common=common,
            classes=options.integer("classes", 20, minimum=1, maximum=MAX_CHANNELS),
            anchors=parse_anchors(options),
            scale_x_y=options.number("scale_x_y", 1.0),
            point=next(name for name in _FROM_POINT if name == point),
            nms=parse_darknet_nms(options, knows_corners=True),
        )

    @property
    def num_classes(self) -> int:
        return self.classes

    def map_activation(self) -> str:
        return "linear"

    @property
    def nms_rule(self) -> NmsRule:
        return self.nms

    def map_channels(self, classes: int) -> tuple[int, ...]:
        return (len(self.anchors.mask) * (_FIRST_CLASS + classes),)

    def box_anchors(self) -> Anchors:
        return self.anchors

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        (wanted,) = self.map_channels(self.classes)
        found = inputs[0].channels
        if found is not None and found != wanted:
            slots = len(self.anchors.mask)
            which = " (no mask: all anchors count)" if self.anchors.mask_is_default else ""
            raise ShapeProblem(
                Rule.HEAD_FILTERS,
                self.span,
                f"[Gaussian_yolo] needs (classes + 9) * masks = ({self.classes} + 9) * {slots} = "
                f"{wanted} channels{which}, but {{0}} gives {found}",
                expected=f"filters={wanted} in the section at line {{0.line}}",
                help=f"set filters={wanted} there, or mend classes={self.classes} or mask here",
            )
        return same_shape(inputs)

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.head_modules import GaussianActivation

        return GaussianActivation(len(self.anchors.mask), self.scale_x_y)

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        cells = self._cells(maps[0])
        found = []
        for entries in cells:
            kept = (entries[:, _OBJECTNESS].sigmoid() > threshold).nonzero().squeeze(1)
            chosen = entries[kept]
            boxes = self._boxes(chosen, kept, maps[0].shape[2:], input_size)
            scores = self._scores(chosen)
            found.append(Candidates(boxes, scores.where(scores > threshold, 0.0)))
        return found

    def decode_all(self, maps: Sequence[Tensor], input_size: tuple[int, int]) -> DenseCandidates:
        import torch

        cells = self._cells(maps[0])
        places = torch.arange(cells.shape[1], device=cells.device)
        boxes = self._boxes(cells, places, maps[0].shape[2:], input_size)
        return DenseCandidates(boxes, self._scores(cells))

    def _cells(self, raw: Tensor) -> Tensor:
        """Entries (N, K, 9 + C) of all places, in float32."""
        from yolo_gp.layers.anchor_cells import entries_by_place

        return entries_by_place(raw, len(self.anchors.mask))

    def _scores(self, chosen: Tensor) -> Tensor:
        """Confidences (..., C) of entries (..., 9 + C)."""
        uncertainty = chosen[..., list(_SIGMAS)].sigmoid().mean(-1, keepdim=True)
        objectness = chosen[..., _OBJECTNESS:_FIRST_CLASS].sigmoid()
        return objectness * chosen[..., _FIRST_CLASS:].sigmoid() * (1.0 - uncertainty)

    def _boxes(
        self,
        chosen: Tensor,
        places: Tensor,
        grid: Sequence[int],
        input_size: tuple[int, int],
    ) -> Tensor:
        """Boxes (..., k, 4) relative to the input, of entries (..., k, 9 + C) of k places."""
        import torch

        from yolo_gp.layers.anchor_cells import anchors_of, cell_corners

        (height, width), (input_height, input_width) = grid, input_size
        x, y, w, h = _MEANS
        corners = cell_corners(places, len(self.anchors.mask), width)
        inside = chosen[..., [x, y]].sigmoid() * self.scale_x_y - 0.5 * (self.scale_x_y - 1.0)
        points = (corners + inside) / chosen.new_tensor((width, height))
        sizes = chosen[..., [w, h]].exp() * anchors_of(places, self.anchors.masked_wh)
        sizes = sizes / chosen.new_tensor((input_width, input_height))
        return torch.cat((points + _FROM_POINT[self.point] * sizes, sizes), dim=-1)

    def label(self) -> str:
        return f"{self.classes} classes, {len(self.anchors.mask)} anchors, with uncertainty"
