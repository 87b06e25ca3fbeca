"""What evaluation compares: the detections of one image, as plain arrays. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.detections import Rle


@dataclass(frozen=True, slots=True, eq=False)
class ImageDetections:
    """What was found in one image: D detections, highest confidence first.

    Fields:
        image_id: as the data set's `Sample` says.
        boxes_xyxy: (D, 4) float32, in pixels of the upright image.
        confidences: (D,) float32.
        class_ids: (D,) int64.
        masks: one for each detection; None if the network proposes none.
    """

    image_id: int
    boxes_xyxy: NDArray[np.float32]
    confidences: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: tuple[Rle, ...] | None = None

    def __len__(self) -> int:
        return len(self.class_ids)


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedImage:
    """What stands in an image beside what was found there.

    Fields:
        size: (height, width) of the upright image in pixels.
    """

    size: tuple[int, int]
    truth: GroundTruth
    found: ImageDetections
