"""[shift_channels], [control_channels], [alternate_channels], [select_channels], also as _2d."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, single_source
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, times

if TYPE_CHECKING:
    from torch import nn

ChannelOperation = Literal["add", "multiply", "join", "gate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedChannels(Layer):
    """A vector v, one number per channel, applied to the previous map x: (C, H, W).

    "add": x + v; "multiply": v x; "gate": sigmoid(v) x; all (C, H, W). "join": v in every pixel,
    then x: (2 C, H, W). v may also be a single number, or a map as large as x. The _2d kinds read
    all numbers of their source, (A, B, 1) with A B = C, as v.

    Source: yolor-dialect.md; WongKinYiu/yolor, utils/layers.py.  Stores no weights.
    """

    reader: ClassVar[Reader] = "YOLOR"
    meanings: ClassVar[Mapping[str, str]] = {
        "from": "the section whose numbers are applied to the channels of the previous map",
    }
    operation: ClassVar[ChannelOperation]
    is_2d: ClassVar[bool] = False

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> LearnedChannels:
        return cls(span=options.span, common=common, layers=single_source(options))

    def sources(self) -> tuple[Reference, ...]:
        return (Reference(-1, self.span), *self.layers)

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        x, vector = inputs
        if self.is_2d:
            self._check_numbers(x, vector)
        else:
            self._check_broadcast(x, vector)
        if self.operation != "join":
            return x
        return PartialShape(times(x.channels, 2), x.height, x.width)

    def _check_numbers(self, x: PartialShape, vector: PartialShape) -> None:
        shape = vector.complete
        if shape is None or x.channels is None or shape.elements in (1, x.channels):
            return
        raise ShapeProblem(
            Rule.CHANNEL_MISMATCH,
            self.layers[0].span,
            f"[{self.kind}] wants a number for each channel: {{0}} has {x.channels} channels, "
            f"{{1}} gives {shape} = {shape.elements} numbers",
            expected=f"atoms * filters = {x.channels} in the section at line {{1.line}}",
        )

    def _check_broadcast(self, x: PartialShape, vector: PartialShape) -> None:
        pairs = (
            (x.channels, vector.channels),
            (x.height, vector.height),
            (x.width, vector.width),
        )
        if all(theirs is None or own is None or theirs in (1, own) for own, theirs in pairs):
            return
        channels = "?" if x.channels is None else x.channels
        raise ShapeProblem(
            Rule.CHANNEL_MISMATCH,
            self.layers[0].span,
            f"[{self.kind}] wants a number for each channel: {{0}} is {x}, {{1}} is {vector}",
            expected=f"filters={channels} in the section at line {{1.line}}",
        )

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        x, vector = inputs
        target = x.channels if self.operation == "join" else 0
        return (Passes(0, x.channels, target=target), self._vector_flow(x, vector))

    def _vector_flow(self, x: FeatureShape, vector: FeatureShape) -> Passes | Mixes:
        if vector.channels == x.channels:
            return Passes(1, x.channels)
        # One channel reaches all, or each atom's channel those of its numbers.
        return Mixes(1, learned=False, groups=vector.channels, outputs=x.channels)

    def starts_as_identity(self) -> bool:
        return self.operation in ("add", "multiply")  # with numbers that start at 0, and at 1

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.dialect_modules import LearnedChannels as Module

        return Module(self.operation, flat=self.is_2d)


class ShiftChannels(LearnedChannels):
    """[shift_channels]: x + v, x being the previous map and v a number for each of its
    channels.  (C, H, W) -> (C, H, W).

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "shift_channels"
    operation: ClassVar[ChannelOperation] = "add"


class ControlChannels(LearnedChannels):
    """[control_channels]: v x, x being the previous map and v a number for each of its
    channels.  (C, H, W) -> (C, H, W).

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "control_channels"
    operation: ClassVar[ChannelOperation] = "multiply"


class AlternateChannels(LearnedChannels):
    """[alternate_channels]: a map that holds v, a number for each channel of the previous map x, in
    every pixel, joined by x itself.  (C, H, W) -> (2 C, H, W).

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "alternate_channels"
    operation: ClassVar[ChannelOperation] = "join"


class SelectChannels(LearnedChannels):
    """[select_channels]: sigmoid(v) x, x being the previous map and v a number for each of its
    channels.  (C, H, W) -> (C, H, W).

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "select_channels"
    operation: ClassVar[ChannelOperation] = "gate"


class ShiftChannels2d(ShiftChannels):
    """[shift_channels_2d]: as [shift_channels], but its source is (A, B, 1) and holds A B
    numbers, those of the channels in order.

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "shift_channels_2d"
    is_2d: ClassVar[bool] = True


class ControlChannels2d(ControlChannels):
    """[control_channels_2d]: as [control_channels], but its source is (A, B, 1) and holds A B
    numbers, those of the channels in order.

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "control_channels_2d"
    is_2d: ClassVar[bool] = True


class AlternateChannels2d(AlternateChannels):
    """[alternate_channels_2d]: as [alternate_channels], but its source is (A, B, 1) and holds A B
    numbers, those of the channels in order.

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "alternate_channels_2d"
    is_2d: ClassVar[bool] = True


class SelectChannels2d(SelectChannels):
    """[select_channels_2d]: as [select_channels], but its source is (A, B, 1) and holds A B
    numbers, those of the channels in order.

    Source: yolor-dialect.md.  Stores no weights.
    """

    kind: ClassVar[str] = "select_channels_2d"
    is_2d: ClassVar[bool] = True
