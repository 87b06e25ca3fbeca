"""[conv_lstm]: long short-term memory of maps, made of convolutions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import ACTIVATIONS
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys, training_only
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.recurrent import (
    Convolving,
    Part,
    Recurrent,
    parse_outputs,
    part_modules,
    total_cost,
)
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn

_BOUND = 32  # times time_steps, which is 1 whenever Darknet does not train
_OF_CELL = ("vf", "vi", "vo")
_OF_STATE = ("wf", "wi", "wg", "wo")
_OF_INPUT = ("uf", "ui", "ug", "uo")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLstm(Recurrent):
    """[conv_lstm]: (C, H, W) -> (output, H, W), which is its state h; it has a cell c too.

    In each step
    f = logistic(wf h + uf x), i = logistic(wi h + ui x), g = squash(wg h + ug x),
    c = f c + i g, o = logistic(wo h + uo x), h = o squash(c); then c is kept within
    +-state_constrain. Each w and u is a convolution that keeps the size. With a peephole f gains
    vf c, i gains vi c and o gains vo of the new c.

    With a bottleneck, b = squash(wf [h, x]) stands in place of x, and there is no other w;
    `shortcut` then adds b to the first half of the output's channels.

    Source: Darknet src/conv_lstm_layer.c; darknet.md 2.12. A `.weights` file holds vf, vi, vo;
    wf, wi, wg, wo; uf, ui, ug, uo, as far as there are any (4.2).
    """

    kind: ClassVar[str] = "conv_lstm"
    ignored: ClassVar[Mapping[str, str]] = training_only("time_normalizer")
    reader: ClassVar[Reader] = "AlexeyAB"
    meanings: ClassVar[Mapping[str, str]] = {
        "output": "channels of its output, its state and its cell",
        "size": "side of the windows; odd",
        "stride": "only 1 works, as the map must keep its size",
        "padding": "rows and columns of zeros around the map, without `pad`",
        "pad": "1: padding is size // 2, which is what keeps the map's size",
        "dilation": "step between the taps of a window",
        "groups": "groups of channels that are convolved apart",
        "xnor": "1: weights and inputs are binarised",
        "activation": "of each convolution, before their sum enters a gate",
        "lstm_activation": "of the new value, and of the cell on its way out",
        "peephole": "1: the gates see the cell too",
        "bottleneck": "1: one convolution reads input and state, all others read its output",
        "shortcut": "1, beside `bottleneck`: half of the output's channels get its output added",
        "state_constrain": "bound of the cell's numbers, 0 for none; Darknet trains with 32 times "
        "`time_steps` by default",
        "time_normalizer": "factor of gradients from later steps",
    }
    width_key: ClassVar[str | None] = "output"

    span: Span
    common: CommonKeys
    out_channels: int
    convolving: Convolving
    squash: str
    peephole: bool
    bottleneck: bool
    shortcut: bool
    bound: int  # of the cell; 0 for none

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> ConvLstm:
        convolving = Convolving.parse(options, "linear")
        spec = cls(
            span=options.span,
            common=common,
            out_channels=parse_outputs(options, "output", MAX_CHANNELS),
            convolving=convolving,
            squash=options.choice("lstm_activation", "tanh", ACTIVATIONS),
            peephole=options.flag("peephole"),
            bottleneck=options.flag("bottleneck"),
            shortcut=options.flag("shortcut"),
            bound=options.integer("state_constrain", _BOUND, maximum=2**31 - 1),
        )
        convolving.check_filters(options, "output", spec.out_channels)
        spec._remark(options)
        return spec

    def _remark(self, options: Options) -> None:
        if self.bottleneck:
            options.warning(
                Rule.GPU_BUILD_ONLY,
                "bottleneck",
                "[conv_lstm] bottleneck=1 stops AlexeyAB's CPU build; it is computed here as its "
                "GPU build does",
            )
        elif self.shortcut:
            options.warning(
                Rule.NO_EFFECT,
                "shortcut",
                "[conv_lstm] shortcut=1 has no effect without bottleneck=1, as in Darknet",
            )
        if self.squash != "tanh" and options.trusts("lstm_activation"):
            options.warning(
                Rule.GPU_BUILD_ONLY,
                "lstm_activation",
                f"AlexeyAB's CPU build takes tanh in place of lstm_activation={self.squash}; it is "
                "applied here as in its GPU build",
            )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        (source,) = inputs
        if self.bottleneck and source.channels not in (None, self.out_channels):
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                self.span,
                f"[conv_lstm] bottleneck=1 with output={self.out_channels} reads {{0}}, which has "
                f"{source.channels} channels",
                expected="as many channels as output",
                help=f"write output={source.channels}, or put a convolution before it",
            )
        self.convolving.check_input(source, self.kind, self.span)
        return PartialShape(self.out_channels, source.height, source.width)

    def parts(self, inputs: Sequence[FeatureShape]) -> tuple[Part, ...]:
        make = functools.partial(
            self.convolving.part, common=self.common, span=self.span, filters=self.out_channels
        )
        state = FeatureShape(self.out_channels, *inputs[0].size)
        both = FeatureShape(2 * self.out_channels, *inputs[0].size)
        return (
            *(make(name, source=state) for name in _OF_CELL if self.peephole),
            make("wf", source=both if self.bottleneck else state),
            *(make(name, source=state) for name in _OF_STATE[1:] if not self.bottleneck),
            *(make(name, source=inputs[0]) for name in _OF_INPUT),
        )

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        sums = 12 if self.peephole else 9  # per element, as Darknet counts
        return total_cost(self.parts(inputs), output, sums * output.elements)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True, groups=1 if self.bottleneck else self.convolving.groups),)

    def depends_on_dialect(self) -> bool:
        return self.convolving.batch_norm

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.recurrent_modules import Lstm as Module

        return Module(
            part_modules(self.parts(inputs)),
            self.out_channels,
            flat=False,
            squash=self.squash,
            shortcut=self.shortcut and self.bottleneck,
            bound=self.bound,
        )

    def label(self) -> str:
        extra = " peephole" if self.peephole else ""
        extra += " bottleneck" if self.bottleneck else ""
        return f"{self.convolving.label}{extra}"
