"""[region]: the anchor-based head of YOLOv2 and YOLO9000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.errors import Span
from yolo_gp.layers.anchors import Anchors, parse_unmasked_anchors
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.base import Head, same_shape
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.class_tree import ClassTree, parse_class_map, parse_tree
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.named_files import NamedFile
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn

_COORDS = 4
_UNUSED = "read by Darknet, and never used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region(Head):
    """[region]: A anchors per cell, each x, y, w, h, objectness and C classes: (A (5 + C), H, W).

    Decode of cell (column i, row j), anchor (aw, ah) in cells: x = (i + sigmoid(tx)) / W,
    w = exp(tw) aw / W, confidence = sigmoid(objectness) times the class's probability: a softmax
    over the classes, or pjreddie's sigmoid for softmax=0, where AlexeyAB's leaves logits.

    With a tree (YOLO9000), classes are its nodes, and each group takes a softmax. A box is the
    last node whose absolute probability, the product down the tree, exceeds 1/2; that is its
    confidence, and its objectness must exceed the threshold. With the names of as many classes as
    `map` has lines, class j has confidence objectness times the absolute probability of node
    map[j]. A layer that reads the head gets pjreddie's map, with these functions applied;
    AlexeyAB's holds the same numbers cell by cell.

    Source: Darknet src/region_layer.c; darknet.md 3.6.  Stores no weights.
    """

    kind: ClassVar[str] = "region"
    ignored: ClassVar[Mapping[str, str]] = {
        **training_only(
            *"""rescore thresh bias_match coord_scale object_scale noobject_scale class_scale
            mask_scale jitter resize random max focal_loss""".split()
        ),
        **dict.fromkeys(("log", "sqrt", "absolute"), _UNUSED),
    }
    meanings: ClassVar[Mapping[str, str]] = {
        "anchors": "width and height of each anchor, in cells of the map",
        "coords": "numbers of a box; always 4",
        "softmax": "1: the classes of a box exclude each other",
        "classfix": "-1: boxes whose objectness is below 0.5 are left out; 1 and 2 act in training",
        "background": "pjreddie's class for the background",
        "tree": "file of a class tree: a line for each class, its name and its parent's number, "
        "from 0, or -1",
        "map": "file that names classes of the tree, a number a line; counts where as many class "
        "names are given",
        "rescore": "1: an object's objectness is to be the overlap of its box",
        "thresh": "a box that overlaps an object more is not told to be background",
        "bias_match": "1: the best anchor for an object is found by the anchors' shapes",
        "coord_scale": "factor of the boxes' part of the loss",
        "object_scale": "factor of the objectness of objects",
        "noobject_scale": "factor of the objectness of background",
        "class_scale": "factor of the classes' part of the loss",
        "mask_scale": "factor of the part that coords beyond 4 have in the loss",
        "jitter": "a crop's margins are at most this share of the image",
        "resize": "images are enlarged or reduced by up to this factor",
        "random": "1: the input's size varies",
        "max": "objects of one image that count",
        "focal_loss": "1: classes learn by the focal loss",
        "log": _UNUSED,
        "sqrt": _UNUSED,
        "absolute": _UNUSED,
    }
    key_readers: ClassVar[Mapping[str, Reader]] = {
        **known_to("pjreddie", "background"),
        **known_to("AlexeyAB", "focal_loss", "resize"),
    }
    per_class_keys: ClassVar[tuple[str, ...]] = ("tree", "map")
    anchors_in_cells: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    span: Span
    common: CommonKeys
    classes: int
    anchors: Anchors  # in cells
    softmax: bool
    likely_only: bool  # boxes of an objectness below 1/2 are none
    tree: NamedFile[ClassTree] | None
    class_map: NamedFile[tuple[int, ...]] | None
    is_mapped: bool = False  # scores are those of the map's classes

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Region:
        classes = options.integer("classes", 20, minimum=1, maximum=MAX_CHANNELS)
        options.unsupported("background", "a class for the background")
        _require_four_coords(options)
        tree = parse_tree(options, classes)
        softmax = options.flag("softmax")
        if not softmax and tree is None:
            options.warning(
                Rule.RAW_SCORES,
                "softmax",
                "[region] without softmax: class scores take a sigmoid, as in pjreddie's Darknet; "
                "AlexeyAB's multiplies the numbers as they are with the objectness",
                help="set softmax=1 if a box has one class; confidences from AlexeyAB's differ",
            )
        class_map = parse_class_map(options, classes)
        if class_map is not None and tree is None:
            options.warning(Rule.NO_EFFECT, "map", "[region] map has no effect without a tree")
        return cls(
            span=options.span,
            common=common,
            classes=classes,
            anchors=parse_unmasked_anchors(options),
            softmax=softmax,
            likely_only=options.integer("classfix", 0, minimum=-(2**31)) == -1,
            tree=tree,
            class_map=class_map,
        )

    @property
    def num_classes(self) -> int:
        return len(self._mapped_nodes()) if self.is_mapped else self.classes

    def map_activation(self) -> str:
        return "linear"

    @property
    def nms_rule(self) -> NmsRule:
        return NmsRule()

    def naming(self, count: int) -> Region:
        nodes = self._mapped_nodes()
        fits = self.tree is not None and len(nodes) == count != self.classes
        return self if fits == self.is_mapped else replace(self, is_mapped=fits)

    def _mapped_nodes(self) -> tuple[int, ...]:
        return (self.class_map.content if self.class_map else None) or ()

    def map_channels(self, classes: int) -> tuple[int, ...]:
        return (len(self.anchors.mask) * (_COORDS + classes + 1),)

    def box_anchors(self) -> Anchors:
        return self.anchors

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        (wanted,) = self.map_channels(self.classes)
        found = inputs[0].channels
        if found is not None and found != wanted:
            count = len(self.anchors.mask)
            raise ShapeProblem(
                Rule.HEAD_FILTERS,
                self.span,
                f"[region] needs (coords + classes + 1) * num = ({_COORDS} + {self.classes} + 1) "
                f"* {count} = {wanted} channels, but {{0}} gives {found}",
                expected=f"filters={wanted} in the section at line {{0.line}}",
                help=f"set filters={wanted} there, or mend classes={self.classes} or num here",
            )
        return same_shape(inputs)

    def passes_input(self) -> bool:
        return True

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        if self.softmax or self.tree:
            return (Mixes(0, learned=False, groups=len(self.anchors.mask)),)
        return (Passes(0, output.channels),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.head_modules import RegionActivation

        return RegionActivation(len(self.anchors.mask), self.softmax, self.tree)

    def require_files(self) -> None:
        if self.tree is not None:
            self.tree.required()

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        cells, objectness = self._cells(maps[0])
        found = []
        for image in range(len(cells)):
            kept = (objectness[image] > threshold).nonzero().squeeze(1)
            chosen, own = cells[image, kept], objectness[image, kept]
            boxes = self._boxes(chosen, kept, maps[0].shape[2:])
            if self.tree is None or self.is_mapped:
                scores = own.unsqueeze(-1) * self._probabilities(chosen)
                found.append(Candidates(boxes, scores.where(scores > threshold, 0.0)))
            else:
                scores = self._probabilities(chosen)
                answers = self.tree.required().answers(scores)
                found.append(Candidates(boxes, scores.where(answers, 0.0), objectness=own))
        return found

    def decode_all(self, maps: Sequence[Tensor], input_size: tuple[int, int]) -> DenseCandidates:
        """With a tree, the answer's score is the objectness: what a threshold is compared with."""
        import torch

        cells, objectness = self._cells(maps[0])
        places = torch.arange(cells.shape[1], device=cells.device)
        boxes = self._boxes(cells, places, maps[0].shape[2:])
        scores = self._probabilities(cells)
        if self.tree is not None and not self.is_mapped:
            scores = self.tree.required().answers(scores).to(scores)
        return DenseCandidates(boxes, objectness.unsqueeze(-1) * scores)

    def _cells(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Entries (N, K, 5 + C) and objectness (N, K) of all places, in float32."""
        from yolo_gp.layers.anchor_cells import entries_by_place

        cells = entries_by_place(raw, len(self.anchors.mask))
        objectness = cells[..., _COORDS].sigmoid()
        if self.likely_only:
            objectness = objectness.where(objectness >= 0.5, 0.0)
        return cells, objectness

    def _probabilities(self, chosen: Tensor) -> Tensor:
        """Class probabilities (..., C), given an object, of entries (..., 5 + C)."""
        from yolo_gp.layers.head_modules import region_classes

        found = region_classes(chosen[..., _COORDS + 1 :], self.softmax, self.tree)
        if self.tree is None:
            return found
        absolute = self.tree.required().absolute(found)
        return absolute[..., list(self._mapped_nodes())] if self.is_mapped else absolute

    def _boxes(self, chosen: Tensor, places: Tensor, grid: Sequence[int]) -> Tensor:
        """Boxes (..., k, 4) relative to the input, of entries (..., k, 5 + C) of k places."""
        import torch

        from yolo_gp.layers.anchor_cells import anchors_of, cell_corners

        height, width = grid
        centres = cell_corners(places, len(self.anchors.mask), width) + chosen[..., 0:2].sigmoid()
        sizes = chosen[..., 2:4].exp() * anchors_of(places, self.anchors.masked_wh)
        boxes = torch.cat((centres, sizes), dim=-1)
        return boxes / boxes.new_tensor((width, height, width, height))

    def label(self) -> str:
        what = "classes in a tree" if self.tree else "classes"
        return f"{self.classes} {what}, {len(self.anchors.mask)} anchors"


def _require_four_coords(options: Options) -> None:
    coords = options.integer("coords", _COORDS)
    if coords != _COORDS and options.trusts("coords"):
        options.error(
            Rule.UNSUPPORTED,
            "coords",
            f"[region] coords={coords}: a box is made of {_COORDS} numbers",
            expected=f"coords={_COORDS}",
        )
