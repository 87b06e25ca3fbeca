"""Finding widths at which a rewritten network costs what the original did."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence

from yolo_gp.errors import UsageError
from yolo_gp.transform.widths import MULTIPLE, Factors

TOLERANCE = 0.01
_MOST = 16.0  # factors tried: from 1 / 16 to 16
_HALVINGS = 24
_TRIALS = 400  # single steps tried where one factor for all comes not near enough

Cost = Callable[[Factors], int]


def fit(cost: Cost, target: int, widths: Sequence[int], what: str) -> Factors:
    """Factors at which `cost` comes within 1 % of `target`; all equal if that suffices.

    Widths come in steps of 8, so where one factor for all comes not near enough, single widths go
    steps up or down.

    Args:
        cost: what the network costs at such factors; rises with each.
        widths: what the factors multiply.
        what: how a message calls the cost.

    Raises:
        UsageError: no factors come near enough.
    """

    def error(factors: Factors) -> float:
        return abs(cost(factors) - target) / target

    unchanged = (1.0,) * len(widths)
    if error(unchanged) <= TOLERANCE:
        return unchanged
    tried = [unchanged, *_bisected(cost, target, len(widths))] if widths else [unchanged]
    best = min(tried, key=error)
    if widths and _is_within_reach(cost, target, len(widths)):
        best = _nearest(error, best, widths)
    if error(best) <= TOLERANCE:
        return best
    raise UsageError(
        f"--keep-{what}: no widths inside the stages bring the network within "
        f"{TOLERANCE:.0%} of its {target:,} {what}\n"
        f"expected: stages that make up more of the network, or another target\n"
        f"help: the nearest is {cost(best):,}"
    )


def _is_within_reach(cost: Cost, target: int, count: int) -> bool:
    return cost((1 / _MOST,) * count) <= target <= cost((_MOST,) * count)


def _bisected(cost: Cost, target: int, count: int) -> Iterator[Factors]:
    """Factors, all equal, on the way to the one that meets the target."""
    low, high = -math.log(_MOST), math.log(_MOST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        factors = (math.exp(middle),) * count
        yield factors
        reached = cost(factors)
        if abs(reached - target) <= TOLERANCE * target:
            return
        low, high = (middle, high) if reached < target else (low, middle)


def _nearest(error: Callable[[Factors], float], start: Factors, widths: Sequence[int]) -> Factors:
    """The best factors in reach of single steps, always going on from the best so far."""
    best, trials = start, 0
    waiting, seen = [(error(start), start)], {start}
    while waiting and trials < _TRIALS and error(best) > TOLERANCE:
        _, factors = heapq.heappop(waiting)
        for moved in _steps(factors, widths):
            if moved not in seen:
                seen.add(moved)
                trials += 1
                heapq.heappush(waiting, (error(moved), moved))
                best = min(best, moved, key=error)
    return best


def _steps(factors: Factors, widths: Sequence[int]) -> Iterator[Factors]:
    """Factors of which one differs, by one step of its width."""
    for number, width in enumerate(widths):
        for step in (-MULTIPLE / width, MULTIPLE / width):
            factor = round(factors[number] + step, 9)  # there and back is the same again
            if factor > 0:
                yield (*factors[:number], factor, *factors[number + 1 :])
