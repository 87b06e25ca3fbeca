"""What a batch of images holds, as losses read it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Targets:
    """The objects of a batch of images, T in all, in the order of the images.

    Fields:
        image: (T,) int64, which image of the batch each is in; ascending.
        class_ids: (T,) int64.
        boxes_cxcywh_norm: (T, 4) float32; centre and size relative to the network's input.
        masks: (T, h, w) bool, each over the whole network input at a quarter of its resolution;
            None where the data has boxes only.
    """

    image: Tensor
    class_ids: Tensor
    boxes_cxcywh_norm: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return int(self.class_ids.shape[0])

    def to(self, device: str) -> Targets:
        """The same on another device."""
        return Targets(
            self.image.to(device),
            self.class_ids.to(device),
            self.boxes_cxcywh_norm.to(device),
            None if self.masks is None else self.masks.to(device),
        )

    def of_classes(self, classes: int) -> Tensor:
        """The numbers (k,) of the objects whose class is one of 0 to `classes` - 1."""
        return ((self.class_ids >= 0) & (self.class_ids < classes)).nonzero().flatten()
