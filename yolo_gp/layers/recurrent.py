"""What the recurrent kinds are built of: parts, each a [connected] or a [convolutional].

A part has all facets of such a section; those of the recurrent section add up from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from yolo_gp.cost import Cost
from yolo_gp.errors import Span
from yolo_gp.layers.activations import CONVOLUTION_ACTIVATIONS, parse_activation
from yolo_gp.layers.answers import Filters, WeightBlock
from yolo_gp.layers.base import Layer
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.connected import Connected
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn

MAX_OUTPUTS = 2**24
_MAX_KERNEL = 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A layer inside a recurrent section.

    Fields:
        name: its name in the section's module.
        layer: what it computes.
        source: what it reads.
        output: what it gives.
    """

    name: str
    layer: Connected | Convolutional
    source: FeatureShape
    output: FeatureShape


def parse_outputs(options: Options, key: str, maximum: int) -> int:
    """Read how much a section gives or remembers."""
    return options.integer(key, 1, minimum=1, maximum=maximum)


def connected_part(
    name: str,
    common: CommonKeys,
    span: Span,
    source: FeatureShape,
    outputs: int,
    *,
    batch_norm: bool,
    activation: str = "linear",
) -> Part:
    """A [connected] of the section that has these common keys and this span."""
    layer = Connected(
        span=span,
        common=_common_of_parts(common),
        outputs=outputs,
        batch_norm=batch_norm,
        activation=activation,
    )
    return Part(name, layer, source, FeatureShape(outputs, 1, 1))


