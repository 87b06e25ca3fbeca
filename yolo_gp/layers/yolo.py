"""[yolo]: the anchor-based head of YOLOv3, v4 and v7."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.anchors import ANCHOR_MEANINGS, Anchors, parse_anchors
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.base import Head, same_shape
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.mask_keys import MaskKeys, parse_mask_keys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.nms_keys import parse_darknet_nms
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.layers.training_keys import (
    YOLO_TRAINING_KEYS,
    YOLO_TRAINING_READERS,
    YoloTraining,
    parse_yolo_training,
)
from yolo_gp.options import MAX_CHANNELS, Options, Reference
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

    In the YOLOR dialect every head decodes x = (i + 2 sigmoid(tx) - 1/2) / W and
    w = (2 sigmoid(tw))^2 aw / input width from a map that is not activated.

    Two keys are ours, not Darknet's: `masks=M` gives every anchor M mask coefficients behind its
    classes, so that the map is (A (5 + C + M), H, W), and `prototypes` names the layer that makes
    what they combine. A coefficient is any real number, so with masks the map is
    not activated (`activation=linear` before the head) even for new_coords=1, which then takes
    sigmoid(tx) for tx and so on.

    Source: Darknet src/yolo_layer.c; darknet.md 3.1; zoo.md B.2 for masks.  Stores no weights.
    """

    kind: ClassVar[str] = "yolo"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only(*YOLO_TRAINING_KEYS),
        "map": "renames classes while Darknet trains; label the data with the classes meant",
        **dict.fromkeys(
            """embedding_layer track_history_size sim_thresh dets_for_track dets_for_show
            track_ciou_norm""".split(),
            "belongs to Darknet's video tracking",
        ),
        "beta1": "read by no Darknet; stands in published files",
        "uc_normalizer": "belongs to [Gaussian_yolo]; stands in published files",
    }
    meanings: ClassVar[Mapping[str, str]] = {
        **ANCHOR_MEANINGS,
        **YOLO_TRAINING_KEYS,
        "anchors": "pairs of width and height in pixels of the network input; 0.5 by default",
        "scale_x_y": "how far a box's centre may lie outside its cell: s times the sigmoid, less "
        "(s - 1) / 2",
        "new_coords": "1: the map arrives activated, and sizes are 4 t^2 rather than exp(t)",
        "map": "a file with a new number for every class",
        "embedding_layer": "the layer that says what an object looks like",
        "track_history_size": "frames that count when objects are followed",
        "sim_thresh": "likeness above which two boxes are the same object",
        "dets_for_track": "detections after which an object is followed",
        "dets_for_show": "detections after which an object is shown",
        "track_ciou_norm": "weight of the overlap in the likeness",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = {
        **YOLO_TRAINING_READERS,
        **known_to(
            "AlexeyAB", "scale_x_y", "new_coords", "embedding_layer", "track_history_size",
            "sim_thresh", "dets_for_track", "dets_for_show", "track_ciou_norm",
        ),
    }  # fmt: skip
    training_keys: ClassVar[Collection[str]] = tuple(YOLO_TRAINING_KEYS)
    training_fields: ClassVar[frozenset[str]] = frozenset({"training"})
    ignored_in: ClassVar[Mapping[Dialect, Mapping[str, str]]] = {
        Dialect.YOLOR: {
            "scale_x_y": "YOLOR's code always decodes with 2",
            "new_coords": "YOLOR's code always decodes so",
            "from": "YOLOR's code does not decode by it",
        }
    }
    activates_in: ClassVar[frozenset[Dialect]] = frozenset({Dialect.YOLOR})

    span: Span
    common: CommonKeys
    classes: int
    anchors: Anchors  # in pixels of the network input
    scale_x_y: float
    new_coords: bool
    masks: MaskKeys
    nms: NmsRule
    training: YoloTraining
    takes_logits: bool = False  # the map is not activated, whatever new_coords says

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Yolo:
        is_yolor = options.dialect is Dialect.YOLOR
        classes = options.integer("classes", 20, minimum=1, maximum=MAX_CHANNELS)
        return cls(
            span=options.span,
            common=common,
            classes=classes,
            anchors=parse_anchors(options),
            scale_x_y=2.0 if is_yolor else options.number("scale_x_y", 1.0),
            new_coords=is_yolor or options.flag("new_coords"),
            takes_logits=is_yolor,
            masks=parse_mask_keys(options),
            nms=parse_darknet_nms(options),
            training=parse_yolo_training(options, classes),
        )

    @property
    def num_classes(self) -> int:
        return self.classes

    @property
    def nms_rule(self) -> NmsRule:
        return self.nms

    def map_channels(self, classes: int) -> tuple[int, ...]:
        entries = _BOX_AND_OBJECTNESS + classes + self.masks.count
        prototypes = (self.masks.count,) * len(self.masks.sources)
        return (len(self.anchors.mask) * entries, *prototypes)

    def box_anchors(self) -> Anchors:
        return self.anchors

    def map_activation(self) -> str:
        return "logistic" if self.arrives_activated else "linear"

    @property
    def _entries(self) -> int:
        """Channels per anchor."""
        return _BOX_AND_OBJECTNESS + self.classes + self.masks.count

    @property
    def arrives_activated(self) -> bool:
        """Whether the layer before the head has applied the sigmoids."""
        return self.new_coords and not self.masks.count and not self.takes_logits

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.masks.sources)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        slots = len(self.anchors.mask)
        wanted = slots * self._entries
        found = inputs[0].channels
        if found is not None and found != wanted:
            formula = f"(classes + 5) * masks = ({self.classes} + 5) * {slots}"
            if masks := self.masks.count:  # the number of mask= is then called by another name
                formula = (
                    f"(classes + 5 + masks) * anchors = ({self.classes} + 5 + {masks}) * {slots}"
                )
            which = " (no mask: all anchors count)" if self.anchors.mask_is_default else ""
            raise ShapeProblem(
                Rule.HEAD_FILTERS,
                self.span,
                f"[yolo] needs {formula} = {wanted} channels{which}, but {{0}} gives {found}",
                expected=f"filters={wanted} in the section at line {{0.line}}",
                help=f"set filters={wanted} there, or mend classes={self.classes}"
                f"{f', masks={masks}' if masks else ''} or mask here",
            )
        self.masks.check_prototypes(self.kind, inputs)
        return same_shape(inputs)

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import YoloActivation

        sigmoid = not self.arrives_activated
        return YoloActivation(
            len(self.anchors.mask),
            self.scale_x_y,
            masks=self.masks.count,
            sigmoid=sigmoid,
            sigmoid_sizes=sigmoid and self.new_coords,
        )

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        cells, objectness = self._cells(maps[0])
        found = []
        for image in range(len(cells)):
            kept = (objectness[image] > threshold).nonzero().squeeze(1)
            chosen = cells[image, kept]
            boxes = self._boxes(chosen, kept, maps[0].shape[2:], input_size)
            scores = self._scores(chosen, objectness[image, kept])
            scores = scores.where(scores > threshold, 0.0)
            recipes = self.masks.recipes(self._coefficients(chosen), maps, image)
            found.append(Candidates(boxes, scores, recipes))
        return found

    def decode_all(self, maps: Sequence[Tensor], input_size: tuple[int, int]) -> DenseCandidates:
        import torch

        cells, objectness = self._cells(maps[0])
        places = torch.arange(cells.shape[1], device=cells.device)
        boxes = self._boxes(cells, places, maps[0].shape[2:], input_size)
        return DenseCandidates(boxes, self._scores(cells, objectness), self._coefficients(cells))

    def _cells(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Entries (N, K, 5 + C + M) and objectness (N, K) of all places, in float32.

        A place is the number of the cell, row by row, times the slots, plus the slot.
        """
        batch, _, height, width = raw.shape
        slots = len(self.anchors.mask)
        cells = raw.float().reshape(batch, slots, self._entries, height * width)
        cells = cells.permute(0, 3, 1, 2).reshape(batch, height * width * slots, self._entries)
        return cells, self._activated(cells[..., _BOX_AND_OBJECTNESS - 1])

    def _activated(self, entries: Tensor) -> Tensor:
        return entries if self.arrives_activated else entries.sigmoid()

    def _scores(self, chosen: Tensor, objectness: Tensor) -> Tensor:
        """Confidences (..., C) of entries (..., 5 + C + M) with that objectness (...)."""
        classes = chosen[..., _BOX_AND_OBJECTNESS : _BOX_AND_OBJECTNESS + self.classes]
        return objectness.unsqueeze(-1) * self._activated(classes)

    def _coefficients(self, chosen: Tensor) -> Tensor | None:
        return chosen[..., _BOX_AND_OBJECTNESS + self.classes :] if self.masks.count else None

    def _boxes(
        self,
        chosen: Tensor,
        places: Tensor,
        grid: Sequence[int],
        input_size: tuple[int, int],
    ) -> Tensor:
        """Boxes (..., k, 4) relative to the input, of entries (..., k, 5 + C + M) of k places."""
        import torch

        (height, width), (input_height, input_width) = grid, input_size
        slots = len(self.anchors.mask)
        slot, cell = places % slots, places // slots
        corner = torch.stack((cell % width, cell // width), dim=1).to(chosen)
        anchors_wh = chosen.new_tensor(self.anchors.masked_wh).reshape(-1, 2)[slot]
        shift = 0.5 * (self.scale_x_y - 1.0)
        xy, wh = self._activated(chosen[..., 0:2]), chosen[..., 2:4]
        factor = 4.0 * self._activated(wh) ** 2 if self.new_coords else wh.exp()
        return torch.cat(
            (
                (corner + xy * self.scale_x_y - shift) / chosen.new_tensor((width, height)),
                factor * anchors_wh / chosen.new_tensor((input_width, input_height)),
            ),
            dim=-1,
        )

    def beyond_darknet(self) -> str | None:
        return "masks" if self.masks.count else None

    def label(self) -> str:
        return f"{self.classes} classes, {len(self.anchors.mask)} anchors{self.masks.label}"
