"""[reorg]: YOLOv2's shuffle from space to depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.dialect import Dialect
from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, warn_of_pjreddies_key
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes, Passes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.layers.meanings import Reader, known_to
from yolo_gp.layers.shape_problems import ShapeProblem
from yolo_gp.options import Options
from yolo_gp.rules import Rule
from yolo_gp.shapes import FeatureShape, PartialShape, divided, format_size, times

if TYPE_CHECKING:
    from torch import nn

MAX_STRIDE = 256
_MAX_EXTRA = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg(Layer):
    """[reorg]: (C, H, W) -> (C s^2, H / s, W / s), s = stride; reverse=1 the other way.

    No plain space-to-depth: Darknet reads the flat input as if it had C / s^2 channels of
    H s x W s pixels, and trained YOLOv2 weights rely on that order. Instead of the shuffle, flatten
    puts the numbers into the order of pixels (reverse=1: back into that of channels), and extra
    appends zeros, (C, H, W) -> (C H W + extra, 1, 1).

    In the YOLOR dialect it takes no keys: stride 2, and the plain order of SpaceToDepth.

    Source: Darknet src/reorg_old_layer.c, pjreddie's src/reorg_layer.c; darknet.md 2.7.  Stores no
    weights.
    """

    kind: ClassVar[str] = "reorg"
    meanings: ClassVar[Mapping[str, str]] = {
        "stride": "how many times smaller the map gets, both ways",
        "reverse": "1: from depth to space, the other way round",
        "flatten": "numbers are reordered from channels first to channels last",
        "extra": "so many zeros are appended",
    }
    key_readers: ClassVar[Mapping[str, Reader]] = known_to("pjreddie", "flatten", "extra")

    span: Span
    common: CommonKeys
    stride: int
    reverse: bool
    flatten: bool = False
    extra: int = 0

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Reorg:
        if options.dialect is Dialect.YOLOR:
            _warn_of_keys(options)
            return cls(span=options.span, common=common, stride=2, reverse=False)
        flatten = options.flag("flatten")
        extra = options.integer("extra", 0, maximum=_MAX_EXTRA)
        if flatten != bool(extra):
            warn_of_pjreddies_key(options, "flatten" if flatten else "extra")
        elif flatten:
            options.error(
                Rule.UNSUPPORTED,
                "extra",
                f"[reorg] extra={extra} beside flatten=1: pjreddie's Darknet reads past the map",
                expected="one of the two",
            )
        return cls(
            span=options.span,
            common=common,
            stride=options.integer("stride", 1, minimum=1, maximum=MAX_STRIDE),
            reverse=options.flag("reverse"),
            flatten=flatten,
            extra=extra,
        )

    @property
    def _is_plain(self) -> bool:
        """Whether the map's own pixels move, as anybody but Darknet would have it."""
        return self.common.dialect is Dialect.YOLOR

    def depends_on_dialect(self) -> bool:
        return True

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        if self.extra:
            shape = inputs[0].complete
            return PartialShape(shape.elements + self.extra if shape else None, 1, 1)
        moves_numbers = self._is_plain or (self.flatten and not self.reverse)
        multiple = 1 if moves_numbers else self.stride**2
        return shuffled_shape(
            self, inputs[0], stride=self.stride, reverse=self.reverse, multiple=multiple
        )

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        if not self._is_plain:
            return (Mixes(0, learned=False),)
        channels = inputs[0].channels
        return tuple(Passes(0, channels, target=part * channels) for part in range(4))

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.dialect_modules import SpaceToDepth
        from yolo_gp.layers.shuffle_modules import FlatPadding, FlatTranspose
        from yolo_gp.layers.shuffle_modules import Reorg as Module

        if self._is_plain:
            return SpaceToDepth()
        if self.extra:
            return FlatPadding(self.extra)
        if self.flatten:
            return FlatTranspose((output.channels, *output.size), self.reverse)
        return Module(self.stride, self.reverse)

    def label(self) -> str:
        if self.extra:
            return f"+ {self.extra} zeros"
        words = (f"/{self.stride}", "flatten" * self.flatten, "reverse" * self.reverse)
        return " ".join(word for word in words if word)


def _warn_of_keys(options: Options) -> None:
    """The YOLOR dialect has no keys here; say so where they ask for something else."""
    for key, natural in (("stride", 2), ("reverse", 0), ("flatten", 0), ("extra", 0)):
        value = options.integer(key, natural, maximum=_MAX_EXTRA)
        if value != natural:
            options.warning(
                Rule.NO_EFFECT,
                key,
                f"[reorg] {key}={value} has no effect in the YOLOR dialect, whose reorg halves the "
                "map",
                help="remove the line",
            )


def shuffled_shape(
    layer: Layer, source: PartialShape, *, stride: int, reverse: bool, multiple: int
) -> PartialShape:
    """The shape of a map whose pixels move to channels, or back with `reverse`.

    Args:
        multiple: what the number of channels must be a multiple of.

    Raises:
        ShapeProblem: it is not, or the stride does not divide the size.
    """
    if source.channels is not None and source.channels % multiple:
        raise ShapeProblem(
            Rule.CHANNEL_MISMATCH,
            layer.span,
            f"[{layer.kind}] stride={stride}{' reverse=1' * reverse} needs a multiple of "
            f"{multiple} channels, {{0}} has {source.channels}",
            expected=f"channels that {multiple} divides",
        )
    if reverse:
        channels = divided(source.channels, stride**2)
        return PartialShape(channels, times(source.height, stride), times(source.width, stride))
    if source.size and any(length % stride for length in source.size):
        raise ShapeProblem(
            Rule.SIZE_MISMATCH,
            layer.span,
            f"[{layer.kind}] stride={stride} does not divide {{0}}, which is "
            f"{format_size(source.size)}",
            expected=f"a map whose height and width are multiples of {stride}",
        )
    channels = times(source.channels, stride**2)
    return PartialShape(channels, divided(source.height, stride), divided(source.width, stride))
