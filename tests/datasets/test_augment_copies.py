"""Copy-paste, worked out by hand on an image of 16 x 16 pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.augment_copies import with_copies
from yolo_gp.data.augment_tiles import TrainingImage

Box = tuple[int, int, int, int]


def scene(*boxes: Box) -> tuple[TrainingImage, NDArray[np.bool_]]:
    """Objects that fill their boxes, the first of level 50, the next of 100 and so on."""
    pixels = np.zeros((3, 16, 16), np.uint8)
    outlines = np.zeros((len(boxes), 16, 16), np.bool_)
    for number, (left, top, right, bottom) in enumerate(boxes):
        outlines[number, top:bottom, left:right] = True
        pixels[:, top:bottom, left:right] = 50 * (number + 1)
    cells = outlines[:, 2::4, 2::4]
    ids = np.arange(len(boxes))
    return TrainingImage(pixels, np.array(boxes, np.float64), ids, cells, ("a",)), outlines


def pasted(*boxes: Box, share: float = 1.0) -> TrainingImage:
    return with_copies(*scene(*boxes), share, np.random.default_rng(0))


def test_an_object_appears_once_more_where_the_mirror_shows_it() -> None:
    image = pasted((0, 4, 4, 12))
    assert image.boxes_xyxy.tolist() == [[0, 4, 4, 12], [12, 4, 16, 12]]
    assert image.class_ids.tolist() == [0, 0]
    assert (image.pixels[:, 4:12, 12:] == 50).all()
    assert image.pixels.sum() == 2 * 3 * 32 * 50
    assert image.masks is not None
    assert image.masks[1].tolist() == image.masks[0, :, ::-1].tolist()


def test_nothing_is_pasted_over_most_of_another_object() -> None:
    # the mirror of 0..8 is 8..16: it would hide all of the second, and half of it is too much too
    assert len(pasted((0, 0, 8, 8), (8, 0, 16, 8)).class_ids) == 2
    assert len(pasted((0, 0, 8, 8), (4, 0, 12, 8)).class_ids) == 2


def test_what_a_copy_hides_leaves_the_other_s_mask() -> None:
    # the mirror of 0..4 is 12..16, a quarter of 0..16 below: rows 4..8 of columns 12..16
    image = pasted((0, 4, 4, 8), (0, 4, 16, 16), share=1.0)
    first_copy = image.class_ids.tolist().count(0) == 2
    assert first_copy
    assert image.masks is not None
    assert image.masks[1].tolist() == [
        [False, False, False, False],
        [True, True, True, False],
        [True, True, True, True],
        [True, True, True, True],
    ]


def test_the_share_is_the_probability_of_each_object() -> None:
    image, outlines = scene((0, 0, 4, 4))
    counts = [
        len(with_copies(image, outlines, 0.3, np.random.default_rng(seed)).class_ids) - 1
        for seed in range(300)
    ]
    assert 60 < sum(counts) < 120
