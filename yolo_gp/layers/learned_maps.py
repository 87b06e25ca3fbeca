"""[implicit_add], [implicit_mul], [implicit_cat], also as _2d: numbers learned by heart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedMap(Layer):
    """Numbers that are learned and depend on no image.  -> (C, 1, 1), or (A, C, 1) for _2d.

    It reads nothing; a section that wants it names it, or follows it. They start as a normal
    distribution around `start_mean`.  Source: yolor-dialect.md.

    Fields:
        start_mean: 0 for what is added or joined, 1 for what is multiplied.
        is_2d: A atoms of C numbers each, rather than one.
    """

    reader: ClassVar[Reader] = "YOLOR"
    meanings: ClassVar[Mapping[str, str]] = {
        "filters": "how many numbers are learned, in each atom",
        "atoms": "how many atoms: the channels of the output, `filters` being its height",
    }
    width_key: ClassVar[str | None] = "filters"
    start_mean: ClassVar[float] = 0.0
    is_2d: ClassVar[bool] = False

    span: Span
    common: CommonKeys
    numbers: int
    atoms: int

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> LearnedMap:
        return cls(
            span=options.span,
            common=common,
            numbers=options.required_integer("filters", minimum=1, maximum=MAX_CHANNELS),
            atoms=_atoms(options) if cls.is_2d else 1,
        )

    def sources(self) -> tuple[Reference, ...]:
        return ()

    @property
    def _shape(self) -> FeatureShape:
        if self.is_2d:
            return FeatureShape(self.atoms, self.numbers, 1)
        return FeatureShape(self.numbers, 1, 1)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        shape = self._shape
        return PartialShape(shape.channels, shape.height, shape.width)

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        return Cost(params=output.elements, activations=output.elements)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return ()

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.dialect_modules import LearnedMap as Module

        return Module((output.channels, *output.size), self.start_mean)

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return (WeightBlock("weight", (1, self._shape.channels, *self._shape.size)),)


def _atoms(options: Options) -> int:
    return options.required_integer("atoms", minimum=1, maximum=MAX_CHANNELS)


class ImplicitAdd(LearnedMap):
    """[implicit_add]: C learned numbers that depend on no image, to be added to a map by
    [shift_channels].  -> (C, 1, 1). They start around 0.

    Reads nothing: other sections name it, and the one behind it reads it as the previous map.

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "implicit_add"


class ImplicitMul(LearnedMap):
    """[implicit_mul]: C learned numbers that depend on no image, to be multiplied into a map by
    [control_channels].  -> (C, 1, 1). They start around 1.

    Reads nothing: other sections name it, and the one behind it reads it as the previous map.

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "implicit_mul"
    start_mean: ClassVar[float] = 1.0


class ImplicitCat(LearnedMap):
    """[implicit_cat]: C learned numbers that depend on no image, to be joined to a map by
    [alternate_channels].  -> (C, 1, 1). They start around 0.

    Reads nothing: other sections name it, and the one behind it reads it as the previous map.

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "implicit_cat"


class ImplicitAdd2d(ImplicitAdd):
    """[implicit_add_2d]: as [implicit_add], but A atoms of C numbers each, for
    [shift_channels_2d].  -> (A, C, 1).

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "implicit_add_2d"
    is_2d: ClassVar[bool] = True
    width_key: ClassVar[str | None] = None


class ImplicitMul2d(ImplicitMul):
    """[implicit_mul_2d]: as [implicit_mul], but A atoms of C numbers each, for
    [control_channels_2d].  -> (A, C, 1).

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "implicit_mul_2d"
    is_2d: ClassVar[bool] = True
    width_key: ClassVar[str | None] = None


class ImplicitCat2d(ImplicitCat):
    """[implicit_cat_2d]: as [implicit_cat], but A atoms of C numbers each, for
    [alternate_channels_2d].  -> (A, C, 1).

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "implicit_cat_2d"
    is_2d: ClassVar[bool] = True
    width_key: ClassVar[str | None] = None
