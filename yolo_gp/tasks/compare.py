"""Two networks on the same images: how far they differ, layer by layer, and where that begins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from yolo_gp.cache import ModelCache
from yolo_gp.data.letterbox import prepare
from yolo_gp.errors import UsageError
from yolo_gp.nodes import Node
from yolo_gp.presets import find_preset
from yolo_gp.shapes import format_size
from yolo_gp.tasks.compare_alignment import align
from yolo_gp.tasks.compare_hints import hint
from yolo_gp.tasks.compare_report import ComparedValue, Comparison, LayerNumber
from yolo_gp.tasks.compare_sides import ForeignOnnxSide, OnnxSide, Place, Side, TorchSide
from yolo_gp.tasks.differences import Difference, box_difference, difference, score_difference
from yolo_gp.tasks.inference import as_array
from yolo_gp.tasks.models import ModelSource, load_model
from yolo_gp.tasks.onnx_files import OnnxFile
from yolo_gp.tasks.onnx_outputs import BOXES, SCORES

_MEASURES = {BOXES: box_difference, SCORES: score_difference, "": difference}
_APART = Difference(math.inf, math.inf)  # of values whose shapes differ


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """How to compare.

    Fields:
        images: files; empty for one image of random numbers, the same every time. Random numbers
            excite a trained network little, so images find more.
        tolerance: the largest difference that counts as agreement, relative to the largest
            magnitude of the layer's map, of the box, or to 1 for scores. Rounding gives about 1e-5.
    """

    images: tuple[str, ...] = ()
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < math.inf:
            raise UsageError(
                f"the tolerance is {self.tolerance:g}\nexpected: a number above 0, such as 1e-4"
            )


def open_side(source: ModelSource, *, cache: ModelCache | None = None) -> Side:
    """Open what a user names: weights with a cfg of their own, or with one beside; or ONNX.

    Args:
        cache: where pretrained models lie or are pulled to; by default as the environment says.

    Raises:
        CfgError, WeightsError, UsageError, DataError: what does not fit, and where.
    """
    weights = None if source.weights is None else Path(source.weights)
    if weights is None or weights.suffix.lower() != ".onnx":
        label = str(source.cfg if weights is None else weights)
        return TorchSide(load_model(source, cache=cache), label)
    file = OnnxFile.read(weights)
    if source.cfg is not None:
        raise UsageError(f"{weights} is an ONNX file, so no cfg can be given for it")
    if source.size not in (None, file.input_shape[1:]):
        raise UsageError(
            f"{weights} takes images of {format_size(file.input_shape[1:])} only\n"
            "help: leave the size out, or export the network again at another"
        )
    return OnnxSide(file) if file.metadata else ForeignOnnxSide(file)


def compare(a: Side, b: Side, settings: CompareSettings) -> Comparison:
    """Run both on the same images, one image at a time, and compare what can be compared.

    Raises:
        UsageError: they take images of different shape.
        WeightsError: they have nothing in common, or one cannot be run.
        DataError: an image cannot be read.
    """
    if a.input_shape != b.input_shape:
        raise UsageError(
            f"{a.label} takes images of {_shape_text(a)}, {b.label} of {_shape_text(b)}\n"
            "expected: the same\nhelp: --size HxW runs a cfg at another size; an ONNX file has one"
        )
    alignment = align(a, b)
    found = dict.fromkeys(alignment.pairs, Difference())
    for image in _images(a, settings.images):
        ours, theirs = _Tap(a, image, alignment.pairs, 0), _Tap(b, image, alignment.pairs, 1)
        for pair in alignment.pairs:
            apart = _apart(ours.take(pair[0]), theirs.take(pair[1]), pair[0].part)
            found[pair] = found[pair].joined(apart)
    values = tuple(_compared(a, b, pair, apart) for pair, apart in found.items())
    result = Comparison(
        a=a.label,
        b=b.label,
        images=settings.images,
        input_shape=a.input_shape,
        tolerance=settings.tolerance,
        values=values,
        parted=alignment.parted,
        complete=alignment.complete,
        hint="",
        notes=(*a.notes, *b.notes, *alignment.notes),
    )
    if result.first_departure is None:
        return result
    number = values.index(result.first_departure)
    if number >= alignment.shared:
        return replace(result, hint="it stands behind where the networks part")
    return replace(result, hint=hint(a, b, alignment.pairs[number]))


def _shape_text(side: Side) -> str:
    return " x ".join(map(str, side.input_shape))


def _images(a: Side, files: Sequence[str]) -> Iterator[Tensor]:
    """The images (1, C, H, W), prepared as Darknet does."""
    channels, *size = a.input_shape
    if not files:
        yield torch.rand(1, *a.input_shape, generator=torch.Generator().manual_seed(0))
    preset = find_preset("darknet")
    if a.graph is not None and a.graph.letter_box:
        preset = replace(preset, resize="letterbox")
    for file in files:
        array = as_array(file, channels)
        yield prepare(array, (size[0], size[1]), preset, stride=1)[0][None]


class _Tap:
    """The values of one side on one image, taken in nearly the order in which they are computed.

    Only values that have been passed by and are still to be taken are held.
    """

    def __init__(
        self, side: Side, image: Tensor, pairs: Sequence[tuple[Place, Place]], number: int
    ) -> None:
        self._coming = side.values(image)
        self._wanted = {pair[number] for pair in pairs}
        self._held: dict[Place, Tensor] = {}

    def take(self, place: Place) -> Tensor:
        while place not in self._held:
            passing, value = next(self._coming)
            if passing in self._wanted:
                self._held[passing] = value
        return self._held.pop(place)


def _apart(a: Tensor, b: Tensor, part: str) -> Difference:
    return _MEASURES[part](a, b) if a.shape == b.shape else _APART


def _compared(a: Side, b: Side, pair: tuple[Place, Place], apart: Difference) -> ComparedValue:
    x, y = (_node(side, place) for side, place in zip((a, b), pair, strict=True))
    node = x or y
    if node is not None:
        kind = node.layer.kind
    else:
        assert isinstance(a, ForeignOnnxSide)
        kind = a.output_names[pair[0].layer]
    return ComparedValue(kind, pair[0].part, _number(x), _number(y), apart)


def _node(side: Side, place: Place) -> Node | None:
    return None if side.graph is None else side.graph.nodes[place.layer]


def _number(node: Node | None) -> LayerNumber | None:
    return None if node is None else LayerNumber(node.written, node.index)
