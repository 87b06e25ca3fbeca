"""Copy-paste: objects pasted a second time into their image, along their masks and mirrored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.augment_tiles import MASK_CELL, Boxes, TrainingImage

_MOST_COVERED = 0.3  # an object is not pasted where its box hides this much of another; YOLOv5's


def with_copies(
    image: TrainingImage, outlines: NDArray[np.bool_], share: float, rng: np.random.Generator
) -> TrainingImage:
    """Paste a share of the objects of an image once more, where they are in the mirror.

    What a pasted object hides leaves the masks of the others, not their boxes.

    Args:
        image: with masks.
        outlines: (T, h, w), the masks of its objects in its pixels.
        share: the probability of each.
    """
    if image.masks is None:
        return image
    reflection, width = image.pixels[:, :, ::-1], image.pixels.shape[2]
    pixels, masks = image.pixels.copy(), image.masks.copy()
    boxes, chosen = image.boxes_xyxy, []
    pasted: list[NDArray[np.bool_]] = []
    for number in (rng.random(len(outlines)) < share).nonzero()[0].tolist():
        left, top, right, bottom = image.boxes_xyxy[number]
        box = np.array([[width - right, top, width - left, bottom]])
        outline = outlines[number, :, ::-1]
        if not outline.any() or _covered(boxes, box).max() >= _MOST_COVERED:
            continue
        pixels[:, outline] = reflection[:, outline]
        cells = outline[MASK_CELL // 2 :: MASK_CELL, MASK_CELL // 2 :: MASK_CELL]
        masks &= ~cells
        pasted = [mask & ~cells for mask in pasted] + [cells]
        boxes = np.concatenate([boxes, box])
        chosen.append(number)
    ids = np.concatenate([image.class_ids, image.class_ids[chosen]])
    masks = np.concatenate([masks, *(mask[None] for mask in pasted)])
    return replace(image, pixels=pixels, boxes_xyxy=boxes, class_ids=ids, masks=masks)


def _covered(boxes: Boxes, by: Boxes) -> NDArray[np.float64]:
    """The share of each box (T, 4) that one box (1, 4) covers: (T,)."""
    shared = np.minimum(boxes[:, 2:], by[:, 2:]) - np.maximum(boxes[:, :2], by[:, :2])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    covered: NDArray[np.float64] = shared.clip(0).prod(axis=1) / np.maximum(area, 1)
    return covered
