"""[lstm]: long short-term memory of eight connected layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.recurrent import (
    MAX_OUTPUTS,
    Part,
    Recurrent,
    connected_part,
    parse_outputs,
    part_modules,
    weight_blocks,
)
from yolo_gp.options import Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn

_OF_STATE = ("wf", "wi", "wg", "wo")
_OF_INPUT = ("uf", "ui", "ug", "uo")
_PJREDDIES = ("wi", "wf", "wo", "wg", "ui", "uf", "uo", "ug")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lstm(Recurrent):
    """[lstm]: (C, H, W), flattened -> (output, 1, 1), which is its state h; it has a cell c too.

    In each step
    f = logistic(wf h + uf x), i = logistic(wi h + ui x), g = tanh(wg h + ug x),
    o = logistic(wo h + uo x), c = f c + i g, h = o tanh(c); each w and u a connected layer.

    Source: Darknet src/lstm_layer.c; darknet.md 2.12. A `.weights` file holds wf, wi, wg, wo,
    uf, ui, ug, uo; pjreddie's each four as i, f, o, g (4.2).
    """

    kind: ClassVar[str] = "lstm"
    meanings: ClassVar[Mapping[str, str]] = {"output": "numbers that it gives and remembers"}
    width_key: ClassVar[str | None] = "output"

    span: Span
    common: CommonKeys
    outputs: int
    batch_norm: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Lstm:
        return cls(
            span=options.span,
            common=common,
            outputs=parse_outputs(options, "output", MAX_OUTPUTS),
            batch_norm=options.flag("batch_normalize"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return PartialShape(self.outputs, 1, 1)

    def parts(self, inputs: Sequence[FeatureShape]) -> tuple[Part, ...]:
        make = functools.partial(
            connected_part,
            common=self.common,
            span=self.span,
            outputs=self.outputs,
            batch_norm=self.batch_norm,
        )
        state = FeatureShape(self.outputs, 1, 1)
        return (
            *(make(name, source=state) for name in _OF_STATE),
            *(make(name, source=inputs[0]) for name in _OF_INPUT),
        )

    def depends_on_dialect(self) -> bool:
        return self.batch_norm

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.recurrent_modules import Lstm as Module

        return Module(part_modules(self.parts(inputs)), self.outputs, flat=True)

    def pjreddies_weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return weight_blocks(self.parts(inputs), _PJREDDIES)

    def label(self) -> str:
        return "tanh"
