"""The files of a new cfg: the cfg, its class names, and what Darknet itself needs to train it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from yolo_gp.data.annotations import AnnotatedDataset, number_names
from yolo_gp.data.opening import open_dataset
from yolo_gp.data.yolo_txt import YoloDataset
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import write_atomically
from yolo_gp.tasks.starting import NewCfg, NewSettings


def files_beside(
    cfg: NewCfg, settings: NewSettings, out: Path, *, darknet_data: bool
) -> Mapping[Path, bytes]:
    """What to write: the cfg at `out`, and beside it a .names if the data knows its classes.

    Args:
        darknet_data: a .data and lists of images too, for Darknet; then a .names in any case.

    Raises:
        UsageError: Darknet cannot read the data.
    """
    if out.suffix in (".names", ".data", ".txt"):
        raise UsageError(f"-o {out} is the name of another kind of file\nexpected: NAME.cfg")
    files = {out: cfg.content}
    if darknet_data or (cfg.names and settings.names is None):
        names = cfg.names or number_names(cfg.graph.heads[0][1].num_classes)
        files[out.with_suffix(".names")] = _lines(names)
    if darknet_data:
        files |= _darknet_files(cfg, settings, out)
    return files


def require_absent(paths: Iterable[Path]) -> None:
    """Raises: UsageError: one of the files exists."""
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there:
        raise UsageError(
            f"{' and '.join(there)} exist{'s' * (len(there) == 1)} already\n"
            "expected: a new name, or --force to overwrite"
        )


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write the files, each whole or not at all; the cfg last, so that it is there when all is.

    Raises:
        DataError: one cannot be written.
    """
    for path, content in reversed(list(files.items())):
        write_atomically(path, content)


def _darknet_files(cfg: NewCfg, settings: NewSettings, out: Path) -> Mapping[Path, bytes]:
    training = cfg.data
    if training is None or settings.data is None:
        raise UsageError("--darknet-data lists the images of --data\nexpected: --data with it")
    if not isinstance(training, YoloDataset):
        raise UsageError(
            f"{settings.data} has no labels that Darknet reads\n"
            "expected: YOLO txt\n"
            f"help: `yolo-gp data convert {settings.data} OUT --to yolo`"
        )
    if cfg.names and training.class_names not in ((), cfg.names):
        raise UsageError(
            f"{settings.names} has the classes in another order than {training.name}, whose "
            "labels Darknet would take for others\nexpected: the same order"
        )
    stem = out.absolute().with_suffix("")
    lists = {"train": training, "valid": _validation(settings.data, training)}
    files = {
        out.with_suffix(f".{part}.txt"): _lines(str(s.path.absolute()) for s in dataset.samples)
        for part, dataset in lists.items()
        if dataset is not None
    }
    values = {
        "classes": str(cfg.graph.heads[0][1].num_classes),
        **{part: f"{stem}.{part}.txt" for part, dataset in lists.items() if dataset is not None},
        "names": f"{stem}.names",
        "backup": str(stem.parent),
    }
    data = _lines(f"{key} = {value}" for key, value in values.items())
    return {**files, out.with_suffix(".data"): data}


def _validation(spec: str, training: AnnotatedDataset) -> AnnotatedDataset | None:
    """The part to measure on; None if there is no such."""
    try:
        found = open_dataset(spec, split="val", masks=False)
    except DataError:
        return None
    same = [s.path for s in found.samples] == [s.path for s in training.samples]
    return None if same else found


def _lines(texts: Iterable[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()
