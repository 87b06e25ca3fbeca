"""[anchor_free]: one box per cell, each side a distribution over distances (YOLO-ELAN-AF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from yolo_gp.detections import Candidates, NmsRule
from yolo_gp.errors import Span
from yolo_gp.layers.answers import DenseCandidates
from yolo_gp.layers.base import Head
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.mask_keys import MaskKeys, parse_mask_keys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.nms_keys import parse_nms
from yolo_gp.layers.shape_problems import ShapeProblem, check_equal_sizes
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import Tensor, nn

_SIDES = 4  # left, top, right, bottom


class _Branch(NamedTuple):
    """What one of the head's branches must hold: its name, channels, and where they come from."""

    name: str
    channels: int
    formula: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorFree(Head):
    """[anchor_free]: C scores and the distances of four sides, B bins each, for every cell.

    `from` names branches of equal height and width, in this order: boxes (4 B, H, W), classes
    (C, H, W) and, with `masks`, coefficients (M, H, W). Other keys: `classes`, `bins` (B, 16),
    `masks` and `prototypes`, `nms_kind` and `beta_nms` as in [yolo].

    Channel s B + b of the boxes is the logit of bin b of side s: left, top, right, bottom. The
    side lies sum_b b softmax_b cells from the cell's centre, (column + 0.5, row + 0.5); a cell is
    input size / map size pixels. A score is sigmoid(class); there is no objectness. A layer that
    reads the head gets (4 + C + M, H, W): distances in cells, scores, coefficients.

    Source: WongKinYiu/yolov9 models/yolo.py, classes Detect and Segment; zoo.md B.2.
    Stores no weights.
    """

    kind: ClassVar[str] = "anchor_free"
    ours: ClassVar[bool] = True
    meanings: ClassVar[Mapping[str, str]] = {
        "from": "the branches: boxes with 4 `bins` channels, classes with `classes` and, with "
        "`masks`, coefficients",
        "bins": "distances that each side is a distribution over, in cells",
    }
    reader: ClassVar[Reader] = "yolo-gp"

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]  # the branches
    classes: int
    bins: int  # distances 0, 1 ... bins - 1, in cells
    masks: MaskKeys
    nms: NmsRule

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> AnchorFree:
        masks = parse_mask_keys(options)
        return cls(
            span=options.span,
            common=common,
            layers=_parse_branches(options, masks),
            classes=options.required_integer("classes", minimum=1, maximum=MAX_CHANNELS),
            bins=options.integer("bins", 16, minimum=2, maximum=MAX_CHANNELS // _SIDES),
            masks=masks,
            nms=parse_nms(options),
        )

    @property
    def num_classes(self) -> int:
        return self.classes

    @property
    def nms_rule(self) -> NmsRule:
        return self.nms

    def map_channels(self, classes: int) -> tuple[int, ...]:
        branches = (_SIDES * self.bins, classes, self.masks.count)[: len(self.layers)]
        return (*branches, *(self.masks.count,) * len(self.masks.sources))

    def sources(self) -> tuple[Reference, ...]:
        return (*self.layers, *self.masks.sources)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        for position, branch in enumerate(self._branches()):
            self._check_channels(position, branch, inputs[position])
            check_equal_sizes(
                inputs,
                position,
                self.layers[position].span,
                "[anchor_free] reads branches of different size",
                "branches of equal height and width",
            )
        self.masks.check_prototypes(self.kind, inputs)
        channels = _SIDES + self.classes + self.masks.count
        return PartialShape(channels, inputs[0].height, inputs[0].width)

    def _branches(self) -> tuple[_Branch, ...]:
        bins, classes, masks = self.bins, self.classes, self.masks.count
        box = _Branch("box", _SIDES * bins, f"4 * bins = 4 * {bins} = {4 * bins}", f"bins={bins}")
        rest = (
            _Branch("class", classes, f"classes = {classes}", f"classes={classes}"),
            _Branch("mask", masks, f"masks = {masks}", f"masks={masks}"),
        )
        return (box, *rest)[: len(self.layers)]

    def _check_channels(self, position: int, branch: _Branch, source: PartialShape) -> None:
        if source.channels in (None, branch.channels):
            return
        raise ShapeProblem(
            Rule.HEAD_FILTERS,
            self.layers[position].span,
            f"[anchor_free] needs {branch.formula} channels in its {branch.name} branch, but "
            f"{{{position}}} gives {source.channels}",
            expected=f"filters={branch.channels} in the section at line {{{position}.line}}",
            help=f"set filters={branch.channels} there, or mend {branch.key} here; from lists the "
            "box, the class and the mask branch, in this order",
        )

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        sides = Mixes(0, learned=False, groups=_SIDES, outputs=_SIDES)
        classes = Passes(1, self.classes, target=_SIDES)
        masks = Passes(2, self.masks.count, target=_SIDES + self.classes)
        return (sides, classes, masks)[: len(self.layers)]

    def passes_input(self) -> bool:
        return True  # the network makes no map of it unless another layer reads it

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import AnchorFreeActivation

        return AnchorFreeActivation(self.bins, branches=len(self.layers))

    def decode(
        self, maps: Sequence[Tensor], input_size: tuple[int, int], threshold: float
    ) -> list[Candidates]:
        # `input_size` cancels out: distances count cells, and boxes are relative to the input.
        box, scores, *coefficients = self._cells(maps)
        found = []
        for image in range(len(box)):
            kept = (scores[image] > threshold).any(1).nonzero().squeeze(1)
            boxes = self._boxes(box[image, kept], kept, maps[0].shape[2:])
            passed = scores[image, kept]
            passed = passed.where(passed > threshold, 0.0)
            own = coefficients[0][image, kept] if coefficients else None
            recipes = self.masks.recipes(own, maps, image)
            found.append(Candidates(boxes, passed, recipes))
        return found

    def decode_all(self, maps: Sequence[Tensor], input_size: tuple[int, int]) -> DenseCandidates:
        import torch

        box, scores, *coefficients = self._cells(maps)
        cells = torch.arange(box.shape[1], device=box.device)
        boxes = self._boxes(box, cells, maps[0].shape[2:])
        return DenseCandidates(boxes, scores, coefficients[0] if coefficients else None)

    def _cells(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The branches as (N, H W, channels), cells row by row: boxes, scores, coefficients."""
        box, classes, *coefficients = (_cells(branch) for branch in maps[: len(self.layers)])
        return [box, classes.sigmoid(), *coefficients]

    def _boxes(self, logits: Tensor, cells: Tensor, grid: Sequence[int]) -> Tensor:
        """Boxes (..., k, 4) relative to the input, of (..., k, 4 B) logits of cells (k,)."""
        import torch

        from yolo_gp.layers.modules import expected_bin

        height, width = grid
        sides = logits.reshape(*logits.shape[:-1], _SIDES, self.bins)
        distances = expected_bin(sides, dim=-1)
        before, after = distances[..., :2], distances[..., 2:]
        centres = torch.stack((cells % width, cells // width), dim=1) + 0.5
        boxes = torch.cat((centres + (after - before) / 2, before + after), dim=-1)
        return boxes / boxes.new_tensor((width, height, width, height))

    def label(self) -> str:
        return f"{self.classes} classes, {self.bins} bins{self.masks.label}"


def _cells(branch: Tensor) -> Tensor:
    """A map (N, C, H, W) as (N, H W, C) in float32, cells row by row."""
    return branch.float().permute(0, 2, 3, 1).flatten(1, 2)


def _parse_branches(options: Options, masks: MaskKeys) -> tuple[Reference, ...]:
    layers = options.references("from")
    names = ("box", "class", "mask")[: 3 if masks.count else 2]
    if len(layers) != len(names) and not options.failed:
        options.error(
            Rule.HEAD_BRANCHES,
            "from",
            f"[anchor_free] from names {len(layers)} layers, but with masks={masks.count} it "
            f"reads {len(names)}",
            expected="from=" + ",".join(f"<{name} branch>" for name in names),
        )
    return layers
