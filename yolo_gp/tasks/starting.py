"""A new cfg from a template and, if there are any, the images that it will be trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yolo_gp.adjusting.head_anchors import Pairs, anchor_slots
from yolo_gp.adjusting.starting import Start, starting_cfg
from yolo_gp.adjusting.starting_net import (
    Training,
    advised_updates,
    fitting_subdivisions,
    updates,
)
from yolo_gp.cache import ModelCache
from yolo_gp.data.anchors import box_sizes, fit_anchors, score_anchors
from yolo_gp.data.annotations import AnnotatedDataset, are_numbers, number_names
from yolo_gp.data.classes import matched_to
from yolo_gp.data.opening import open_dataset
from yolo_gp.errors import DataError, UsageError, shown
from yolo_gp.files import read_names
from yolo_gp.graph import Graph, compile_text
from yolo_gp.options import MAX_CHANNELS
from yolo_gp.shapes import format_size
from yolo_gp.tasks.templates import find_template, recipes, require_multiple

if TYPE_CHECKING:
    from yolo_gp.training.recipe import RecipeName

Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSettings:
    """What a new cfg is to be.

    Fields:
        template: a name or a path.
        classes: how many; None for as many as the names, or the data, have.
        names: a file with their names.
        size: (height, width) of the input in pixels; None for the template's.
        data: images to train on.
        images: for COCO JSON the folder that its file names are relative to.
        epochs: how often the training shows each image; None for Darknet's advice.
    """

    template: str
    classes: int | None = None
    names: Path | None = None
    size: tuple[int, int] | None = None
    data: str | None = None
    images: Path | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        if self.classes is not None and not 1 <= self.classes <= MAX_CHANNELS:
            raise UsageError(
                f"--classes {self.classes} is out of range\nexpected: 1 to {MAX_CHANNELS}"
            )
        if self.epochs is not None and not 0 < self.epochs < 1e6:
            raise UsageError(f"--epochs {self.epochs:g} is out of range\nexpected: above 0")
        if self.epochs is not None and self.data is None:
            raise UsageError(
                "--epochs needs to know how many images there are\nexpected: --data with it"
            )


@dataclass(frozen=True, slots=True)
class NewCfg:
    """A new cfg.

    Fields:
        graph: what it compiles to.
        names: of its classes; empty if they are not known.
        data: the part to train on, as it numbers its classes; None without data.
        recipes: those that can train it.
        notes: what the user should know about it.
    """

    content: bytes
    graph: Graph
    names: tuple[str, ...]
    data: AnnotatedDataset | None
    recipes: tuple[RecipeName, ...]
    notes: tuple[str, ...]


def new_cfg(
    settings: NewSettings, cache: ModelCache | None = None, advance: Advance | None = None
) -> NewCfg:
    """Make a cfg; nothing is written.

    Args:
        cache: where the cfg of a pretrained model lies or is pulled to.
        advance: called with 1 for each image whose boxes have been measured.

    Raises:
        UsageError: there is no such template, it cannot have that size, or nothing says how many
            classes there are.
        DataError: the data or the names cannot be read, or disagree.
    """
    template = find_template(settings.template, cache)
    graph = template.compiled()
    size = settings.size or graph.input_shape.size
    require_multiple(graph, size)
    dataset = None
    if settings.data is not None:
        dataset = open_dataset(settings.data, split="train", images=settings.images, masks=False)
    classes, names = _classes(settings, dataset)
    matched = None if dataset is None else matched_to(dataset, names or number_names(classes))
    sized = graph.with_input_size(size)
    anchors = _anchors(graph, sized, matched, advance)
    start = Start(
        template=template.name,
        classes=classes,
        training=_training(settings, sized, classes, dataset),
        anchors_wh=anchors.wh,
        anchors_origin=anchors.origin,
    )
    content = starting_cfg(template.content, graph, sized, start)
    return NewCfg(
        content,
        compile_text(content, f"{template.name} (changed)"),
        names,
        dataset,
        recipes(sized),
        anchors.notes,
    )


def _classes(
    settings: NewSettings, dataset: AnnotatedDataset | None
) -> tuple[int, tuple[str, ...]]:
    """How many classes there are, and what they are called as far as that is known."""
    names: tuple[str, ...] = ()
    listed = 0
    if settings.names is not None:
        names = read_names(settings.names)
        if not names:
            raise DataError(f"{settings.names} holds no class names")
        listed, whose = len(names), str(settings.names)
    elif dataset is not None:
        theirs, whose = dataset.class_names, dataset.name
        names = () if are_numbers(theirs) else theirs
        listed = len(theirs) if names or dataset.lists_classes else 0
    if settings.classes is None and not listed:
        raise UsageError(
            "nothing says how many classes there are\n"
            "expected: --classes N, --names FILE, or --data with a list of its classes"
        )
    if settings.classes is not None and listed and settings.classes != listed:
        raise UsageError(
            f"--classes {settings.classes}, but {whose} has {listed}\n"
            f"expected: --classes {listed}, or no --classes"
            + ("" if settings.names else "; or --names with the names of all classes")
        )
    return settings.classes or listed, names


def _training(
    settings: NewSettings, sized: Graph, classes: int, dataset: AnnotatedDataset | None
) -> Training:
    images = None if dataset is None else len(dataset.samples)
    if settings.epochs is not None:
        assert images is not None
        count = updates(settings.epochs, images)
        length = f"{settings.epochs:g} epochs of {images:,} images"
    else:
        count = advised_updates(classes, images)
        length = "Darknet's advice, 2000 for each class, at least 6000, one for each image"
    return Training(
        subdivisions=fitting_subdivisions(sized),
        max_batches=count,
        length=length,
        modern_only=recipes(sized) == ("modern",),
    )


@dataclass(frozen=True, slots=True)
class _Anchors:
    """Fields:
    wh: (width, height) in pixels, by area; None for the template's.
    origin: a comment on them.
    """

    wh: Pairs | None
    origin: str
    notes: tuple[str, ...] = ()


def _anchors(
    graph: Graph, sized: Graph, dataset: AnnotatedDataset | None, advance: Advance | None
) -> _Anchors:
    """Anchors fitted to the data; the template's where there is no data, or too little.

    Args:
        graph, sized: the template at its own size, and at the new one.
    """
    old, new = graph.input_shape.size, sized.input_shape.size
    scaled = "" if old == new else f", scaled from {format_size(old)} (height x width)"
    origin = f"those of the template{scaled}"
    count = anchor_slots(sized)
    if dataset is None or not count:
        return _Anchors(None, origin)
    letter_box = sized.letter_box and recipes(sized) == ("modern",)
    boxes = box_sizes(dataset, new, letter_box=letter_box, advance=advance)
    try:
        fitted = fit_anchors(boxes, count)
    except DataError as error:
        return _Anchors(None, origin, (f"{error}; they are {origin}",))
    fit = score_anchors(boxes, fitted).mean_iou
    return _Anchors(
        tuple((width, height) for width, height in fitted.tolist()),
        f"fitted by k-means to the {len(boxes):,} boxes of {shown(dataset.name)}: mean best IoU "
        f"{fit:.3f}",
    )
