"""[detection]: the head of YOLOv1, which reads numbers of a fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.errors import Span
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.base import Head, same_shape
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn

_COORDS = 4
_MAX_SIDE = 1024
_MAX_BOXES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection(Head):
    """[detection]: S x S cells, each with C class scores and B boxes of a confidence of their own.

    The input, flattened, is S S C class scores, cell by cell, then S S B confidences, then S S B
    boxes x, y, w, h, cells row by row. A box of cell (column i, row j) is
    ((x + i) / S, (y + j) / S, w w, h h), with sqrt=0 w and h themselves. Its score is confidence
    times class score, which are what the layer before gives, the class scores of a cell after a
    softmax with softmax=1. So scores may exceed 1.

    Source: Darknet src/detection_layer.c; darknet.md 3.7.  Stores no weights.
    """

    kind: ClassVar[str] = "detection"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only(
            *"""rescore max coord_scale forced object_scale noobject_scale class_scale jitter
            resize random""".split()
        ),
        "reorg": "read by Darknet, and never used",
    }
    meanings: ClassVar[Mapping[str, str]] = {
        "coords": "numbers of a box; always 4, which has to be written",
        "num": "boxes of each cell",
        "side": "rows and columns of cells",
        "softmax": "1: the classes of a cell exclude each other",
        "sqrt": "1: the layer before gives square roots of widths and heights",
        "rescore": "1: an object's confidence is to be the overlap of its box",
        "max": "objects of one image that count",
        "coord_scale": "factor of the boxes' part of the loss",
        "forced": "1: an object's box is chosen by its size",
        "object_scale": "factor of the confidences of objects",
        "noobject_scale": "factor of the confidences of background",
        "class_scale": "factor of the classes' part of the loss",
        "jitter": "a crop's margins are at most this share of the image",
        "resize": "images are enlarged or reduced by up to this factor",
        "random": "1: boxes for objects are chosen at random at first",
        "reorg": "read by Darknet, and never used",
    }
    per_class_keys: ClassVar[tuple[str, ...]] = ()
    learns: ClassVar[bool] = False

    span: Span
    common: CommonKeys
    classes: int
    side: int
    boxes: int  # of a cell
    softmax: bool
    sqrt: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Detection:
        coords = options.integer("coords", 1)
        if coords != _COORDS and options.trusts("coords"):
            options.error(
                Rule.UNSUPPORTED,
                "coords",
                f"[detection] coords={coords}{'' if 'coords' in options else ', the default'}: a "
                f"box is made of {_COORDS} numbers, and Darknet reads so many",
                expected=f"coords={_COORDS}",
            )
        return cls(
            span=options.span,
            common=common,
            classes=options.integer("classes", 1, minimum=1, maximum=MAX_CHANNELS),
            side=options.integer("side", 7, minimum=1, maximum=_MAX_SIDE),
            boxes=options.integer("num", 1, minimum=1, maximum=_MAX_BOXES),
            softmax=options.flag("softmax"),
            sqrt=options.flag("sqrt"),
        )

    @property
    def num_classes(self) -> int:
        return self.classes

    def map_activation(self) -> str:
        return "linear"

    @property
    def nms_rule(self) -> NmsRule:
        return NmsRule()

    def map_channels(self, classes: int) -> tuple[int, ...]:
        """Of a map of one pixel, as a fully connected layer makes it."""
        return (self.side**2 * ((1 + _COORDS) * self.boxes + classes),)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        (wanted,) = self.map_channels(self.classes)
        shape = inputs[0].complete
        if shape is not None and shape.elements != wanted:
            formula = f"side * side * ((1 + coords) * num + classes) = {self.side} * {self.side} * "
            formula += f"({1 + _COORDS} * {self.boxes} + {self.classes}) = {wanted}"
            raise ShapeProblem(
                Rule.HEAD_FILTERS,
                self.span,
                f"[detection] needs {formula} numbers, but {{0}} gives {shape.elements}",
                expected=f"output={wanted} in a [connected] before it",
                help=f"set output={wanted} in the section at line {{0.line}}, or mend side, num or "
                f"classes={self.classes} here",
            )
        return same_shape(inputs)

    def passes_input(self) -> bool:
        return True

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        if self.softmax:
            return (Mixes(0, learned=False),)
        return (Passes(0, output.channels),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.head_modules import DetectionActivation

        return DetectionActivation(self.side**2, self.classes, self.softmax)

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        found = self.decode_all(maps, input_size)
        candidates = []
        for boxes, scores in zip(found.boxes_cxcywh_norm, found.scores, strict=True):
            passed = scores.where(scores > threshold, 0.0)
            kept = passed.any(1).nonzero().squeeze(1)
            candidates.append(Candidates(boxes[kept], passed[kept]))
        return candidates

    def decode_all(self, maps: Sequence[Tensor], input_size: tuple[int, int]) -> DenseCandidates:
        # Boxes are relative to the input, whatever its size: `input_size` does not count.
        flat = maps[0].float().flatten(1)
        cells, count = self.side**2, flat.shape[0]
        ends = (cells * self.classes, cells * (self.classes + self.boxes))
        classes = flat[:, : ends[0]].reshape(count, cells, 1, self.classes)
        confidences = flat[:, ends[0] : ends[1]].reshape(count, cells, self.boxes, 1)
        entries = flat[:, ends[1] :].reshape(count, cells, self.boxes, _COORDS)
        if self.softmax:
            classes = classes.softmax(-1)
        scores = (confidences * classes).reshape(count, cells * self.boxes, self.classes)
        return DenseCandidates(self._boxes(entries).flatten(1, 2), scores)

    def _boxes(self, entries: Tensor) -> Tensor:
        """Boxes (N, S S, B, 4) relative to the input, of the numbers of as many."""
        import torch

        cell = torch.arange(self.side**2, device=entries.device)
        corners = torch.stack((cell % self.side, cell // self.side), dim=1).unsqueeze(1)
        sizes = entries[..., 2:] ** 2 if self.sqrt else entries[..., 2:]
        return torch.cat(((entries[..., :2] + corners) / self.side, sizes), dim=-1)

    def label(self) -> str:
        return f"{self.classes} classes, {self.side}x{self.side} cells, {self.boxes} boxes"