def _common_of_parts(common: CommonKeys) -> CommonKeys:
    """Without `dontloadscales`, which Darknet does not honour inside a recurrent section."""
    return CommonKeys(dialect=common.dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolving:
    """How all [convolutional] parts of a section compute; they keep the map's size.

    Fields:
        kernel_size: of the window; odd.
        dilation: between its taps.
        groups: of channels.
        batch_norm: each part is followed by one of its own.
        activation: of each part.
        xnor: weights and input are binarised.
    """

    kernel_size: int
    dilation: int
    groups: int
    batch_norm: bool
    activation: str
    xnor: bool

    @classmethod
    def parse(cls, options: Options, default_activation: str, *, fixed: bool = False) -> Convolving:
        """Read it; `fixed` for pjreddie's [crnn], whose windows are 3x3."""
        kernel_size = options.integer("size", 3, minimum=1, maximum=_MAX_KERNEL)
        stride = options.integer("stride", 1, minimum=1)
        dilation = options.integer("dilation", 1, minimum=1, maximum=_MAX_KERNEL)
        padding = options.integer("padding", 0, maximum=_MAX_KERNEL)
        if options.flag("pad") or fixed:
            padding = kernel_size // 2
        if options.trusts("size", "stride", "padding", "pad"):
            _check_size_is_kept(options, kernel_size, stride, padding)
        return cls(
            kernel_size=kernel_size,
            dilation=dilation if kernel_size > 1 else 1,
            groups=options.integer("groups", 1, minimum=1, maximum=MAX_CHANNELS),
            batch_norm=options.flag("batch_normalize"),
            activation=parse_activation(
                options, default_activation, computed=CONVOLUTION_ACTIVATIONS
            ),
            xnor=options.flag("xnor"),
        )

    def check_filters(self, options: Options, key: str, filters: int) -> None:
        """Report filters that the groups do not divide."""
        if options.trusts(key, "groups") and filters % self.groups:
            options.error(
                Rule.CHANNEL_MISMATCH,
                "groups",
                f"[{options.kind}] cannot share out {key}={filters} over groups={self.groups}",
                expected=f"{key} that is a multiple of groups",
            )

    def check_input(self, source: PartialShape, kind: str, span: Span) -> None:
        """
        Raises:
            ShapeProblem: the groups do not divide the input's channels.
        """
        if source.channels is not None and source.channels % self.groups:
            raise ShapeProblem(
                Rule.CHANNEL_MISMATCH,
                span,
                f"[{kind}] cannot share out the {source.channels} channels of {{0}} over "
                f"groups={self.groups}",
                expected=f"groups that divide {source.channels}",
            )

    def part(
        self, name: str, common: CommonKeys, span: Span, source: FeatureShape, filters: int
    ) -> Part:
        """A [convolutional] of the section that has these common keys and this span."""
        layer = Convolutional(
            span=span,
            common=_common_of_parts(common),
            out_channels=filters,
            kernel_size=self.kernel_size,
            stride=(1, 1),
            padding=self.kernel_size // 2,
            dilation=self.dilation,
            groups=self.groups,
            batch_norm=self.batch_norm,
            activation=self.activation,
            xnor=self.xnor,
            flipped=False,
            shared=None,
            groups_span=span,
        )
        return Part(name, layer, source, dataclasses.replace(source, channels=filters))

    @property
    def label(self) -> str:
        """Its settings as the layer table shows them."""
        extra = f" g{self.groups}" if self.groups > 1 else ""
        extra += f" d{self.dilation}" if self.dilation > 1 else ""
        return f"{self.kernel_size}x{self.kernel_size}{extra} {self.activation}"


def _check_size_is_kept(options: Options, kernel_size: int, stride: int, padding: int) -> None:
    if stride == 1 and 2 * padding == kernel_size - 1:
        return
    what = f"stride={stride}" if stride > 1 else f"size={kernel_size} with padding {padding}"
    key = "stride" if stride > 1 else "size"
    options.error(
        Rule.SIZE_MISMATCH,
        key,
        f"[{options.kind}] {what} gives a map of another size than its input, so Darknet cannot "
        "add what it remembers",
        expected="stride=1, and an odd size with pad=1",
    )


def total_cost(parts: Iterable[Part], output: FeatureShape, extra_operations: int = 0) -> Cost:
    """The section's cost for one step: that of its parts.

    Args:
        extra_operations: what Darknet counts besides.
    """
    costs = [part.layer.cost([part.source], part.output) for part in parts]
    return Cost(
        params=sum(cost.params for cost in costs),
        macs=sum(cost.macs for cost in costs),
        darknet_operations=sum(cost.darknet_operations for cost in costs) + extra_operations,
        activations=output.elements,
    )


def total_filters(parts: Iterable[Part]) -> Filters:
    """The filters of all parts together."""
    found = [part.layer.filters([part.source]) for part in parts]
    return Filters(
        sum(filters.count for filters in found),
        sum(filters.weights for filters in found),
        any(filters.batch_norm for filters in found),
    )


def weight_blocks(
    parts: Iterable[Part], names: Sequence[str] | None = None
) -> tuple[WeightBlock, ...]:
    """The parts' tensors, part after part.

    Args:
        names: the parts in another order.
    """
    found = {part.name: part for part in parts}
    return tuple(
        dataclasses.replace(block, tensor=f"parts.{name}.{block.tensor}")
        for name in (names or found)
        for block in found[name].layer.weight_order([found[name].source])
    )


def part_modules(parts: Iterable[Part]) -> Mapping[str, nn.Module]:
    """The parts' torch modules, by name."""
    return {part.name: part.layer.module([part.source], part.output) for part in parts}


class Recurrent(Layer, Protocol):
    """A section of parts that remembers; a kind says what its parts are."""

    def parts(self, inputs: Sequence[FeatureShape]) -> tuple[Part, ...]:
        """In the order of a `.weights` file."""
        ...

    def cost(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> Cost:
        return total_cost(self.parts(inputs), output)

    def filters(self, inputs: Sequence[FeatureShape]) -> Filters:
        return total_filters(self.parts(inputs))

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=True),)

    def remembers(self) -> bool:
        return True

    def weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return weight_blocks(self.parts(inputs))
