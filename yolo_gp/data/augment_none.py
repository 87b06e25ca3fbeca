"""Training images that show their picture as it is."""

from __future__ import annotations

import numpy as np

from yolo_gp.data.augment_tiles import Axis, Picture, Tile, TrainingImage, Window, clipped, resize


def unaugmented(picture: Picture, size: tuple[int, int]) -> TrainingImage:
    """The picture stretched to `size`, with all of its objects that have an extent in there."""
    window = Window.whole(size)
    scale_y, scale_x = size[0] / picture.size[0], size[1] / picture.size[1]
    tile = Tile(picture, Axis(scale_x, 0.0), Axis(scale_y, 0.0), window)
    boxes = clipped(tile.boxes(), window)
    kept = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    labels = picture.labels
    pixels = resize(picture.pixels, size, smooth=False).transpose(2, 0, 1)
    return TrainingImage(
        np.ascontiguousarray(pixels),
        boxes[kept],
        labels.class_ids[kept],
        None if labels.masks is None else tile.masks(kept, size),
        (picture.name,),
    )
