"""A folder of class folders: the images in each show the class that the folder is named after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo_gp.data.annotations import Place, Problem, number_names
from yolo_gp.data.classes import name_key
from yolo_gp.data.classified import ClassifiedImages, require_count
from yolo_gp.data.listing import images_below, is_image, joined
from yolo_gp.data.opening import names_in
from yolo_gp.errors import DataError

_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_SHOWN = 10  # folders that an error lists


def open_class_folders(
    folder: Path, split: str, names: tuple[str, ...], count: int
) -> ClassifiedImages:
    """Images below folders that are named after classes.

    `folder` holds them, or holds a folder for each part of the data that does. Class folders may
    lack, and their images may lie deeper. A folder is the class whose name it bears, but for case,
    blanks, `_` and `-`. Names that bear no resemblance to the folders' do not matter where the
    folders are named by the classes' numbers. Without names, and with as many folders as classes,
    the folders are numbered in alphabetical order.

    Args:
        split: which part, if the folder has parts.
        names: by class id; those of a .names file or a classes.txt in the folder by default.
        count: how many classes the network tells apart.

    Raises:
        DataError: there are no class folders, or they are not the network's classes.
    """
    base = _part(folder, split)
    folders = _subfolders(base)
    if not folders:
        raise DataError(
            f"{base} holds no class folders\n"
            "expected: a folder for each class, named after it, with its images"
        )
    known = names or names_in(base) or names_in(folder)
    if known:
        require_count(f"the list of names for {folder}", known, count)
    ids, notes = _class_ids(base, folders, known, count)
    found = [images_below(one) for one in folders]
    images = joined(found)
    if not images.paths:
        raise DataError(f"the class folders of {base} hold no images")
    return ClassifiedImages(
        name=str(base),
        class_names=known or _names_of_folders(folders, ids, count),
        images=images,
        class_ids=np.repeat(np.array(ids, np.int64), [len(part.paths) for part in found]),
        problems=_loose_images(base),
        notes=notes,
    )


def _part(folder: Path, split: str) -> Path:
    """The folder of the part that is asked for; `folder` itself if it has no parts."""
    for name in _SPLITS.get(split, (split,)):
        if (folder / name).is_dir():
            return folder / name
    parts = [one.name for one in _subfolders(folder)]
    if parts and set(parts) <= {name for names in _SPLITS.values() for name in names}:
        raise DataError(f"{folder} has no {split}\nexpected: one of its parts, {', '.join(parts)}")
    return folder


def _subfolders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and one.name[0] != ".")


def _class_ids(
    base: Path, folders: Sequence[Path], names: tuple[str, ...], count: int
) -> tuple[list[int], tuple[str, ...]]:
    """The class of each folder, and what the user should know about that."""
    ids = {name_key(name): class_id for class_id, name in enumerate(names)}
    foreign = [folder for folder in folders if name_key(folder.name) not in ids]
    if not foreign:
        _require_unequal(base, folders, names)
        return [ids[name_key(folder.name)] for folder in folders], ()
    if foreign == folders and {folder.name for folder in folders} <= {*number_names(count)}:
        return [int(folder.name) for folder in folders], ()
    if names:
        raise DataError(_foreign_text(base, foreign, names))
    if len(folders) != count:
        raise DataError(
            f"{base} has {len(folders)} class folders, but the network tells {count} classes "
            "apart, and nothing says which they are\n"
            "expected: --names FILE with the folders' names, in the order of the network's outputs"
        )
    note = (
        f"the network's classes have no names, so the folders of {base} are numbered in "
        "alphabetical order; --names FILE with the folders' names says another"
    )
    return list(range(count)), (note,)


def _require_unequal(base: Path, folders: Sequence[Path], names: Sequence[str]) -> None:
    """Raise a DataError if two folders are one class, or one folder may be two."""
    by_key: dict[str, str] = {}
    named = Counter(map(name_key, names))
    for folder in folders:
        key = name_key(folder.name)
        if key in by_key:
            raise DataError(
                f"{base} has two folders of one class: {by_key[key]} and {folder.name}\n"
                "expected: one of them"
            )
        if named[key] > 1:
            raise DataError(
                f"{folder} may be any of {named[key]} classes that bear its name\n"
                "help: --names FILE with the folders' names, in the order of the network's outputs"
            )
        by_key[key] = folder.name


def _foreign_text(base: Path, foreign: Sequence[Path], names: Sequence[str]) -> str:
    more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
    shown = ", ".join(folder.name for folder in foreign[:_SHOWN])
    few = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    return (
        f"{base} has folders that are no class of the network: {shown}{more}\n"
        f"expected: folders named after its {len(names)} classes: {few}\n"
        "help: --names FILE with the folders' names, in the order of the network's outputs"
    )


def _names_of_folders(folders: Sequence[Path], ids: Sequence[int], count: int) -> tuple[str, ...]:
    names = list(number_names(count))
    for folder, class_id in zip(folders, ids, strict=True):
        names[class_id] = folder.name
    return tuple(names)


def _loose_images(base: Path) -> tuple[Problem, ...]:
    loose = sorted(path.name for path in base.iterdir() if path.is_file() and is_image(path.name))
    if not loose:
        return ()
    what = f"images in no class folder, which are left out: {len(loose)}, such as {loose[0]}"
    return (Place(str(base)).problem(what),)
