"""The gains of the modern loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolo_gp.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernLossSettings:
    """What each part of the loss of [yolo] heads counts; the defaults are YOLOR's.

    The gains hold for three heads, 80 classes and an input of 640 x 640 pixels. For another network
    each is multiplied by 3 / heads, as each part is a sum over heads; `objectness` by the input's
    area over 640 x 640, `classes` by classes / 80. Heads of [anchor_free] have gains of their own.

    Fields:
        box: of 1 - CIoU, and of masks.
        objectness, classes: of their binary cross-entropies.

    Raises:
        UsageError: a gain is negative or not finite.

    Source: WongKinYiu/yolor data/hyp.scratch.640.yaml.
    """

    box: float = 0.05
    objectness: float = 1.0
    classes: float = 0.5

    def __post_init__(self) -> None:
        gains = (("box", self.box), ("objectness", self.objectness), ("class", self.classes))
        for name, gain in gains:
            if not (math.isfinite(gain) and gain >= 0):
                raise UsageError(
                    f"the {name} loss cannot count {gain} times\nexpected: a finite number, 0 or "
                    "more"
                )
