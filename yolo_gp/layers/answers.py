"""What a layer answers with beside shapes and costs: weights, filters, plain sections, boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


GradientStop = Literal["none", "identity", "block"]
"""`identity`: the edges from its sources, the first input excepted. `block`: every edge from its
only source, or from before it, into the layers between that source and itself.  Source: ELAN paper,
Fig. 9."""

GRADIENT_STOPS: tuple[GradientStop, ...] = ("none", "identity", "block")


CpuDelta = Literal["cleared", "kept", "shared", "overwrites"]
"""What AlexeyAB's CPU build does with the delta of a layer's output: clears it before each pass;
keeps it, so that it adds up; has none, but works on that of the layer before; or clears it
and overwrites that of the map it reads.  Source: `darknet_cpu`."""


@dataclass(frozen=True, slots=True)
class WeightBlock:
    """One tensor's floats in a `.weights` file.

    Fields:
        tensor: the tensor's name in the layer's torch module.
        shape: the tensor's shape in torch.
        transposed: the file holds the matrix (inputs x filters) rather than (filters x inputs).
        transposed_if_marked: so only in files whose header bears Darknet's transposed mark.
    """

    tensor: str
    shape: tuple[int, ...]
    transposed: bool = False
    transposed_if_marked: bool = False

    @property
    def count(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a convolution or a connected layer, as counts of parameters see them.

    Fields:
        count: filters; each has a bias of its own, be it only once batch norm is folded in.
        weights: the numbers of all filters together, without biases and batch norm.
        batch_norm: a batch norm follows.
    """

    count: int
    weights: int
    batch_norm: bool


@dataclass(frozen=True, slots=True)
class PlainSection:
    """A section of Darknet's own, by which a layer is written in a cfg without our extensions.

    Fields:
        kind: the section's name.
        options: keys and values in the order they are written.
        reads_key: the option that lists the layers it reads; None if it reads the previous one.
        reads: n >= 0 for the layer's input number n, -n for the section n before this one.
    """

    kind: str
    options: tuple[tuple[str, str], ...] = ()
    reads_key: str | None = None
    reads: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DenseCandidates:
    """What a head says of all its K places, whatever their scores, in the order of its candidates.

    Fields:
        boxes_cxcywh_norm: (N, K, 4); centre and size, relative to the network input.
        scores: (N, K, C); confidence per class (objectness included).
        coefficients: (N, K, M) mask coefficients; None for a head without masks.
    """

    boxes_cxcywh_norm: Tensor
    scores: Tensor
    coefficients: Tensor | None = None
