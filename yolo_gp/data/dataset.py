"""What an annotated data set answers, whatever its format. Loads no torch.

Boxes are left, top, right, bottom in pixels of the image; sizes are (height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yolo_gp.detections import Rle


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set, before anybody opened it.

    Fields:
        image_id: what results call it: COCO's image id, elsewhere the running number from 1, or
            the file's own number where every file name is one.
        path: the image file.
        size: (height, width) that the annotations state; None where they state none.
    """

    image_id: int
    path: Path
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """What stands in one image: T objects.

    Fields:
        boxes_xyxy: (T, 4) float64, in pixels of the upright image.
        class_ids: (T,) int64.
        ignored: (T,) bool; COCO's crowds and VOC's difficult objects: finding them is neither
            right nor wrong, missing them costs nothing.
        crowd: (T,) bool; those of `ignored` that stand for many objects, as COCO's iscrowd.
        areas: (T,) float64, in square pixels; of the mask where there is one, else of the box.
        masks: one for each object; None if the data set has none for this image.
    """

    boxes_xyxy: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    masks: tuple[Rle, ...] | None = None

    def __len__(self) -> int:
        return len(self.class_ids)


class Dataset(Protocol):
    """An annotated data set. Its images are read by others; it knows where they are.

    Fields:
        name: what messages call it: the path of its annotations or its folder.
        class_names: by class id.
        category_ids: what COCO results call each class; in COCO data the ids of its categories,
            elsewhere class id + 1.
        samples: in the order of the data.
    """

    name: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    samples: Sequence[Sample]

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        """The objects of sample `index`, whose upright image is (height, width) = `size`.

        Raises:
            DataError: the sample's annotations cannot be read.
        """
        ...
