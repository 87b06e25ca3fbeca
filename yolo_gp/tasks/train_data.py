"""The images to train on, those to measure on, and the classes of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolo_gp.data.annotations import AnnotatedDataset, are_numbers, number_names
from yolo_gp.data.classes import matched_to
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import read_names
from yolo_gp.tasks.train_settings import TrainSettings

_ONE_PART = (".json", ".txt")  # files that name one part of a data set only


@dataclass(frozen=True, slots=True, eq=False)
class TrainData:
    """The data of a run, its classes numbered as the network's.

    Fields:
        validation: None if accuracy is not measured.
        notes: what the user should know about the classes.
    """

    training: AnnotatedDataset
    validation: AnnotatedDataset | None
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_train_data(
    settings: TrainSettings, cfg_classes: int, source_names: tuple[str, ...], *, masks: bool
) -> TrainData:
    """Open the data, and settle what its classes are called and in what order.

    They are those of the names file; else those of the weights to start from, if these are the
    data's; else the data's.

    Args:
        cfg_classes: as many as the cfg has; they count where the data does not list its own.
        source_names: of the weights; empty if they have none.
        masks: whether masks are wanted.

    Raises:
        DataError: the data cannot be opened, holds no images, or has other classes.
        UsageError: nothing says what to measure on.
    """
    training = open_dataset(settings.data, split="train", masks=masks)
    names, notes = _class_names(settings, training, cfg_classes, source_names)
    return _named(settings, training, names, notes, masks=masks)


def reopen_train_data(settings: TrainSettings, names: tuple[str, ...], *, masks: bool) -> TrainData:
    """Open the data of a run that goes on, whose classes are known.

    Raises:
        DataError, UsageError: as `open_train_data`.
    """
    training = open_dataset(settings.data, split="train", masks=masks)
    return _named(settings, training, names, (), masks=masks)


def _named(
    settings: TrainSettings,
    training: AnnotatedDataset,
    names: tuple[str, ...],
    notes: tuple[str, ...],
    *,
    masks: bool,
) -> TrainData:
    training = matched_to(training, names)
    validation = None
    if settings.validate:
        validation = _open_validation(settings, training, names, masks=masks)
    return TrainData(training, validation, names, notes)


def _class_names(
    settings: TrainSettings,
    training: AnnotatedDataset,
    cfg_classes: int,
    source_names: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if settings.names is not None:
        names = read_names(Path(settings.names))
        if not names:
            raise DataError(f"{settings.names} holds no class names")
        return names, ()
    theirs = training.class_names
    if not theirs or (are_numbers(theirs) and not training.lists_classes):
        names = source_names if len(source_names) == cfg_classes else number_names(cfg_classes)
        note = (
            f"{training.name} has no list of its classes, so the cfg's {cfg_classes} count; "
            "--names gives them names, and their number"
        )
        return names, (note,)
    if source_names and sorted(map(str.casefold, source_names)) == sorted(
        map(str.casefold, theirs)
    ):
        return source_names, ()
    return theirs, ()


def _open_validation(
    settings: TrainSettings, training: AnnotatedDataset, names: tuple[str, ...], *, masks: bool
) -> AnnotatedDataset:
    help = "help: --val-data names other images to measure on; --no-val measures nothing"
    if settings.val_data is None and Path(settings.data).suffix.lower() in _ONE_PART:
        raise UsageError(
            f"{settings.data} is one part of a data set, so nothing says what to measure on\n{help}"
        )
    spec = settings.val_data or settings.data
    try:
        dataset = open_dataset(spec, split="val", names=names, masks=masks)
    except DataError as error:
        raise DataError(f"{error}\n{help}") from error
    same = [s.path for s in dataset.samples] == [s.path for s in training.samples]
    if settings.val_data is None and same:
        raise UsageError(
            f"{settings.data} has no part for validation: accuracy would be measured on the very "
            f"images that are trained on\n{help}"
        )
    return dataset
