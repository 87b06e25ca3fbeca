"""What is painted where, checked pixel by pixel; how it looks was judged by eye."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from yolo_gp.detections import Detections
from yolo_gp.tasks.draw import _places, class_color, draw, text_color

Make = Callable[..., Detections]
GREY = 128


def canvas(height: int = 200, width: int = 300, channels: int = 3) -> NDArray[np.uint8]:
    return np.full((height, width, channels), GREY, np.uint8)


def is_color(picture: NDArray[np.uint8], class_id: int) -> NDArray[np.bool_]:
    return (picture == np.array(class_color(class_id), np.uint8)).all(axis=2)


def touched(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (picture != GREY).any(axis=2)


def ink(picture: NDArray[np.uint8]) -> int:
    """Pixels of white letters on the blue of class 0, which has hardly any red."""
    return int((picture[..., 0] > GREY).sum())


def test_without_detections_the_picture_is_untouched(detections: Make) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(draw(image, detections([])), image)


def test_the_given_image_is_not_changed(detections: Make) -> None:
    image = canvas()
    draw(image, detections([(10, 50, 90, 90, 0.9, 0)]))
    assert (image == GREY).all()


def test_the_outline_runs_along_the_box_and_leaves_its_inside_free(detections: Make) -> None:
    picture = draw(canvas(), detections([(50, 60, 150, 160, 0.9, 3)]))
    outline = is_color(picture, 3)
    assert outline[60, 50:150].all() and outline[159, 50:150].all()  # right and bottom exclusive
    assert outline[60:160, 50].all() and outline[60:160, 149].all()
    assert not touched(picture)[160:].any() and not touched(picture)[:, 150:].any()
    assert not touched(picture)[65:155, 55:145].any()


def test_line_and_letters_grow_with_the_image(detections: Make) -> None:
    def thickness_and_tag(scale: int) -> tuple[int, int]:
        box = (50 * scale, 60 * scale, 150 * scale, 160 * scale)
        picture = draw(canvas(200 * scale, 300 * scale), detections([(*box, 0.9, 3)]))
        column = is_color(picture, 3)[:, 148 * scale]  # right of the tag
        tag_rows = touched(picture)[: 60 * scale].any(axis=1).sum()
        return int(column[: 100 * scale].sum()), int(tag_rows)

    small, large = thickness_and_tag(1), thickness_and_tag(12)
    assert small[0] == 1 and large[0] >= 8
    assert large[1] > 3 * small[1]


def test_a_tag_with_readable_text_sits_on_the_box(detections: Make) -> None:
    picture = draw(canvas(), detections([(50, 60, 150, 160, 0.87, 0)], names=("dog",)))
    tag = touched(picture)[:60]
    rows, columns = tag.any(axis=1).nonzero()[0], tag.any(axis=0).nonzero()[0]
    assert (columns[0], rows[-1]) == (50, 59)
    region = picture[rows[0] : 60, columns[0] : columns[-1] + 1]
    assert is_color(region, 0).mean() > 0.4
    assert ink(region) > 20


def test_another_name_or_confidence_gives_another_label(detections: Make) -> None:
    def label(name: str, confidence: float) -> bytes:
        found = detections([(50, 60, 150, 160, confidence, 0)], names=(name,))
        return draw(canvas(), found)[:60].tobytes()

    assert len({label("dog", 0.87), label("dog", 0.88), label("cat", 0.87)}) == 3
    assert label("dog", 0.8701) == label("dog", 0.8699)  # two decimals


@pytest.mark.parametrize(
    "box",
    [(-50, -50, 60, 60), (250, -9, 400, 50), (290, 190, 900, 900), (0, 0, 300, 200), (5, 2, 9, 4)],
)
def test_a_tag_stays_inside_the_image(detections: Make, box: tuple[float, ...]) -> None:
    name = "stop sign"
    found = detections([(*box, 0.87, 0)], names=(name,))
    cornered = draw(canvas(), found)
    reference = draw(canvas(), detections([(100, 100, 110, 110, 0.87, 0)], names=(name,)))
    assert ink(cornered) == ink(reference) > 20


@pytest.mark.parametrize("box", [(0, 0, 300, 200), (0, 190, 9, 200), (290, 0, 300, 9)])
def test_every_place_for_a_tag_is_inside_the_image(box: tuple[int, int, int, int]) -> None:
    places = _places(box, (40, 13), (300, 200))
    assert len(places) == 8
    for left, top, right, bottom in places:
        assert min(left, top) >= 0 and right <= 300 and bottom <= 200
        assert (right - left, bottom - top) == (40, 13)


def test_a_box_beyond_the_image_is_drawn_up_to_its_edge(detections: Make) -> None:
    picture = draw(canvas(), detections([(100, 60, 1e9, float("inf"), 0.9, 3)]))
    outline = is_color(picture, 3)
    assert outline[60, 100:300].all()
    assert outline[60:200, 299].all()
    assert outline[199, 100:300].all()


@pytest.mark.parametrize(
    "box",
    [
        (-90, 10, -10, 50),
        (300, 10, 390, 50),
        (10, -90, 50, 0),
        (10, 200, 50, 290),
        (float("nan"), 10, 50, 50),
    ],
)
def test_a_box_wholly_outside_leaves_no_trace(detections: Make, box: tuple[float, ...]) -> None:
    assert (draw(canvas(), detections([(*box, 0.9, 3)])) == GREY).all()


def test_a_box_of_no_size_is_still_seen(detections: Make) -> None:
    picture = draw(canvas(), detections([(299.9, 199.9, 299.9, 199.9, 0.9, 3)]))
    assert is_color(picture, 3)[199, 299]


def test_the_most_confident_lies_on_top(detections: Make) -> None:
    box = (50, 60, 150, 160)
    picture = draw(canvas(), detections([(*box, 0.9, 3), (*box, 0.5, 4)]))
    assert is_color(picture, 3)[60:160, 149].all()


def test_labels_of_one_place_do_not_cover_each_other(detections: Make) -> None:
    box = (50, 60, 250, 160)
    rows = [(*box, 0.9, 0), (*box, 0.8, 1), (*box, 0.7, 2)]
    picture = draw(canvas(), detections(rows, names=("one", "two", "three")))
    alone = [draw(canvas(), detections([row], names=("one", "two", "three"))) for row in rows]
    for class_id, single in enumerate(alone):
        filled = is_color(single, class_id)[:60].sum()
        assert is_color(picture, class_id).sum() >= filled


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_alpha_pictures_become_rgb(detections: Make, channels: int) -> None:
    picture = draw(canvas(channels=channels), detections([(50, 60, 150, 160, 0.9, 3)]))
    assert picture.shape == (200, 300, 3)
    assert (picture[190, 290] == GREY).all()
    assert is_color(picture, 3)[60, 60]


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (2, 900), (900, 2), (6000, 4000)])
def test_any_size_of_picture_works(detections: Make, size: tuple[int, int]) -> None:
    height, width = size
    picture = draw(canvas(*size), detections([(0, 0, width, height, 0.9, 3)]))
    assert picture.shape == (*size, 3)
    assert is_color(picture, 3)[height - 1, width - 1]


def test_a_tiny_picture_is_not_covered_by_its_label(detections: Make) -> None:
    picture = draw(canvas(10, 10), detections([(1, 1, 9, 9, 0.9, 3)]))
    assert not touched(picture)[3:7, 3:7].any()


def test_a_flat_picture_is_not_covered_by_its_label(detections: Make) -> None:
    picture = draw(canvas(16, 900), detections([(100, 1, 800, 15, 0.9, 3)]))
    assert not touched(picture)[5:11, 110:790].any()


def test_the_inside_of_a_small_box_in_a_large_picture_stays_free(detections: Make) -> None:
    picture = draw(canvas(2400, 3600), detections([(1000, 1000, 1012, 1012, 0.9, 3)]))
    assert is_color(picture, 3)[1000:1003, 1006].all()
    assert not touched(picture)[1004:1008, 1004:1008].any()


def test_a_name_too_long_for_the_picture_leaves_the_confidence(detections: Make) -> None:
    box = (50, 60, 150, 160, 0.87, 0)
    long = draw(canvas(), detections([box], names=("very " * 100,)))
    other = draw(canvas(), detections([box], names=("long " * 100,)))
    assert np.array_equal(long, other)
    assert touched(long)[:60].any()


@pytest.mark.parametrize("name", ["汽车", "машина", "سيارة", "a\nb\0", "\ud800", "👍🏽"])
def test_a_name_the_font_cannot_write_is_replaced_by_the_number(
    detections: Make, name: str
) -> None:
    box = (50, 60, 150, 160, 0.87, 0)
    assert np.array_equal(
        draw(canvas(), detections([box], names=(name,))),
        draw(canvas(), detections([box], names=("0",))),
    )


def test_accents_are_left_out_where_the_font_has_none(detections: Make) -> None:
    box = (50, 60, 150, 160, 0.87, 0)
    assert np.array_equal(
        draw(canvas(), detections([box], names=("café",))),
        draw(canvas(), detections([box], names=("cafe",))),
    )


def test_twenty_classes_have_well_different_colours() -> None:
    colors = [np.array(class_color(i), float) for i in range(20)]
    assert min(np.abs(a - b).max() for a, b in combinations(colors, 2)) > 25
    hues = [colorsys.rgb_to_hsv(*(color / 255))[0] for color in colors]
    for hue, following in pairwise(hues):
        assert 0.3 < abs(hue - following) % 1 < 0.7  # neighbours: a golden angle, .382 of a turn


def test_a_class_keeps_its_colour_whatever_its_number() -> None:
    assert class_color(0) == (13, 110, 255)  # hue .6, saturation .95, value 1
    assert all(0 <= c <= 255 for i in (79, 9417, 10**6) for c in class_color(i))


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ((255, 255, 0), (0, 0, 0)),  # luma 226
        ((0, 255, 0), (0, 0, 0)),  # 150
        ((255, 0, 0), (255, 255, 255)),  # 76
        ((13, 110, 255), (255, 255, 255)),  # 98
        ((20, 20, 20), (255, 255, 255)),
    ],
)
def test_text_is_black_on_light_and_white_on_dark(
    background: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    assert text_color(background) == expected
