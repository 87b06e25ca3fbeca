"""Darknet's sample pipeline, worked out by hand and against OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.data.augment_darknet import augment_darknet
from yolo_gp.data.augment_darknet_crop import CORNERS, Corner, Margins, draw_variant
from yolo_gp.data.augment_tiles import Labels, Picture, TrainingImage, mean_color
from yolo_gp.data.augmentation import DarknetAugmentation

from .augment_scenes import extent, one_after_another

PLAIN = {"jitter": 0.0, "flip": False}
Box = tuple[float, float, float, float]


def picture(
    pixels: NDArray[np.uint8], *boxes: Box, class_ids: Sequence[int] | None = None
) -> Picture:
    ids = np.array(range(len(boxes)) if class_ids is None else class_ids, np.int64)
    labels = Labels(np.array(boxes, np.float64).reshape(-1, 4), ids)
    return Picture(pixels, pixels.shape[:2], mean_color(pixels), labels, "a.jpg")


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def plain(height: int, width: int, *color: int) -> NDArray[np.uint8]:
    return np.full((height, width, len(color)), color, np.uint8)


def augmented(
    pictures: Sequence[Picture], size: tuple[int, int], seed: int = 0, **keys: float
) -> TrainingImage:
    settings = DarknetAugmentation(**{**PLAIN, **keys})
    rng = np.random.default_rng(seed)
    return augment_darknet(pictures[0], one_after_another(list(pictures)), settings, size, rng)


def test_a_picture_is_resized_as_by_opencv() -> None:
    pixels = noise(48, 64)
    found = augmented([picture(pixels)], (32, 40)).pixels
    expected = cv2.resize(pixels, (40, 32)).transpose(2, 0, 1)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_boxes_follow_the_stretched_picture() -> None:
    # 640 x 480 to 320 x 320: widths halve, heights take two thirds
    found = augmented([picture(plain(480, 640, 9, 9, 9), (64, 48, 192, 144))], (320, 320))
    np.testing.assert_allclose(found.boxes_xyxy, [[32, 32, 96, 96]])


def test_every_second_picture_is_mirrored_with_its_boxes() -> None:
    pixels = noise(20, 20)
    straight = (2.0, 3.0, 8.0, 9.0)
    mirror = (12.0, 3.0, 18.0, 9.0)  # 20 - 8 and 20 - 2
    mirrored = 0
    for seed in range(200):
        found = augmented([picture(pixels, straight)], (20, 20), seed, flip=True)
        is_mirrored = tuple(found.boxes_xyxy[0]) == mirror
        assert is_mirrored or tuple(found.boxes_xyxy[0]) == straight
        expected = pixels[:, ::-1] if is_mirrored else pixels
        np.testing.assert_array_equal(found.pixels, expected.transpose(2, 0, 1))
        mirrored += is_mirrored
    assert 70 < mirrored < 130


def test_letter_box_pads_the_shorter_side_with_the_mean_color() -> None:
    # 100 rows and 200 columns for a square: 50 rows on top and below, then all halved
    pixels = plain(100, 200, 30, 60, 90)
    pixels[:, :100] = (50, 80, 110)
    found = augmented([picture(pixels, (20, 10, 60, 30))], (100, 100), letter_box=True)
    np.testing.assert_allclose(found.boxes_xyxy, [[10, 30, 30, 40]])
    for rows in (slice(0, 24), slice(76, 100)):
        assert (found.pixels[:, rows] == np.array([40, 70, 100])[:, None, None]).all()
    assert (found.pixels[:, 26:74, :49] == np.array([50, 80, 110])[:, None, None]).all()


@pytest.mark.parametrize(
    ("keys", "smallest", "largest"),
    [
        # both margins between -100 and +50 of 200 pixels: the crop has 400 to 100
        ({"resize": 2.0}, 0.5, 2.0),
        # both between -100 and 0: Darknet only shrinks
        ({"resize": 0.5}, 0.5, 1.0),
        # both between -40 and 40: the crop has 280 to 120
        ({"jitter": 0.2}, 200 / 280, 200 / 120),
    ],
)
def test_the_crop_stays_within_its_limits_and_comes_near_them(
    keys: dict[str, float], smallest: float, largest: float
) -> None:
    small_object = picture(plain(200, 200, 0, 0, 0), (98, 98, 102, 102))
    widths = []
    for seed in range(400):
        left, _, right, _ = augmented([small_object], (200, 200), seed, **keys).boxes_xyxy[0]
        widths.append((right - left) / 4)
    assert smallest - 0.01 <= min(widths) < smallest + 0.15
    assert largest - 0.35 < max(widths) <= largest + 0.03


def test_boxes_less_than_a_pixel_wide_are_dropped() -> None:
    # 100 pixels to 16: of 5 remain .8, of 7 remain 1.12
    boxes = [(10, 10, 15, 40), (50, 10, 57, 40), (10, 60, 40, 65)]
    found = augmented([picture(plain(100, 100, 0, 0, 0), *boxes)], (16, 16))
    assert found.class_ids.tolist() == [1]


def test_no_more_than_max_boxes_are_kept_and_not_always_the_same() -> None:
    boxes = [(10 * n, 10, 10 * n + 8, 30) for n in range(8)]
    crowded = picture(plain(100, 100, 0, 0, 0), *boxes)
    found = [augmented([crowded], (100, 100), seed, max_boxes=3) for seed in range(20)]
    assert all(len(image.class_ids) == 3 for image in found)
    assert {n for image in found for n in image.class_ids.tolist()} == set(range(8))
    for image in found:  # each box still has its own class
        np.testing.assert_array_equal(image.boxes_xyxy[:, 0], 10 * image.class_ids)


def colored(box: Box) -> list[Picture]:
    """Four 100 x 100 pictures, each of one color, with the same box and its own class."""
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    return [picture(plain(100, 100, *color), box, class_ids=[n]) for n, color in enumerate(colors)]


def test_a_mosaic_shows_the_inner_corners_of_four_pictures() -> None:
    for image in [augmented(colored((40, 40, 60, 60)), (100, 100), s, mosaic=1) for s in range(60)]:
        if len(image.sources) == 1:
            continue
        cut_x = int((image.pixels[0, 0] == 200).sum())
        cut_y = int((image.pixels[0, :, 0] == 200).sum())
        assert 20 <= cut_x <= 80
        assert 20 <= cut_y <= 80
        assert (image.pixels[:, :cut_y, cut_x:] == np.array([[[0]], [[200]], [[0]]])).all()
        assert (image.pixels[:, cut_y:, :cut_x] == np.array([[[0]], [[0]], [[200]]])).all()
        assert (image.pixels[:, cut_y:, cut_x:] == np.array([[[200]], [[200]], [[0]]])).all()
        # the left ones show their last cut_x columns, so their boxes move left by 100 - cut_x;
        # the right ones show their first 100 - cut_x, and move right by cut_x
        for box, corner in zip(image.boxes_xyxy, image.class_ids.tolist(), strict=True):
            dx = cut_x if corner % 2 else cut_x - 100
            dy = cut_y if corner >= 2 else cut_y - 100
            moved = np.array([40 + dx, 40 + dy, 60 + dx, 60 + dy])
            np.testing.assert_allclose(box, moved.clip(0, 100))
        visible = {
            corner
            for corner in range(4)
            if _seen(cut_x, corner % 2 == 1) and _seen(cut_y, corner >= 2)
        }
        assert set(image.class_ids.tolist()) == visible


def _seen(cut: int, second: bool) -> bool:
    """Whether more than a pixel of 40..60 is seen, moved by `cut`, or by `cut` - 100."""
    return 100 - (40 + cut) > 1 if second else (60 + cut - 100) > 1


def test_every_second_image_is_a_mosaic() -> None:
    pictures = colored((0, 0, 100, 100))
    counts = [len(augmented(pictures, (20, 20), s, mosaic=1).sources) for s in range(200)]
    assert set(counts) == {1, 4}
    assert 70 < counts.count(4) < 130


def test_only_mosaic_bound_ends_boxes_at_the_cut() -> None:
    # Darknet moves a quarter past the border that its crop added by the border's share of the
    # picture, which is more than its share of the crop: so it hides a strip of the picture.
    pictures = colored((0, 0, 100, 100))
    crossing = {False: 0, True: 0}
    for bound in crossing:
        for seed in range(60):
            keys = {"mosaic": 1, "resize": 0.5, "mosaic_bound": bound}
            image = augmented(pictures, (100, 100), seed, **keys)
            if len(image.sources) == 1:
                continue
            boxes = dict(zip(image.class_ids.tolist(), image.boxes_xyxy, strict=True))
            if 0 in boxes and 1 in boxes:
                crossing[bound] += bool(boxes[0][2] > boxes[1][0])
    assert crossing[False] > 5
    assert crossing[True] == 0


def test_mixup_is_the_mean_of_two_with_the_objects_of_both() -> None:
    one = picture(plain(50, 50, 100, 0, 10), (0, 0, 10, 10), class_ids=[3])
    other = picture(plain(50, 50, 50, 200, 20), (20, 20, 40, 40), class_ids=[5])
    mixed = 0
    for seed in range(100):
        image = augmented([one, other], (50, 50), seed, mixup=1)
        if len(image.sources) == 2:
            mixed += 1
            assert image.class_ids.tolist() == [3, 5]
            assert image.pixels[:, 5, 5].tolist() == [75, 100, 15]
            cut = augmented([one, other], (50, 50), seed, mixup=1, max_boxes=1)
            assert cut.class_ids.tolist() == [3]
    assert 30 < mixed < 70


def test_colors_vary_within_the_factors_of_the_keys() -> None:
    # value of (120, 60, 60) is 120: between 120 / 1.5 and 120 * 1.5; its saturation 127.5 too
    values, saturations = [], []
    for seed in range(200):
        image = augmented(
            [picture(plain(4, 4, 120, 60, 60))], (4, 4), seed, exposure=1.5, saturation=1.2
        )
        red, green, blue = image.pixels[:, 0, 0].astype(int)
        assert green == blue
        values.append(red / 120)
        saturations.append((red - green) / red / 0.5)
    assert 1 / 1.52 < min(values) < 0.72 < 1.4 < max(values) < 1.52
    assert 1 / 1.23 < min(saturations) < 0.86 < 1.16 < max(saturations) < 1.23


def test_grey_pictures_vary_in_exposure_and_alpha_stays() -> None:
    grey = picture(plain(4, 4, 100))
    found = {int(augmented([grey], (4, 4), s, exposure=2).pixels[0, 0, 0]) for s in range(50)}
    assert min(found) >= 50
    assert max(found) <= 200
    assert len(found) > 20
    with_alpha = augmented([picture(plain(4, 4, 200, 100, 50, 77))], (4, 4), hue=0.3, exposure=2)
    assert (with_alpha.pixels[3] == 77).all()
    assert with_alpha.pixels[:3, 0, 0].tolist() != [200, 100, 50]


def sharpness(image: NDArray[np.uint8]) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=2)).mean())


@pytest.mark.parametrize(
    ("blur", "kinds"), [(1, {"sharp", "background"}), (9, {"sharp", "background", "whole"})]
)
def test_blur_takes_nothing_the_background_or_all(blur: int, kinds: set[str]) -> None:
    pixels = noise(80, 80)
    found = []
    for seed in range(60):
        image = augmented([picture(pixels, (0, 0, 80, 40))], (80, 80), seed, blur=blur)
        inside, outside = sharpness(image.pixels[:, :40]), sharpness(image.pixels[:, 42:])
        found.append("whole" if inside < 40 else "background" if outside < 40 else "sharp")
    assert set(found) == kinds
    assert 10 <= found.count("sharp") <= 30  # a third


def test_blur_spares_small_objects() -> None:
    # 12 pixels / 8 = 1.5: a kernel of 1 changes nothing
    pixels = noise(80, 80)
    for seed in range(30):
        image = augmented([picture(pixels, (0, 0, 12, 80))], (80, 80), seed, blur=9)
        np.testing.assert_array_equal(image.pixels[:, :, :12], pixels[:, :12].transpose(2, 0, 1))


def test_every_second_image_is_noisy() -> None:
    black = picture(plain(20, 20, 0, 0, 0))
    noisy = [augmented([black], (20, 20), s, gaussian_noise=30).pixels.any() for s in range(200)]
    assert 70 < sum(noisy) < 130


def test_a_crop_that_would_be_empty_is_the_whole_picture() -> None:
    pixels = noise(20, 20)
    whole = 0
    for seed in range(60):
        image = augmented([picture(pixels, (0, 0, 20, 20))], (20, 20), seed, jitter=1)
        whole += np.array_equal(image.pixels, pixels.transpose(2, 0, 1))
        assert image.pixels.shape == (3, 20, 20)
    assert whole > 5  # margins of up to the picture's side on both ends: a quarter is empty


def test_a_crop_moves_to_a_corner_without_changing_its_size() -> None:
    margins = Margins(left=10, top=-20, right=30, bottom=5)
    assert margins.toward(Corner(right=False, bottom=False)) == (0, 0, 40, -15)
    assert margins.toward(Corner(right=True, bottom=True)) == (40, -15, 0, 0)


@pytest.mark.parametrize("corner", CORNERS)
def test_half_the_crops_of_a_mosaic_begin_at_the_corner_that_will_be_outside(
    corner: Corner,
) -> None:
    settings = DarknetAugmentation(jitter=0.3)
    moved = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        variant = draw_variant(picture(noise(60, 60)), settings, (60, 60), rng, corner)
        # a mirrored picture shows its right side on the left
        right = corner.right != variant.flip
        across = variant.margins.right if right else variant.margins.left
        down = variant.margins.bottom if corner.bottom else variant.margins.top
        moved += across == 0 and down == 0
    assert 35 < moved < 65


@pytest.mark.parametrize("flip", [False, True])
def test_a_mosaic_shows_no_border_at_its_cut(flip: bool) -> None:
    # the crop adds up to 5 of 100 pixels, fewer than the 20 a quarter has at least
    black = np.zeros(3, np.uint8)
    pictures = [replace(each, mean_color=black) for each in colored((0, 0, 100, 100))]
    colors = [each.pixels[0, 0] for each in pictures]
    for seed in range(60):
        keys = {"mosaic": 1, "resize": 0.9, "flip": flip}
        image = augmented(pictures, (100, 100), seed, **keys)
        if len(image.sources) == 4:
            ends = [extent((image.pixels == color[:, None, None]).all(axis=0)) for color in colors]
            assert ends[0][2] == ends[1][0] == ends[2][2] == ends[3][0]
            assert ends[0][3] == ends[1][3] == ends[2][1] == ends[3][1]
