"""[crnn]: a recurrent layer of three convolutions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.recurrent import (
    Convolving,
    Part,
    Recurrent,
    parse_outputs,
    part_modules,
)
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


_KEYS = ("output", "hidden")
_KEYS_OF_PJREDDIE = ("output_filters", "hidden_filters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crnn(Recurrent):
    """[crnn]: (C, H, W) -> (output, H, W), with a state s of (hidden, H, W).

    In each step s = act(input * x) + act(self * s), and + the old s with shortcut; then
    y = act(output * s); each * is a convolution that keeps the size. pjreddie's Darknet has other
    keys, and 3x3 windows only.

    Source: Darknet src/crnn_layer.c; darknet.md 2.12. A `.weights` file holds the three
    convolutions in this order (4.2).
    """

    kind: ClassVar[str] = "crnn"
    meanings: ClassVar[Mapping[str, str]] = {
        "output": "channels of its output",
        "hidden": "channels of the map that it remembers",
        "output_filters": "the same as `output`, with 3x3 windows",
        "hidden_filters": "the same as `hidden`, beside `output_filters`",
        "size": "side of the windows; odd",
        "stride": "only 1 works, as the map must keep its size",
        "padding": "rows and columns of zeros around the map, without `pad`",
        "pad": "1: padding is size // 2, which is what keeps the map's size",
        "dilation": "step between the taps of a window",
        "groups": "groups of channels that are convolved apart",
        "xnor": "1: weights and inputs are binarised",
        "shortcut": "1: the state keeps its old value and gets the new one added",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = {
        **known_to("pjreddie", "output_filters", "hidden_filters"),
        **known_to(
            "AlexeyAB", "output", "hidden", "size", "stride", "padding", "pad", "dilation",
            "groups", "xnor",
        ),
    }  # fmt: skip
    width_key: ClassVar[str | None] = "output"

    span: Span
    common: CommonKeys
    out_channels: int
    hidden_channels: int
    convolving: Convolving
    shortcut: bool

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Crnn:
        is_pjreddies = "output_filters" in options and "output" not in options
        output, hidden = _KEYS_OF_PJREDDIE if is_pjreddies else _KEYS
        counts = {
            key: parse_outputs(options, key, MAX_CHANNELS) for key in (*_KEYS, *_KEYS_OF_PJREDDIE)
        }
        _remark(options, output, _KEYS if is_pjreddies else _KEYS_OF_PJREDDIE)
        convolving = Convolving.parse(options, "logistic", fixed=is_pjreddies)
        spec = cls(
            span=options.span,
            common=common,
            out_channels=counts[output],
            hidden_channels=counts[hidden],
            convolving=convolving,
            shortcut=options.flag("shortcut"),
        )
        convolving.check_filters(options, output, spec.out_channels)
        convolving.check_filters(options, hidden, spec.hidden_channels)
        return spec

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        self.convolving.check_input(inputs[0], self.kind, self.span)
        return PartialShape(self.out_channels, inputs[0].height, inputs[0].width)

    def parts(self, inputs: Sequence[FeatureShape]) -> tuple[Part, ...]:
        make = functools.partial(self.convolving.part, common=self.common, span=self.span)
        state = FeatureShape(self.hidden_channels, *inputs[0].size)
        return (
            make("from_input", source=inputs[0], filters=self.hidden_channels),
            make("from_state", source=state, filters=self.hidden_channels),
            make("to_output", source=state, filters=self.out_channels),
        )

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True, groups=self.convolving.groups),)

    def depends_on_dialect(self) -> bool:
        return self.convolving.batch_norm

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.recurrent_modules import Elman

        parts = part_modules(self.parts(inputs))
        return Elman(parts, self.hidden_channels, shortcut=self.shortcut, flat=False)

    def label(self) -> str:
        return f"{self.hidden_channels} {self.convolving.label}"


def _remark(options: Options, output: str, others: Sequence[str]) -> None:
    if output in _KEYS_OF_PJREDDIE:
        options.warning(
            Rule.PJREDDIES_KEY,
            output,
            f"[crnn] {output} is pjreddie's key; AlexeyAB's Darknet has output and hidden. It is "
            "read as pjreddie's does, with 3x3 windows",
            help="write output=, hidden=, size=3 and pad=1 for both",
        )
    for key in others:
        if key in options:
            options.warning(
                Rule.NO_EFFECT, key, f"[crnn] {key} has no effect beside {output}, as in Darknet"
            )
