"""[normalization], [lrn]: local response normalisation, AlexNet's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from yolo_gp.errors import Span
from yolo_gp.layers.base import Layer, same_shape
from yolo_gp.layers.channel_flow import ChannelFlow, Mixes
from yolo_gp.layers.common_keys import CommonKeys
from yolo_gp.options import MAX_CHANNELS, Options
from yolo_gp.shapes import FeatureShape, PartialShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization(Layer):
    """[normalization]: x_k / n_k^beta, n_k from the squares of `size` neighbouring channels.

    n_0 = kappa + alpha * sum of x_j^2 over j < size // 2; n_k = n_(k-1) + alpha * x^2 of the
    channel k + size // 2 (if there is one) - alpha * x^2 of the channel k - (size - 1) // 2 - 1
    (if there is one). Channel size // 2 is never added but taken away: Darknet's slip, which its
    weights were trained with.  (C, H, W) -> the same.

    Source: Darknet src/normalization_layer.c; darknet.md 2.10.  Stores no weights.
    """

    kind: ClassVar[str] = "normalization"
    meanings: ClassVar[Mapping[str, str]] = {
        "size": "channels whose squares count",
        "alpha": "factor of the squares",
        "beta": "exponent of the sum",
        "kappa": "what the sum starts from",
    }

    span: Span
    common: CommonKeys
    size: int  # channels
    alpha: float
    beta: float
    kappa: float

    @classmethod
    def parse(cls, options: Options, common: CommonKeys) -> Normalization:
        return cls(
            span=options.span,
            common=common,
            size=options.integer("size", 5, minimum=1, maximum=MAX_CHANNELS),
            alpha=options.number("alpha", 1e-4),
            beta=options.number("beta", 0.75),
            kappa=options.number("kappa", 1.0),
        )

    def output_shape(self, inputs: Sequence[PartialShape]) -> PartialShape:
        return same_shape(inputs)

    def channel_flow(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> ChannelFlow:
        return (Mixes(0, learned=False),)

    def module(self, inputs: Sequence[FeatureShape], output: FeatureShape) -> nn.Module:
        from yolo_gp.layers.normalization_modules import LocalResponseNorm

        return LocalResponseNorm(self.size, self.alpha, self.beta, self.kappa)

    def label(self) -> str:
        return f"{self.size} channels"
