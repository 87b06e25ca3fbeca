"""The modern sample pipeline, worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yolo_gp.data.augment_modern import augment_modern
from yolo_gp.data.augment_tiles import Labels, Picture, TrainingImage
from yolo_gp.data.augmentation import ModernAugmentation

from .augment_scenes import one_after_another

PLAIN = {
    "mosaic": 0,
    "mixup": 0,
    "hue": 0,
    "saturation": 0,
    "value": 0,
    "translate": 0,
    "scale": 0,
    "flip": 0,
}
Box = tuple[float, float, float, float]


def picture(size: tuple[int, int], level: int, *boxes: Box, first_class: int = 0) -> Picture:
    """One grey level, and objects of successive classes."""
    labels = Labels(np.array(boxes, np.float64).reshape(-1, 4), np.arange(len(boxes)) + first_class)
    pixels = np.full((*size, 3), level, np.uint8)
    return Picture(pixels, size, pixels[0, 0], labels, f"{level}.jpg")


def augmented(
    pictures: Sequence[Picture],
    size: tuple[int, int],
    seed: int = 0,
    *,
    closed: bool = False,
    **keys: float,
) -> TrainingImage:
    settings = ModernAugmentation(**{**PLAIN, **keys})
    rng = np.random.default_rng(seed)
    more = one_after_another(list(pictures))
    return augment_modern(pictures[0], more, settings, size, rng, closed=closed)


def test_a_single_picture_is_fitted_into_grey() -> None:
    # 100 rows and 200 columns into 100 x 100: half the size, 25 rows of grey above and below
    image = augmented([picture((100, 200), 250, (20, 10, 60, 30))], (100, 100))
    np.testing.assert_allclose(image.boxes_xyxy, [[10, 30, 30, 40]])
    assert (image.pixels[:, 25:75] == 250).all()
    assert (image.pixels[:, :25] == 114).all()
    assert (image.pixels[:, 75:] == 114).all()


def test_a_small_picture_is_enlarged_to_fit() -> None:
    image = augmented([picture((20, 40), 250, (10, 5, 20, 15))], (80, 80))
    np.testing.assert_allclose(image.boxes_xyxy, [[20, 30, 40, 50]])


def test_mirroring_moves_boxes_to_the_other_side() -> None:
    image = augmented([picture((100, 100), 9, (10, 20, 40, 50))], (100, 100), flip=1)
    np.testing.assert_allclose(image.boxes_xyxy, [[60, 20, 90, 50]])


def test_four_pictures_meet_in_one_point_of_the_middle_half_of_the_sheet() -> None:
    # unscaled, the middle half of the sheet is the whole of the canvas
    points = []
    for seed in range(80):
        pictures = [
            picture((100, 100), level, (0, 0, 100, 100), first_class=n)
            for n, level in enumerate((10, 60, 160, 210))
        ]
        image = augmented(pictures, (100, 100), seed, mosaic=1)
        levels = image.pixels[0]
        x = int(np.isin(levels[0], (10, 160)).sum())
        y = int(np.isin(levels[:, 0], (10, 60)).sum())
        assert (levels[:y, :x] == 10).all()
        assert (levels[:y, x:] == 60).all()
        assert (levels[y:, :x] == 160).all()
        assert (levels[y:, x:] == 210).all()
        quarters = {0: (0, 0, x, y), 1: (x, 0, 100, y), 2: (0, y, x, 100), 3: (x, y, 100, 100)}
        for box, number in zip(image.boxes_xyxy, image.class_ids.tolist(), strict=True):
            np.testing.assert_allclose(box, quarters[number])
        points.append((x, y))
    assert min(x for x, _ in points) < 10
    assert max(y for _, y in points) > 90


def test_an_object_is_kept_if_more_than_a_tenth_of_it_is_seen() -> None:
    # the reference in the middle tells how far the picture moved
    scene = picture((100, 100), 9, (45, 45, 55, 55), (80, 0, 100, 100))
    kept, dropped = 0, 0
    for seed in range(150):
        image = augmented([scene], (100, 100), seed, translate=0.3)
        boxes = dict(zip(image.class_ids.tolist(), image.boxes_xyxy, strict=True))
        dx, dy = boxes[0][0] - 45, boxes[0][1] - 45
        width, height = min(100, 100 + dx) - (80 + dx), 100 - abs(dy)
        worth = width * height > 0.1 * 2000 and width > 2
        assert (1 in boxes) == worth
        kept, dropped = kept + worth, dropped + (not worth)
    assert kept > 20
    assert dropped > 20


def test_specks_and_hairs_are_dropped() -> None:
    # halved: 4 pixels become 2, not more than 2; 6 become 3; a hair of 3 x 300 has ratio 100
    scene = picture((800, 800), 9, (10, 10, 14, 40), (50, 10, 56, 40), (90, 10, 96, 610))
    assert augmented([scene], (400, 400)).class_ids.tolist() == [1]


def test_scale_grows_and_shrinks_within_its_limits() -> None:
    scene = picture((100, 100), 9, (45, 45, 55, 55))
    found = [augmented([scene], (100, 100), s, scale=0.5).boxes_xyxy[0] for s in range(200)]
    scales = [(box[2] - box[0]) / 10 for box in found]
    assert 0.49 < min(scales) < 0.55
    assert 1.45 < max(scales) < 1.51


def test_mixup_weighs_two_mosaics_and_keeps_all_objects() -> None:
    ratios = []
    for seed in range(100):
        pictures = [picture((50, 50), 0, (0, 0, 50, 50))] * 4
        pictures += [picture((50, 50), 200, (0, 0, 50, 50))] * 4
        image = augmented(pictures, (50, 50), seed, mosaic=1, mixup=1, fill=0)
        assert len(image.sources) == 8
        assert len(image.class_ids) >= 2
        ratios.append(1 - image.pixels[0, 25, 25] / 200)
    # beta(32, 32) has mean .5 and standard deviation sqrt(1 / (4 * 65)) = .062
    assert abs(np.mean(ratios) - 0.5) < 0.025
    assert 0.045 < np.std(ratios) < 0.08


def test_the_last_epochs_have_no_mosaic() -> None:
    pictures = [picture((50, 50), 9, (0, 0, 50, 50))] * 8
    assert len(augmented(pictures, (50, 50), mosaic=1, mixup=1, closed=True).sources) == 1


def test_mosaic_and_flip_happen_as_often_as_asked() -> None:
    pictures = [picture((50, 50), 9, (0, 0, 20, 50))] * 4
    images = [augmented(pictures, (50, 50), s, mosaic=0.3, flip=0.5) for s in range(300)]
    mosaics = sum(len(image.sources) == 4 for image in images)
    assert 60 < mosaics < 120
    alone = [image for image in images if len(image.sources) == 1]
    mirrored = sum(image.boxes_xyxy[0][0] == 30 for image in alone)
    assert 0.4 < mirrored / len(alone) < 0.6


def test_value_varies_within_its_gain() -> None:
    levels = [
        augmented([picture((4, 4), 100)], (4, 4), s, value=0.4).pixels[0, 0, 0] for s in range(200)
    ]
    assert 60 <= min(levels) < 65
    assert 135 < max(levels) <= 140


def test_a_mosaic_ends_with_its_sheet() -> None:
    # The sheet has twice the side of the canvas, times the scale, around the middle. It cuts the
    # left or the right pictures, never both: so the wider of two objects is a whole one.
    pictures = [picture((100, 100), 250, (40, 40, 60, 60), first_class=n) for n in range(4)]
    cut = 0
    for seed in range(300):
        image = augmented(pictures, (100, 100), seed, mosaic=1, scale=0.9)
        widths = image.boxes_xyxy[:, 2] - image.boxes_xyxy[:, 0]
        if not {0, 1} <= set(image.class_ids.tolist()) or widths.max() > 8:
            continue
        half = 5 * widths.max()  # 100 times the scale, which is a twentieth of the width
        columns = np.flatnonzero((image.pixels[0] == 250).any(axis=0))
        assert columns[0] >= 50 - half - 4
        assert columns[-1] <= 50 + half + 4
        cut += bool(columns[0] < 50 - half + 4)
    assert cut > 5
