"""Images that each show one class: what a classifier is measured on. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.annotations import Problem
from yolo_gp.data.listing import ImageList
from yolo_gp.errors import DataError

UNKNOWN = -1
"""Stands for the class of an image that nothing says the class of."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassifiedImages:
    """A data set for classifiers.

    Fields:
        name: what messages call it: its folder or its list.
        class_names: by class id, numbered as the network does.
        images: in order.
        class_ids: (N,) int64; `UNKNOWN` where nothing says it.
        problems: what is wrong with it.
        notes: what else its user should know, each a sentence.
    """

    name: str
    class_names: tuple[str, ...]
    images: ImageList
    class_ids: NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.class_ids)

    def path(self, index: int) -> Path:
        return Path(self.images.paths[index])

    def class_of(self, index: int) -> int:
        """What image `index` shows.

        Raises:
            DataError: nothing says it.
        """
        class_id = int(self.class_ids[index])
        if class_id == UNKNOWN:
            place = self.images.place(index)
            raise DataError(place.problem("the class of this image is not known").render())
        return class_id


def require_count(what: str, found: Sequence[str], count: int) -> None:
    """Raise a DataError if `what` lists another number of classes than the network has."""
    if len(found) != count:
        raise DataError(
            f"{what} lists {len(found)} classes, but the network tells {count} apart\n"
            f"expected: {count} lines, in the order of the network's outputs"
        )
