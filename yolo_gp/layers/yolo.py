"""[yolo]: the anchor-based head of YOLOv3, v4 and v7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors, parse_anchors
from yolo_gp.layers.base import CommonKeys, Head, ShapeProblem, same_shape, training_only
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn

_BOX_AND_OBJECTNESS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Yolo(Head):
    """[yolo]: A anchors per cell, each x, y, w, h, objectness and C classes: (A (5 + C), H, W).

    Decode of cell (column i, row j), anchor (aw, ah) in input pixels:
    x = (i + s sigmoid(tx) - (s - 1) / 2) / W, w = exp(tw) aw / input width; with new_coords=1 the
    map is already activated, x = (i + s tx - (s - 1) / 2) / W, w = 4 tw^2 aw / input width.

    Source: Darknet src/yolo_layer.c; darknet.md 3.1.  Stores no weights.
    """

    kind: ClassVar[str] = "yolo"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only(
            *"""max iou_loss iou_thresh_kind iou_normalizer obj_normalizer cls_normalizer
            delta_normalizer max_delta label_smooth_eps objectness_smooth focal_loss
            counters_per_class ignore_thresh truth_thresh iou_thresh jitter resize random map
            show_details""".split()
        ),
        **dict.fromkeys(
            """embedding_layer track_history_size sim_thresh dets_for_track dets_for_show
            track_ciou_norm""".split(),
            "belongs to Darknet's video tracking",
        ),
        "beta1": "read by no Darknet; stands in published files",
        "uc_normalizer": "belongs to [Gaussian_yolo]; stands in published files",
    }

    span: Span
    common: CommonKeys
    classes: int
    anchors: Anchors  # in pixels of the network input
    scale_x_y: float
    new_coords: bool
    nms: NmsRule

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Yolo:
        return cls(
            span=options.span,
            common=common,
            classes=options.integer("classes", 20, minimum=1, maximum=MAX_CHANNELS),
            anchors=parse_anchors(options),
            scale_x_y=options.number("scale_x_y", 1.0),
            new_coords=options.flag("new_coords"),
            nms=_parse_nms(options),
        )

    @property
    def num_classes(self) -> int:
        return self.classes

    @property
    def nms_rule(self) -> NmsRule:
        return self.nms

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        slots = len(self.anchors.mask)
        wanted = slots * (_BOX_AND_OBJECTNESS + self.classes)
        found = inputs[0].channels
        if found is not None and found != wanted:
            which = " (no mask: all anchors count)" if self.anchors.mask_is_default else ""
            raise ShapeProblem(
                Rule.HEAD_FILTERS,
                self.span,
                f"[yolo] needs (classes + 5) * masks = ({self.classes} + 5) * {slots} = {wanted} "
                f"channels{which}, but {{0}} gives {found}",
                expected=f"filters={wanted} in the section at line {{0.line}}",
                help=f"set filters={wanted} there, or mend classes={self.classes} or mask here",
            )
        return same_shape(inputs)

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import YoloActivation

        slots = len(self.anchors.mask)
        return YoloActivation(slots, self.scale_x_y, self.new_coords)

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        raw = maps[0].float()
        batch, _, height, width = raw.shape
        entries = _BOX_AND_OBJECTNESS + self.classes
        slots = len(self.anchors.mask)
        cells = raw.reshape(batch, slots, entries, height * width).permute(0, 3, 1, 2)
        cells = cells.reshape(batch, height * width * slots, entries)  # row by row, then anchor
        objectness = cells[..., 4] if self.new_coords else cells[..., 4].sigmoid()
        return [
            self._decode_image(
                cells[image], objectness[image], (height, width), input_size, threshold
            )
            for image in range(batch)
        ]

    def _decode_image(
        self,
        cells: Tensor,
        objectness: Tensor,
        grid: tuple[int, int],
        input_size: tuple[int, int],
        threshold: float,
    ) -> Candidates:
        """Candidates of one image: cells (grid cells * slots, entries), objectness (the same,)."""
        import torch

        (height, width), (input_height, input_width) = grid, input_size
        kept = torch.nonzero(objectness > threshold).squeeze(1)
        chosen = cells[kept]
        slot = kept % len(self.anchors.mask)
        cell = kept // len(self.anchors.mask)
        place = torch.stack((cell % width, cell // width), dim=1).to(chosen)
        anchors_wh = chosen.new_tensor(self.anchors.masked_wh).reshape(-1, 2)[slot]
        shift = 0.5 * (self.scale_x_y - 1.0)
        xy = chosen[:, 0:2] if self.new_coords else chosen[:, 0:2].sigmoid()
        wh = 4.0 * chosen[:, 2:4] ** 2 if self.new_coords else chosen[:, 2:4].exp()
        boxes = torch.cat(
            (
                (place + xy * self.scale_x_y - shift) / chosen.new_tensor((width, height)),
                wh * anchors_wh / chosen.new_tensor((input_width, input_height)),
            ),
            dim=1,
        )
        classes = chosen[:, 5:] if self.new_coords else chosen[:, 5:].sigmoid()
        scores = objectness[kept].unsqueeze(1) * classes
        return Candidates(boxes, scores * (scores > threshold))

    def label(self) -> str:
        return f"{self.classes} classes, {len(self.anchors.mask)} anchors"


def _parse_nms(options: Options) -> NmsRule:
    beta = options.number("beta_nms", 0.6)
    known = ("default", "greedynms", "diounms", "cornersnms")
    kind = options.choice("nms_kind", "default", known)
    if kind == "cornersnms":
        options.warning(
            Rule.NMS_NAME,
            "nms_kind",
            f"Darknet reads nms_kind={kind} in [{options.kind}] as default, and so do we",
            help="write nms_kind=default",
        )
    if kind == "greedynms":  # despite its name: distance-IoU with a fixed exponent
        return NmsRule("diou", 0.6)
    return NmsRule("diou", beta) if kind == "diounms" else NmsRule("iou")
