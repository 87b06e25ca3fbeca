"""[gru]: a gated recurrent unit of six connected layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.base import warn_of_pjreddies_key
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
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

_INPUTS = ("input_z", "input_r", "input_h")
_STATES = ("state_z", "state_r", "state_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gru(Recurrent):
    """[gru]: (C, H, W), flattened -> (output, 1, 1), which is its state h too.

    In each step
    z = logistic(F_input_z x + F_state_z h), r = logistic(F_input_r x + F_state_r h),
    candidate = act(F_input_h x + F_state_h (r h)), h = z h + (1 - z) candidate.
    The candidate's activation is logistic; with pjreddie's key `tanh` it is tanh.

    Source: Darknet src/gru_layer.c; darknet.md 2.12. A `.weights` file holds the layers of the
    input, then those of the state; pjreddie's the other way round (4.2).
    """

    kind: ClassVar[str] = "gru"
    meanings: ClassVar[Mapping[str, str]] = {
        "output": "numbers that it gives and remembers",
        "tanh": "1: tanh in place of logistic for the new value",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to("pjreddie", "tanh")
    width_key: ClassVar[str | None] = "output"

    span: Span
    common: CommonKeys
    outputs: int
    batch_norm: bool
    tanh: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Gru:
        tanh = options.flag("tanh")
        if tanh:
            warn_of_pjreddies_key(options, "tanh")
        return cls(
            span=options.span,
            common=common,
            outputs=parse_outputs(options, "output", MAX_OUTPUTS),
            batch_norm=options.flag("batch_normalize"),
            tanh=tanh,
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
            *(make(name, source=inputs[0]) for name in _INPUTS),
            *(make(name, source=state) for name in _STATES),
        )

    def depends_on_dialect(self) -> bool:
        return self.batch_norm

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.recurrent_modules import Gru as Module

        parts = part_modules(self.parts(inputs))
        return Module(parts, self.outputs, "tanh" if self.tanh else "logistic")

    def pjreddies_weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return weight_blocks(self.parts(inputs), (*_STATES, *_INPUTS))

    def label(self) -> str:
        return "tanh" if self.tanh else "logistic"
