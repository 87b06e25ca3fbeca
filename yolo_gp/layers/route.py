"""[route]: takes earlier maps, or a slice of each, and joins their channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.answers import CpuDelta, PlainSection
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Passes
from yolo_gp.layers.common_keys import STREAM_KEYS, CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.shape_problems import ShapeProblem, check_equal_sizes
from yolo_gp.options import MAX_CHANNELS, Options, Reference
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Layer):
    """[route]: (C_i, H, W) of each source -> (sum of C_i / groups, H, W).

    With groups, slice number `group_id` of each source's channels is taken, then all are joined
    in the order of `layers`.

    Source: Darknet src/route_layer.c; darknet.md 2.4.  Stores no weights.
    """

    kind: ClassVar[str] = "route"
    cpu_delta: ClassVar[CpuDelta] = "kept"
    ignored = STREAM_KEYS
    meanings: ClassVar[Mapping[str, str]] = {
        "layers": "the layers to join, in this order",
        "groups": "into how many equal slices of channels each source is cut",
        "group_id": "the slice that is taken, from 0 to groups - 1",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to("AlexeyAB", "groups", "group_id")

    span: Span
    common: CommonKeys
    layers: tuple[Reference, ...]
    groups: int
    group_id: int
    groups_span: Span

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Route:
        groups = options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS)
        group_id = options.integer("group_id", 0, maximum=MAX_CHANNELS)
        if options.trusts("groups", "group_id") and group_id >= groups:
            options.error(
                Rule.EMPTY_GROUP,
                "group_id",
                f"[{cls.kind}] group_id={group_id} does not exist among groups={groups}",
                expected=f"0 to {groups - 1}",
            )
        return cls(
            span=options.span,
            common=common,
            layers=options.references("layers"),
            groups=groups,
            group_id=group_id,
            groups_span=options.span_of("groups"),
        )

    def sources(self) -> tuple[Reference, ...]:
        return self.layers

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        for position, source in enumerate(inputs):
            self._check_slice(position, source)
            check_equal_sizes(
                inputs,
                position,
                self.layers[position].span,
                f"[{self.kind}] joins maps of different size",
                "sources of equal height and width",
            )
        counts = [source.channels for source in inputs]
        known = [count for count in counts if count is not None]
        channels = sum(count // self.groups for count in known)
        height, width = inputs[0].height, inputs[0].width
        return PartialShape(channels if len(known) == len(counts) else None, height, width)

    def _check_slice(self, position: int, source: PartialShape) -> None:
        if source.channels is None or source.channels % self.groups == 0:
            return
        empty = source.channels < self.groups
        raise ShapeProblem(
            Rule.EMPTY_GROUP if empty else Rule.CHANNEL_MISMATCH,
            self.groups_span,
            f"[{self.kind}] cannot cut the {source.channels} channels of {{{position}}} into "
            f"groups={self.groups}",
            expected=f"groups that divide {source.channels}",
        )

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        ways: list[Passes] = []
        target = 0
        for position, source in enumerate(inputs):
            count = source.channels // self.groups
            ways.append(Passes(position, count, start=count * self.group_id, target=target))
            target += count
        return tuple(ways)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.modules import Concat, ConcatSlices

        if self.groups == 1:
            return Concat()
        widths = tuple(source.channels // self.groups for source in inputs)
        return ConcatSlices(widths, self.group_id)

    def is_identity(self) -> bool:
        return len(self.layers) == 1 and self.groups == 1

    def passes_input(self) -> bool:
        return len(self.layers) == 1

    def plain_sections(self, inputs: Sequence[FeatureShape]) -> tuple[PlainSection, ...]:
        return (plain_route(*range(len(inputs)), groups=self.groups, group_id=self.group_id),)

    def label(self) -> str:
        return f"group {self.group_id} of {self.groups}" if self.groups > 1 else ""


def plain_route(*reads: int, groups: int = 1, group_id: int = 0) -> PlainSection:
    """A [route] as a cfg holds it; `reads` as in `PlainSection`."""
    slices = (("groups", str(groups)), ("group_id", str(group_id))) if groups > 1 else ()
    return PlainSection("route", slices, reads_key="layers", reads=reads)
