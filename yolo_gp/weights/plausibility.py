"""Whether the numbers of a `.weights` file can be what the cfg takes them for. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.weights.layout import PlacedBlock

_LARGEST = 1e5  # of a weight; published models stay below 1e4
_LARGEST_VARIANCE = _LARGEST**2  # published depthwise networks reach 3e6
_NEGATIVE_VARIANCE = -1e-6  # rounding leaves variances of -1e-43 in published models
_FEWEST_ZEROS = 16  # so many zeros are no accident where weights should be

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A tensor whose numbers cannot be right, and what is wrong with them."""

    placed: PlacedBlock
    problem: str
    not_finite: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """What a pass over the numbers found.

    Fields:
        suspect: the first tensor that cannot be right; what follows it was not looked at.
        lowest, highest: of all numbers looked at; 0 if there are none.
    """

    suspect: Suspect | None
    lowest: float
    highest: float


def scan(values: Floats, layout: Iterable[PlacedBlock]) -> Scan:
    """Look at every tensor that the file holds whole, up to the first that cannot be right."""
    lowest, highest = 0.0, 0.0
    for placed in layout:
        if placed.end > len(values):
            break
        numbers = values[placed.offset : placed.end]
        low, high = float(numbers.min()), float(numbers.max())
        if problem := _problem(placed, numbers, low, high):
            finite = bool(np.isfinite(low) and np.isfinite(high))
            return Scan(Suspect(placed, problem, not_finite=not finite), lowest, highest)
        lowest, highest = min(lowest, low), max(highest, high)
    return Scan(None, lowest, highest)


def _problem(placed: PlacedBlock, numbers: Floats, low: float, high: float) -> str | None:
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int((~np.isfinite(numbers)).sum())
        return f"{count:,} of its {numbers.size:,} numbers are infinite or no numbers"
    is_variance = placed.block.tensor.endswith("running_var")
    if is_variance and low < _NEGATIVE_VARIANCE:
        return f"a variance is {low:.3g}, but no variance is negative"
    largest = max(-low, high)
    limit = _LARGEST_VARIANCE if is_variance else _LARGEST
    if largest > limit:
        return f"a number is {largest:.3g} in size, where {limit:.0e} would be much"
    if low == high == 0 and len(placed.block.shape) > 1 and numbers.size >= _FEWEST_ZEROS:
        return f"all of its {numbers.size:,} weights are 0"
    return None
