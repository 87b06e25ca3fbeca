"""What heads propose and what detection returns: plain records around tensors; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class NmsRule:
    """When a box suppresses another of its class: IoU - (d^2/c^2)^exponent > threshold.

    `kind` "iou" leaves the distance term out. d is the distance of the two centres, c the
    diagonal of the smallest box around both.  Source: darknet.md 3.4, Darknet src/box.c.
    """

    kind: Literal["iou", "diou"] = "iou"
    exponent: float = 0.6


@dataclass(frozen=True, slots=True)
class MaskRecipe:
    """What the instance masks of successive candidates are made of.

    M prototypes are maps of h x w cells that cover the network input. The mask of a candidate is
    where sigmoid(sum over m of coefficients[m] * prototypes[m]) exceeds 0.5 inside its box.

    Fields:
        first: the number of the first of those candidates.
        coefficients: (k, M) of k candidates.
        prototypes: (M, h, w).
    """

    first: int
    coefficients: Tensor
    prototypes: Tensor


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the heads propose for one image, before non-maximum suppression.

    K candidates in Darknet's order (heads in file order, cells row by row, anchors inside a
    cell); C classes.

    Fields:
        boxes_cxcywh_norm: (K, 4) float32; centre and size, relative to the network input.
        scores: (K, C) float32; confidence per class (objectness included), 0 where it does not
            exceed the threshold.
        mask_recipes: how to make their instance masks; empty if no head proposes masks.
        objectness: (K,) float32 that must exceed the threshold too, of heads whose scores leave
            it out; None if there are none.
    """

    boxes_cxcywh_norm: Tensor
    scores: Tensor
    mask_recipes: tuple[MaskRecipe, ...] = ()
    objectness: Tensor | None = None


@dataclass(frozen=True, slots=True)
class InstanceMask:
    """The pixels of an image that belong to one detection: a cut-out, false all around it.

    Fields:
        inside: (h, w) bool on the CPU; the pixels whose centres its box contains.
        top, left: the image's pixel where the cut-out begins.
    """

    inside: Tensor
    top: int
    left: int


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask as COCO writes it: run lengths down the columns, packed into text.

    Fields:
        size: (height, width) of the image.
        counts: decodes with pycocotools.
    """

    size: tuple[int, int]
    counts: str


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes found in one image, highest confidence first. D detections.

    A box whose several classes pass the threshold stands once per class, unless the preset keeps
    the best class only.

    Fields:
        boxes_xyxy: (D, 4) float32 on the CPU; left, top, right, bottom in pixels of the upright
            image. Darknet's boxes may reach beyond the image.
        confidences: (D,) float32 in 0..1; more where the numbers that [detection] reads are.
        class_ids: (D,) int64.
        image_size: (height, width) of the upright image in pixels.
        preset: name of the conventions that were in force.
        names: class names by id; empty if none are known.
        instance_masks: one per detection; None if the network has no head for masks.
    """

    boxes_xyxy: Tensor
    confidences: Tensor
    class_ids: Tensor
    image_size: tuple[int, int]
    names: tuple[str, ...] = ()
    instance_masks: tuple[InstanceMask, ...] | None = None
    preset: str = ""

    def __len__(self) -> int:
        return int(self.class_ids.shape[0])

    def name(self, class_id: int) -> str:
        """The name of a class, or its number where no names are given."""
        return self.names[class_id] if class_id < len(self.names) else str(class_id)

    @property
    def masks(self) -> Tensor | None:
        """The instance masks as (D, height, width) bool; None if the network has none.

        Made anew at every call, with D times the image's pixels in bytes: `instance_masks` holds
        the same in less.
        """
        if self.instance_masks is None:
            return None
        whole = self.class_ids.bool().new_zeros((len(self), *self.image_size))
        for image, mask in zip(whole, self.instance_masks, strict=True):
            height, width = mask.inside.shape
            image[mask.top : mask.top + height, mask.left : mask.left + width] = mask.inside
        return whole
