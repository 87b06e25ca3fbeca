"""How often the right class stands first, or among the first five.

Legend: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

TOP = 5
NOTHING = -1
"""Stands for the class that a network gives an image it said nothing of."""
NEVER = 2**31 - 1
"""The rank of the right class of such an image."""
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many images of class `shown` were given the class `said`, or `NOTHING`."""

    shown: int
    said: int
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """How many images have their class among the first.

    Fields:
        images: (C,) how many show each class.
        right: (C,) those of them whose class stands first.
        among_five: (C,) those of them whose class stands among the first five.
        confusions: right ones too; by `shown`, then `said`; pairs that do not occur are left out.
    """

    images: Integers
    right: Integers
    among_five: Integers
    confusions: tuple[Confusion, ...]

    @property
    def top_1(self) -> float:
        """The share of all images; NaN without any."""
        return _share(self.right.sum(), self.images.sum())

    @property
    def top_5(self) -> float:
        """The share of all images; NaN without any, and where five classes are all there are."""
        if len(self.images) <= TOP:
            return _NAN
        return _share(self.among_five.sum(), self.images.sum())

    @property
    def class_mean(self) -> float:
        """The mean of top-1 over the classes that have images, so that each counts the same."""
        there = self.images > 0
        return float(np.mean(self.right[there] / self.images[there])) if there.any() else _NAN


def evaluate_top_k(class_ids: Integers, said: Integers, ranks: Integers, classes: int) -> TopK:
    """Compare what images show with what a network says.

    Args:
        class_ids: (N,) what each image shows.
        said: (N,) the class of highest score; `NOTHING` where the network said nothing.
        ranks: (N,) how many classes stand before the right one; `NEVER` where it said nothing.
        classes: C.
    """
    pairs, counts = np.unique(np.stack((class_ids, said), axis=1), axis=0, return_counts=True)
    return TopK(
        images=np.bincount(class_ids, minlength=classes),
        right=np.bincount(class_ids[ranks == 0], minlength=classes),
        among_five=np.bincount(class_ids[ranks < TOP], minlength=classes),
        confusions=tuple(
            Confusion(shown, given, count)
            for (shown, given), count in zip(pairs.tolist(), counts.tolist(), strict=True)
        ),
    )


def most_frequent_errors(confusions: Sequence[Confusion], count: int) -> list[Confusion]:
    """The pairs of classes that are most often taken for each other, at most `count`."""
    wrong = [one for one in confusions if one.said not in (one.shown, NOTHING)]
    return sorted(wrong, key=lambda one: -one.images)[:count]


def confusion_table(confusions: Sequence[Confusion], chosen: Sequence[int]) -> Integers:
    """The pairs among some classes as a matrix.

    Args:
        chosen: (K,) class ids.

    Returns:
        (K, K + 1): row is the class shown, column the class said; the last column counts what the
        network said nothing of, or gave a class that is not among the chosen.
    """
    place = {class_id: number for number, class_id in enumerate(chosen)}
    table = np.zeros((len(chosen), len(chosen) + 1), np.int64)
    for one in confusions:
        if one.shown in place:
            table[place[one.shown], place.get(one.said, len(chosen))] += one.images
    return table


def _share(part: np.int64, whole: np.int64) -> float:
    return float(part / whole) if whole else _NAN
