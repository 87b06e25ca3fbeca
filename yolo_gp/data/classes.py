"""Class names of a data set brought into the order of a model's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from yolo_gp.data.annotations import (
    AnnotatedDataset,
    ImageAnnotations,
    Place,
    Problem,
    are_numbers,
    to_ground_truth,
)
from yolo_gp.data.dataset import GroundTruth, Sample
from yolo_gp.errors import DataError

# COCO's names for what VOC, and some copies of COCO, call otherwise. Blanks need no entry.
_COCO_SPELLINGS = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "tvmonitor": "tv",
    "sofa": "couch",
}


def matched_to(dataset: AnnotatedDataset, names: tuple[str, ...]) -> AnnotatedDataset:
    """The data set with its classes numbered and named as a model's.

    Names are equal but for case, blanks, `_` and `-`, and for VOC's spellings of COCO's classes.
    Where either side only counts its classes, they are matched by number. A data set that has no
    list of its classes may lack some of the model's.

    Args:
        names: the model's, by class id; at least one.

    Raises:
        DataError: the names disagree; shows both lists.
    """
    theirs = dataset.class_names
    if not theirs:
        return _Matched(dataset, names, range(1, len(names) + 1), None)
    if are_numbers(theirs) or are_numbers(names):
        if len(theirs) != len(names):
            raise DataError(_disagreement(dataset, names))
        kept = theirs if are_numbers(names) else names
        return _Matched(dataset, kept, dataset.category_ids, range(len(names)))
    ours, keys = list(map(name_key, names)), list(map(name_key, theirs))
    if ours == keys:
        return _Matched(dataset, names, dataset.category_ids, range(len(names)))
    unequal = set(keys) - set(ours) if not dataset.lists_classes else set(keys) ^ set(ours)
    if unequal or len(set(ours)) < len(ours) or len(set(keys)) < len(keys):
        raise DataError(_disagreement(dataset, names))
    if not dataset.lists_classes:
        category_ids: Sequence[int] = range(1, len(names) + 1)
    else:
        category_ids = [dataset.category_ids[keys.index(key)] for key in ours]
    return _Matched(dataset, names, category_ids, [ours.index(key) for key in keys])


def name_key(name: str) -> str:
    """What is equal for two spellings of a class name."""
    plain = "".join(character for character in name.casefold() if character not in " _-\t")
    return _COCO_SPELLINGS.get(plain, plain)


class _Matched:
    """A data set whose class ids are translated. Without a table they stay, if in range."""

    def __init__(
        self,
        dataset: AnnotatedDataset,
        names: tuple[str, ...],
        category_ids: Sequence[int],
        new_ids: Sequence[int] | None,
    ) -> None:
        self.name = dataset.name
        self.class_names = names
        self.category_ids = tuple(category_ids)
        self.lists_classes = True
        self.samples: Sequence[Sample] = dataset.samples
        self._dataset = dataset
        self._new_ids = None if new_ids is None else np.array(new_ids, np.int64)

    def ground_truth(self, index: int, size: tuple[int, int]) -> GroundTruth:
        truth = self._dataset.ground_truth(index, size)
        if self._new_ids is not None:
            return replace(truth, class_ids=self._new_ids[truth.class_ids])
        if len(truth) and truth.class_ids.max() >= len(self.class_names):
            return to_ground_truth(self.annotations(index, size), size)  # raises, with the line
        return truth

    def annotations(self, index: int, size: tuple[int, int]) -> ImageAnnotations:
        found = self._dataset.annotations(index, size)
        count = len(self.class_names)
        if self._new_ids is not None:
            ids = self._new_ids
            return replace(
                found,
                objects=tuple(replace(o, class_id=int(ids[o.class_id])) for o in found.objects),
            )
        foreign = tuple(
            o.place.problem(
                f"class {o.class_id} is out of range",
                f"the model has {count} classes, 0 to {count - 1}",
            )
            for o in found.objects
            if o.class_id >= count
        )
        known = tuple(o for o in found.objects if o.class_id < count)
        return replace(found, objects=known, problems=found.problems + foreign)

    def place(self, index: int) -> Place:
        return self._dataset.place(index)

    def loose_ends(self) -> Iterator[Problem]:
        return self._dataset.loose_ends()


def _disagreement(dataset: AnnotatedDataset, names: tuple[str, ...]) -> str:
    """The two lists side by side, and what each side lacks."""
    theirs = dataset.class_names
    ours, keys = set(map(name_key, names)), set(map(name_key, theirs))
    width = max(len("data"), *map(len, theirs))
    rows = itertools.zip_longest(theirs, names, fillvalue="")
    lines = [f"  {'':>4} {'data':<{width}}  model"]
    lines += [f"  {n:>4} {a:<{width}}  {b}".rstrip() for n, (a, b) in enumerate(rows)]
    only_data = [name for name in theirs if name_key(name) not in ours]
    only_model = [name for name in names if name_key(name) not in keys]
    head = f"the classes of {dataset.name} ({len(theirs)}) are not the model's ({len(names)})"
    parts = [head, *lines]
    if are_numbers(theirs) or are_numbers(names):
        return "\n".join([*parts, "expected: as many classes, since one side has numbers only"])
    if only_data:
        parts.append(f"only in the data: {', '.join(only_data)}")
    if only_model:
        parts.append(f"only in the model: {', '.join(only_model)}")
    if not only_data and not only_model:
        parts.append("a name stands twice, so that classes cannot be matched by name")
    return "\n".join([*parts, "expected: the same names, in any order"])
