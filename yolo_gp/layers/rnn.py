"""[rnn]: a recurrent layer of three connected ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.activations import parse_activation
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.recurrent import (
    MAX_OUTPUTS,
    Part,
    Recurrent,
    connected_part,
    parse_outputs,
    part_modules,
)
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn

_SELF_ACTIVATIONS = {1: "logistic", 2: "loggy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rnn(Recurrent):
    """[rnn]: (C, H, W), flattened -> (output, 1, 1), with a state s of `hidden` numbers.

    In each step s = act(F_input x) + act_self(F_self s), and + the old s with shortcut; then
    y = act(F_output s).

    Source: Darknet src/rnn_layer.c; darknet.md 2.12. A `.weights` file holds the three connected
    layers in this order (4.2).
    """

    kind: ClassVar[str] = "rnn"
    meanings: ClassVar[Mapping[str, str]] = {
        "output": "numbers that it gives",
        "hidden": "numbers that it remembers",
        "logistic": "the activation of what comes from the state: 1 logistic, 2 loggy, otherwise "
        "`activation`",
        "shortcut": "1: the state keeps its old value and gets the new one added",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to("AlexeyAB", "hidden", "logistic")
    width_key: ClassVar[str | None] = "output"

    span: Span
    common: CommonKeys
    outputs: int
    hidden: int
    batch_norm: bool
    activation: str
    self_activation: str
    shortcut: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Rnn:
        activation = parse_activation(options, "logistic")
        kind = options.integer("logistic", 0, minimum=-(2**31), maximum=2**31 - 1)
        if kind not in (0, *_SELF_ACTIVATIONS):
            options.warning(
                Rule.NO_EFFECT,
                "logistic",
                f"[rnn] logistic={kind} has no effect; Darknet knows 1 and 2",
            )
        return cls(
            span=options.span,
            common=common,
            outputs=parse_outputs(options, "output", MAX_OUTPUTS),
            hidden=_hidden(options),
            batch_norm=options.flag("batch_normalize"),
            activation=activation,
            self_activation=_SELF_ACTIVATIONS.get(kind, activation),
            shortcut=options.flag("shortcut"),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return PartialShape(self.outputs, 1, 1)

    def parts(self, inputs: Sequence[FeatureShape]) -> tuple[Part, ...]:
        make = functools.partial(
            connected_part, common=self.common, span=self.span, batch_norm=self.batch_norm
        )
        state = FeatureShape(self.hidden, 1, 1)
        into, back, out = self.activation, self.self_activation, self.activation
        return (
            make("from_input", source=inputs[0], outputs=self.hidden, activation=into),
            make("from_state", source=state, outputs=self.hidden, activation=back),
            make("to_output", source=state, outputs=self.outputs, activation=out),
        )

    def depends_on_dialect(self) -> bool:
        return self.batch_norm

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.recurrent_modules import Elman

        parts = part_modules(self.parts(inputs))
        return Elman(parts, self.hidden, shortcut=self.shortcut, flat=True)

    def label(self) -> str:
        return f"{self.hidden} {self.activation}"


def _hidden(options: Options) -> int:
    if "hidden" not in options:
        options.warning(
            Rule.SILENT_DEFAULT,
            "hidden",
            "[rnn] has no hidden; AlexeyAB's Darknet takes 1, pjreddie's as many as output; 1 is "
            "used here",
            help="write hidden= and a number, or the value of output if the weights are pjreddie's",
        )
    return parse_outputs(options, "hidden", MAX_OUTPUTS)
