"""Shares of right classes, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from yolo_gp.metrics.top_k import (
    NEVER,
    NOTHING,
    Confusion,
    TopK,
    confusion_table,
    evaluate_top_k,
    most_frequent_errors,
)


def evaluated(rows: list[tuple[int, int, int]], classes: int = 8) -> TopK:
    """From rows of (class of the image, class said, rank of the right one)."""
    shown, said, ranks = np.array(rows, np.int64).reshape(-1, 3).T
    return evaluate_top_k(shown, said, ranks, classes)


# Class 0: three images, two right, the third at rank 4. Class 1: two images, one at rank 5, one
# that nothing is said of. Class 7: one image, right.
ROWS = [(0, 0, 0), (0, 3, 4), (1, 3, 5), (0, 0, 0), (1, NOTHING, NEVER), (7, 7, 0)]


def test_shares_are_of_all_images() -> None:
    found = evaluated(ROWS)
    assert found.top_1 == 3 / 6
    assert found.top_5 == 4 / 6  # ranks 0 to 4
    assert found.images.tolist() == [3, 2, 0, 0, 0, 0, 0, 1]
    assert found.right.tolist() == [2, 0, 0, 0, 0, 0, 0, 1]
    assert found.among_five.tolist() == [3, 0, 0, 0, 0, 0, 0, 1]


def test_in_the_mean_of_classes_each_that_is_there_counts_the_same() -> None:
    assert evaluated(ROWS).class_mean == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_top_5_says_nothing_of_five_classes() -> None:
    assert math.isnan(evaluated([(0, 0, 0)], classes=5).top_5)
    assert evaluated([(0, 0, 0)], classes=6).top_5 == 1


def test_without_images_there_are_no_shares() -> None:
    found = evaluated([])
    assert math.isnan(found.top_1) and math.isnan(found.top_5) and math.isnan(found.class_mean)
    assert found.confusions == ()


def test_each_pair_of_classes_is_counted() -> None:
    assert evaluated(ROWS).confusions == (
        Confusion(0, 0, 2),
        Confusion(0, 3, 1),
        Confusion(1, NOTHING, 1),
        Confusion(1, 3, 1),
        Confusion(7, 7, 1),
    )


def test_the_most_frequent_errors_come_first_and_are_errors() -> None:
    rows = [(0, 0, 0)] * 9 + [(0, 1, 1)] * 2 + [(2, 1, 1)] * 3 + [(4, NOTHING, NEVER)] * 5
    confusions = evaluated(rows).confusions
    assert most_frequent_errors(confusions, 10) == [Confusion(2, 1, 3), Confusion(0, 1, 2)]
    assert most_frequent_errors(confusions, 1) == [Confusion(2, 1, 3)]


def test_the_table_of_some_classes_puts_all_others_in_its_last_column() -> None:
    table = confusion_table(evaluated(ROWS).confusions, [1, 0])
    # of class 1 one is 3, one nothing; of class 0 two are right, one is 3
    assert table.tolist() == [[0, 0, 2], [0, 2, 1]]
