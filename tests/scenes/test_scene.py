"""A scene's picture against its objects, as pycocotools and the pixels themselves see them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from yolo_gp.data.annotations import ObjectAnnotation
from yolo_gp.scenes import layout, painting
from yolo_gp.scenes.painting import scene
from yolo_gp.scenes.recipe import FIRST_VAL, SizeBand

SIZE = (320, 320)
LARGE_SHARE = 0.4  # of the image: what a head at stride 32 is for


def decoded(found: ObjectAnnotation) -> NDArray[np.bool_]:
    assert found.rle is not None
    mask = coco.decode({"size": list(found.rle.size), "counts": found.rle.counts})
    return np.asarray(mask, bool)


def test_boxes_and_areas_are_those_of_the_masks_and_masks_share_no_pixel() -> None:
    for index in range(20):
        made = scene(0, index, (240, 360))
        taken = np.zeros((240, 360), int)
        for found in made.objects:
            assert found.rle is not None
            rle = {"size": list(found.rle.size), "counts": found.rle.counts}
            left, top, right, bottom = found.box_xyxy
            assert coco.toBbox(rle).tolist() == [left, top, right - left, bottom - top]
            assert coco.area(rle) == found.area
            taken += decoded(found)
        assert taken.max() <= 1


@pytest.fixture
def black_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes on black, without clutter, shadows, blur and noise; objects are red, green, blue."""
    paints = iter(np.tile(np.eye(3) * 255, (1000, 1)))
    monkeypatch.setattr(layout, "CLUTTER", (0, 0))
    monkeypatch.setattr(painting, "SHADOWS", 0)
    monkeypatch.setattr(painting, "SHARP", 1)
    monkeypatch.setattr(painting, "NOISES", (0, 0))
    monkeypatch.setattr(painting, "FILLS", {"plain": 1})
    monkeypatch.setattr(painting, "FILL_DEPTH", 0)
    monkeypatch.setattr(painting, "_background", lambda _, size: Image.new("RGB", size[::-1]))
    monkeypatch.setattr(painting, "_colour", lambda *_: (next(paints), 0.0))


@pytest.mark.usefixtures("black_studio")
@pytest.mark.parametrize("sides", [(0.05, 0.1), (0.5, 0.8)])
def test_the_mask_of_one_object_on_black_is_where_the_picture_is_not_black(
    monkeypatch: pytest.MonkeyPatch, sides: tuple[float, float]
) -> None:
    monkeypatch.setattr(layout, "BANDS", (SizeBand(sides, (0, 1)),))
    for index in range(12):
        made = scene(0, index, SIZE)
        (found,) = made.objects
        # a pixel that is half covered is half as bright
        assert np.array_equal(decoded(found), made.image.max(axis=2) >= 128)


@pytest.mark.usefixtures("black_studio")
def test_masks_of_objects_that_hide_each_other_follow_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layout, "BANDS", (SizeBand((0.4, 0.7), (0, 0, 0, 1)),))
    full = 0
    for index in range(20):
        made = scene(0, index, SIZE)
        colours = made.image.argmax(axis=2)
        lit = made.image.max(axis=2) == 255  # no edge
        owners = np.full(SIZE, -1)
        for found in made.objects:
            values, counts = np.unique(colours[decoded(found) & lit], return_counts=True)
            assert len(values) == 1
            owners[decoded(found)] = values[0]
            full += int(counts[0])
        assert np.array_equal(owners[lit], colours[lit])
        assert not (owners[made.image.max(axis=2) == 0] >= 0).any()
    assert full > 20 * 0.2 * 320 * 320  # the pictures are not empty


def test_a_scene_depends_on_its_seed_its_number_and_its_size_alone() -> None:
    first, again = scene(5, 3, SIZE), scene(5, 3, SIZE)
    assert np.array_equal(first.image, again.image)
    assert [found.rle for found in first.objects] == [found.rle for found in again.objects]
    assert first.jpeg_quality == again.jpeg_quality
    for seed, index in ((5, 4), (6, 3), (5, FIRST_VAL + 3)):
        assert not np.array_equal(scene(seed, index, SIZE).image, first.image)
    assert scene(5, 3, (64, 96)).image.shape == (64, 96, 3)


def test_half_of_the_objects_are_too_large_for_a_fine_head_and_none_too_small() -> None:
    shares = []
    for index in range(120):
        for found in scene(1, index, SIZE).objects:
            left, top, right, bottom = found.box_xyxy
            shares.append(max(right - left, bottom - top) / 320)
    assert 0.45 <= np.mean(np.greater(shares, LARGE_SHARE)) <= 0.6
    assert np.mean(np.less(shares, 45 / 320)) >= 0.2
    assert min(shares) >= 8 / 320


def test_an_object_can_be_told_from_what_surrounds_it() -> None:
    """Its pixels' mean colour differs from that of a frame around its box, nearly always."""
    distances = []
    for index in range(60):
        made = scene(2, index, SIZE)
        for found in made.objects:
            inside = decoded(found)
            left, top, right, bottom = map(int, found.box_xyxy)
            around = np.zeros(SIZE, bool)
            around[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = True
            around &= ~inside
            apart = made.image[inside].mean(axis=0) - made.image[around].mean(axis=0)
            distances.append(np.linalg.norm(apart))
    low, middle = np.quantile(distances, (0.05, 0.5))
    assert low > 10
    assert 40 < middle < 120  # neither hidden nor in signal colours
