"""Which errors cost most, and what went wrong in each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from yolo_gp.metrics.misses import Miss, MissKind, worst_misses
from yolo_gp.metrics.records import EvaluatedImage

ImageOf = Callable[..., EvaluatedImage]


def test_every_kind_of_wrong_detection_is_told_apart(image_of: ImageOf) -> None:
    objects = [
        (0, 0, 20, 20, 0),
        (30, 0, 50, 20, 1),
        (60, 0, 80, 20, 0),
    ]
    found = [
        (0, 0, 20, 20, 0.9, 0),  # right
        (0, 0, 20, 18, 0.8, 0),  # IoU .9 with the same object
        (30, 0, 50, 20, 0.7, 0),  # class 1 stands there
        (70, 0, 80, 10, 0.6, 0),  # 10 x 10 of 20 x 20: IoU .25
        (0, 40, 20, 60, 0.5, 0),  # nothing stands there
    ]
    images = [image_of(objects[:2], found[:3]), image_of(objects[2:], found[3:])]
    wrong = [miss for miss in worst_misses(images, count=10) if miss.kind != MissKind.MISSED]
    assert wrong == [
        Miss(MissKind.TWICE, 0, 1, 0, pytest.approx(0.9), pytest.approx(0.8)),
        Miss(MissKind.WRONG_CLASS, 0, 2, 1, pytest.approx(1), pytest.approx(0.7)),
        Miss(MissKind.LOOSE_BOX, 1, 0, 0, pytest.approx(0.25), pytest.approx(0.6)),
        Miss(MissKind.NOTHING_THERE, 1, 1, None, 0, pytest.approx(0.5)),
    ]


def test_a_missed_object_costs_more_the_larger_and_the_freer_it_is(image_of: ImageOf) -> None:
    # In 60 x 80 pixels: 40 x 30 are a quarter, side .5; half of it is covered by a smaller object
    # of 20 x 30 (side .354), which is free. 24 x 50, also a quarter, is free.
    covered = image_of([(0, 0, 40, 30, 0), (20, 0, 40, 30, 1)], [])
    free = image_of([(0, 0, 24, 50, 0)], [])
    misses = worst_misses([covered, free])
    assert [(miss.image, miss.wanted, round(miss.cost, 3)) for miss in misses] == [
        (1, 0, 0.5),
        (0, 1, 0.354),
        (0, 0, 0.25),
    ]
    assert {miss.kind for miss in misses} == {MissKind.MISSED}


def test_a_missed_object_names_the_best_detection_that_was_too_doubtful(
    image_of: ImageOf,
) -> None:
    found = [(0, 0, 20, 18, 0.2, 0), (0, 0, 20, 20, 0.1, 0), (0, 0, 20, 20, 0.15, 1)]
    (miss,) = worst_misses([image_of([(0, 0, 20, 20, 0)], found)])
    assert (miss.found, miss.wanted) == (0, 0)
    assert miss.overlap == pytest.approx(0.9)
    (without,) = worst_misses([image_of([(0, 0, 20, 20, 0)], found[2:])])
    assert without.found is None
    assert worst_misses([image_of([(0, 0, 20, 20, 0)], found)], confidence=0.15) == ()


def test_ignored_objects_are_neither_missed_nor_wrongly_found(image_of: ImageOf) -> None:
    objects = [(0, 0, 20, 20, 0, 1), (30, 0, 70, 40, 0, 1, 1), (0, 40, 20, 60, 0, 1)]
    found = [(0, 0, 20, 20, 0.9, 0), (40, 10, 50, 20, 0.8, 0)]
    assert worst_misses([image_of(objects, found)]) == ()


def test_a_detection_of_another_class_on_an_ignored_object_has_nothing_there(
    image_of: ImageOf,
) -> None:
    image = image_of([(0, 0, 20, 20, 0, 1)], [(0, 0, 20, 20, 0.9, 1)])
    (miss,) = worst_misses([image])
    assert (miss.kind, miss.wanted) == (MissKind.NOTHING_THERE, None)


def test_half_of_the_page_goes_to_each_sort_and_what_one_lacks_to_the_other(
    image_of: ImageOf,
) -> None:
    wrong = [image_of([], [(0, 0, 9, 9, 0.3 + i / 100, 0)], image_id=i) for i in range(8)]
    missed = [image_of([(0, 0, 9 + i, 9, 0)], [], image_id=i) for i in range(8)]
    both = worst_misses([*wrong, *missed], count=6)
    assert [miss.image for miss in both] == [7, 6, 5, 15, 14, 13]
    few_wrong = worst_misses([*wrong[:2], *missed], count=6)
    assert [miss.image for miss in few_wrong] == [1, 0, 9, 8, 7, 6]
    few_missed = worst_misses([*wrong, *missed[:1]], count=6)
    assert [miss.image for miss in few_missed] == [7, 6, 5, 4, 3, 8]


def test_one_image_gives_at_most_two_of_each_sort(image_of: ImageOf) -> None:
    objects = [(20 * i, 40, 20 * i + 10, 50, 0) for i in range(4)]
    found = [(20 * i, 0, 20 * i + 10, 10, 0.9, 0) for i in range(4)]
    misses = worst_misses([image_of(objects, found)])
    assert [miss.kind for miss in misses].count(MissKind.MISSED) == 2
    assert len(misses) == 4


def test_an_object_taken_for_another_class_is_not_told_twice(image_of: ImageOf) -> None:
    image = image_of([(0, 0, 20, 20, 0)], [(0, 0, 20, 20, 0.9, 1)])
    assert [miss.kind for miss in worst_misses([image])] == [MissKind.WRONG_CLASS]
