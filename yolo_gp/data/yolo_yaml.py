"""The yaml file of a YOLO data set, as Ultralytics writes it: where the images lie, class names."""

from __future__ import annotations

from pathlib import Path

import yaml

from yolo_gp.data.annotations import number_names
from yolo_gp.data.listing import ImageList, images_below, images_listed, is_image, joined, read_text
from yolo_gp.data.yolo_txt import YoloDataset
from yolo_gp.errors import DataError, shown

_SPLITS = ("train", "val", "test")


def open_yaml(file: Path, split: str, *, masks: bool = True) -> YoloDataset:
    """The images of one split.

    `path` is the root, relative to the yaml's folder, else to the working directory; without it
    the yaml's folder. A split is a folder, a text file with a path a line, or a list of these.

    Raises:
        DataError: no such yaml, no such split, or a folder that does not exist.
    """
    content = _read(file)
    key = "validation" if split == "val" and "val" not in content else split
    entries = content.get(key)
    if not entries:
        there = ", ".join(name for name in _SPLITS if content.get(name)) or "none of them"
        raise DataError(f"{file} has no {split}\nexpected: train, val or test; it has {there}")
    texts = entries if isinstance(entries, list) else [entries]
    images = joined([_images(file, content, str(text)) for text in texts])
    if not images.paths:
        raise DataError(f"{file}: {key} holds no image: {', '.join(map(str, texts))}")
    return YoloDataset(str(file), images, _class_names(file, content), masks=masks)


def yaml_splits(file: Path) -> bool:
    """Whether a yaml file describes a data set at all."""
    try:
        return any(name in _read(file) for name in _SPLITS)
    except DataError:
        return False


def _read(file: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(read_text(file, "data set"))
    except yaml.MarkedYAMLError as error:
        place = f"{file}:{error.problem_mark.line + 1}" if error.problem_mark else str(file)
        raise DataError(f"{place} is no yaml: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: month 13
        raise DataError(f"{file} is no yaml: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} is no description of a data set\nexpected: keys train, val, names")
    return {str(key): value for key, value in content.items()}


def _images(file: Path, content: dict[str, object], text: str) -> ImageList:
    """The images that one entry of a split stands for."""
    looked = _places(file, content, text)
    found = next((place for place in looked if place.exists()), None)
    if found is None:
        lines = "".join(f"\n  {place}" for place in looked)
        raise DataError(f"{file} names {shown(text)}, which does not exist; looked for{lines}")
    if found.is_dir():
        return images_below(found)
    if is_image(found.name):
        return ImageList((str(found),))
    return images_listed(found, (Path(), found.parent, *_roots(file, content)))


def _roots(file: Path, content: dict[str, object]) -> list[Path]:
    root = content.get("path")
    if not root:
        return [file.parent]
    return [file.parent / str(root), Path(str(root))]


def _places(file: Path, content: dict[str, object], text: str) -> list[Path]:
    """Where an entry may lie. Roboflow writes ../train/images and means train/images."""
    roots = [*_roots(file, content), file.parent]
    texts = [text, text.removeprefix("../")]
    return list(dict.fromkeys(root / name for name in texts for root in roots))


def _class_names(file: Path, content: dict[str, object]) -> tuple[str, ...]:
    """The names by class id, from `names`; numbers if there is only `nc`; else empty."""
    names, count = content.get("names"), content.get("nc")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise DataError(f"{file}: nc is {shown(str(count))}\nexpected: the number of classes")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{file}: names skips classes\nexpected: keys 0 to {len(names) - 1}")
        names = [names[number] for number in range(len(names))]
    if names is None:
        return number_names(count or 0)
    if not isinstance(names, list):
        raise DataError(f"{file}: names is no list\nexpected: a list, or a name for each number")
    if count is not None and count != len(names):
        raise DataError(f"{file}: nc is {count}, but names lists {len(names)}")
    return tuple(map(str, names))
