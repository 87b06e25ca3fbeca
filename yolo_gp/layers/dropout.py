"""[dropout]: drops elements while training; passes everything at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.answers import CpuDelta
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.training_keys import TrainingOptions
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


_USUAL_CELLS = 7


@dataclass(frozen=True, slots=True)
class BlockSize:
    """The side of dropped squares.

    Fields:
        cells: of the map; 0 if `share` counts.
        share: of the map's height and width.
    """

    cells: int
    share: float

    def sides(self, size: tuple[int, int]) -> tuple[float, float]:
        """(height, width) of a square in a map of that size, which it may exceed."""
        if self.cells:
            return (self.cells, self.cells)
        return (self.share * size[0], self.share * size[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Layer):
    """[dropout]: (C, H, W) -> (C, H, W); in training zeroes with `probability`, scales the rest.

    With dropblock=1 it zeroes squares, as Darknet's GPU build does; its CPU build does not.

    Source: Darknet src/dropout_layer.c; darknet.md 2.8, 6.9.  Stores no weights.
    """

    kind: ClassVar[str] = "dropout"
    cpu_delta: ClassVar[CpuDelta] = "shared"
    training_fields: ClassVar[frozenset[str]] = frozenset({"block", "probability"})
    meanings: ClassVar[Mapping[str, str]] = {
        "probability": "share of the numbers that are dropped",
        "dropblock": "1: squares of neighbouring numbers are dropped together",
        "dropblock_size_rel": "side of the squares as a share of the map's",
        "dropblock_size_abs": "side of the squares in cells",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to(
        "AlexeyAB", "dropblock", "dropblock_size_rel", "dropblock_size_abs"
    )

    span: Span
    common: CommonKeys
    probability: float
    block: BlockSize | None = None

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Dropout:
        return cls(
            span=options.span,
            common=common,
            probability=options.number("probability", 0.2, minimum=0.0, maximum=1.0),
            block=_block(options),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def is_identity(self) -> bool:
        return True

    def passes_input(self) -> bool:
        return True

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from torch import nn

        from yolo_gp.layers.dropout_modules import DropBlock

        if self.block is None:
            return nn.Dropout(self.probability)
        return DropBlock(self.probability, self.block.sides(output.size))

    def label(self) -> str:
        return f"p = {self.probability:g}" + (" in squares" if self.block else "")


def _block(options: Options) -> BlockSize | None:
    """Squares of 7 unless the section says more; a size in cells counts before a share."""
    read = TrainingOptions(options)
    cells = max(0, int(read.number("dropblock_size_abs", 0.0)))
    share = max(0.0, read.number("dropblock_size_rel", 0.0))
    if not read.flag("dropblock"):
        return None
    return BlockSize(0, share) if share and not cells else BlockSize(cells or _USUAL_CELLS, 0.0)
