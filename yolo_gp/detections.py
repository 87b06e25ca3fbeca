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
class Candidates:
    """What the heads propose for one image, before non-maximum suppression.

    K candidates in Darknet's order (heads in file order, cells row by row, anchors inside a
    cell); C classes.

    Fields:
        boxes_cxcywh_norm: (K, 4) float32; centre and size, relative to the network input.
        scores: (K, C) float32; confidence per class (objectness included), 0 where it does not
            exceed the threshold.
    """

    boxes_cxcywh_norm: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes found in one image, highest confidence first. D detections.

    A box whose several classes pass the threshold stands once per class, unless the preset keeps
    the best class only.

    Fields:
        boxes_xyxy: (D, 4) float32 on the CPU; left, top, right, bottom in pixels of the upright
            image. Darknet's boxes may reach beyond the image.
        confidences: (D,) float32 in 0..1.
        class_ids: (D,) int64.
        image_size: (height, width) of the upright image in pixels.
        names: class names by id; empty if none are known.
    """

    boxes_xyxy: Tensor
    confidences: Tensor
    class_ids: Tensor
    image_size: tuple[int, int]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.class_ids.shape[0])

    def name(self, class_id: int) -> str:
        """The name of a class, or its number where no names are given."""
        return self.names[class_id] if class_id < len(self.names) else str(class_id)
