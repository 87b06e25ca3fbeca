"""How far two tensors that should be equal lie apart, as figures that a tolerance can bound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference between the numbers of two tensors of one shape.

    Fields:
        largest: absolute, in the tensors' unit; infinite where only one of the two is finite.
        relative: the largest |a - b| / s, what tolerances bound; for s see `difference`.
    """

    largest: float = 0.0
    relative: float = 0.0

    def joined(self, other: Difference) -> Difference:
        """The larger of each figure."""
        return Difference(max(self.largest, other.largest), max(self.relative, other.relative))


def difference(a: Tensor, b: Tensor, *, floor: float = 0.0, by_row: bool = False) -> Difference:
    """The difference of two tensors (N, ...) of one shape.

    A difference counts relative to s, the largest magnitude in its image's map: what a sum rounds
    off depends on its terms, so a number near 0 may be as wrong as the others. Numbers that are
    not finite agree with the same, NaN with NaN.

    Args:
        floor: s is at least this; for numbers with a natural unit, such as probabilities.
        by_row: s is the largest magnitude in the last dimension only, which is one thing, a box.
    """
    assert a.shape == b.shape
    if not a.numel():
        return Difference()
    a, b = a.double(), b.double()
    same = (a == b) | (a.isnan() & b.isnan())
    apart = torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=torch.inf, posinf=torch.inf)
    magnitude = torch.maximum(a.abs(), b.abs()).nan_to_num(nan=0.0, posinf=0.0)
    dims = (-1,) if by_row else tuple(range(1, a.dim()))
    scale = magnitude.amax(dims, keepdim=True).clamp(min=floor)
    relative = torch.where(apart == 0, 0.0, apart / scale)
    return Difference(float(apart.max()), float(relative.max()))


def box_difference(a_xyxy: Tensor, b_xyxy: Tensor) -> Difference:
    """The difference of boxes (N, K, 4) in pixels, relative to each box's own coordinates."""
    return difference(a_xyxy, b_xyxy, floor=1.0, by_row=True)


def score_difference(a: Tensor, b: Tensor) -> Difference:
    """The difference of confidences (N, K, C), which lie in 0..1."""
    return difference(a, b, floor=1.0)
