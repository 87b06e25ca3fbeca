"""From what a user names to a data set. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from yolo_gp.data.annotations import AnnotatedDataset
from yolo_gp.data.classes import matched_to
from yolo_gp.data.coco import CocoDataset
from yolo_gp.data.darknet_list import open_data, open_list
from yolo_gp.data.listing import ImageList, images_below, is_file, is_image
from yolo_gp.data.voc import VocDataset, find_voc
from yolo_gp.data.yolo_txt import YoloDataset, label_candidates
from yolo_gp.data.yolo_yaml import open_yaml, yaml_splits
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason, read_names

_KINDS = (
    "expected: a COCO .json, a YOLO .yaml, a Darknet .data, a .txt list of images, or a folder "
    "with images and their labels (YOLO txt or Pascal VOC XML)"
)


def open_dataset(
    spec: str,
    *,
    split: str = "val",
    images: Path | None = None,
    names: tuple[str, ...] | None = None,
    masks: bool = True,
) -> AnnotatedDataset:
    """Open a data set of any format that is known.

    Args:
        spec: COCO JSON; yaml of a YOLO data set; Darknet `.data`; a list of images, `.txt`; or a
            folder: Pascal VOC, YOLO txt, or one that holds a data set's yaml.
        split: which part of it; without effect on a JSON file, a list and folders without parts.
        images: for COCO JSON the folder that its file names are relative to.
        names: the class names to number classes by, normally a model's; see `matched_to`.
        masks: False leaves masks out of the ground truth, which is faster.

    Raises:
        DataError: it cannot be opened, or its classes are not `names`.
        UsageError: `images` for another format.
    """
    path = Path(spec)
    try:
        if not path.exists():
            raise DataError(f"there is no data set {spec}\n{_KINDS}")
        if images is not None and path.suffix.lower() != ".json":
            raise UsageError(f"--images has no effect on {spec}\nexpected: --images with a .json")
        dataset = _open(path, split, images, masks)
    except OSError as error:
        raise DataError(f"cannot read {spec}: {os_reason(error)}") from error
    return dataset if names is None else matched_to(dataset, names)


def _open(path: Path, split: str, images: Path | None, masks: bool) -> AnnotatedDataset:
    if path.is_dir():
        return _open_folder(path, split, masks)
    match path.suffix.lower():
        case ".json":
            return CocoDataset(path, images=images, masks=masks)
        case ".yaml" | ".yml":
            return open_yaml(path, split, masks=masks)
        case ".data":
            return open_data(path, split, masks=masks)
        case ".txt":
            return open_list(path, masks=masks)
    raise DataError(f"{path} is no data set of a known format\n{_KINDS}")


def _open_folder(folder: Path, split: str, masks: bool) -> AnnotatedDataset:
    """YOLO by its yaml or its labels; VOC by its XML files; COCO by the JSON of the split."""
    annotations = folder / "annotations" / f"instances_{split}.json"
    if annotations.is_file() and not (folder / "labels").is_dir():
        return CocoDataset(annotations, masks=masks)
    listed = names_in(folder)
    if (folder / "Annotations").is_dir() or any(folder.glob("*.xml")):
        return VocDataset(find_voc(folder, split), listed or None, masks=masks)
    yamls = [file for file in sorted(folder.glob("*.y*ml")) if yaml_splits(file)]
    if len(yamls) == 1:
        return open_yaml(yamls[0], split, masks=masks)
    if len(yamls) > 1:
        there = ", ".join(file.name for file in yamls)
        raise DataError(f"{folder} holds several data sets: {there}\nexpected: the name of one")
    where = _image_folder(folder, split)
    found = images_below(where)
    if not found.paths:
        raise DataError(f"{where} holds no images\n{_KINDS}")
    _require_labels(folder, found)
    return YoloDataset(str(where), found, listed, masks=masks)


def _image_folder(folder: Path, split: str) -> Path:
    """images/SPLIT, SPLIT/images, images, or the folder itself.

    Raises:
        DataError: there are parts, but not this one.
    """
    for place in (folder / "images" / split, folder / split / "images"):
        if place.is_dir():
            return place
    images = folder / "images"
    base = images if images.is_dir() else folder
    if any(is_image(path.name) for path in base.iterdir()):
        return base
    parts = sorted(path.name for path in base.iterdir() if path.is_dir() and path.name[0] != ".")
    if base == images and parts:
        raise DataError(f"{images} has no {split}\nexpected: one of its parts, {', '.join(parts)}")
    _refuse_coco(folder)
    classes = [part for part in parts if any(is_image(p.name) for p in (base / part).iterdir())]
    text = f"{folder} holds no data set of a known format\n{_KINDS}"
    if classes:
        text += f"\nhelp: folders of images alone, such as {classes[0]}, are for classifiers"
    raise DataError(text)


def _refuse_coco(folder: Path) -> None:
    jsons = [str(path) for path in sorted(folder.glob("annotations/*.json"))]
    if jsons:
        raise DataError(f"{folder} is a folder of COCO data\nexpected: {' or '.join(jsons)}")


def _require_labels(folder: Path, found: ImageList) -> None:
    """Refuse images none of which has a label: rather another layout than an empty data set."""
    if any(is_file(path) for name in found.paths for path in label_candidates(Path(name))):
        return
    _refuse_coco(folder)
    looked = " and ".join(map(str, label_candidates(Path(found.paths[0]))))
    raise DataError(f"{folder} holds images without labels; looked for {looked}\n{_KINDS}")


def names_in(folder: Path) -> tuple[str, ...]:
    """The class names in the folder's one .names file or its classes.txt; empty without.

    Raises:
        DataError: there are several .names files, or the file cannot be read.
    """
    files = sorted(folder.glob("*.names")) or [folder / "classes.txt"]
    if len(files) > 1:
        there = ", ".join(file.name for file in files)
        raise DataError(f"{folder} holds several lists of names: {there}\nexpected: one of them")
    return read_names(files[0]) if files[0].is_file() else ()
