"""How fast a network learns at each iteration: Darknet's policies, and the modern recipe's.

An iteration is one update of the weights. The first is number 1, as in Darknet.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

from yolo_gp.layers.net_training import NetTraining

_LARGEST_BURN_IN = 0.1  # of a run that is not as long as its cfg says
_LARGEST_WARM_UP = 1 / 3  # of a run


@dataclass(frozen=True, slots=True)
class RunLength:
    """How long a run is.

    Fields:
        iterations: in all, at least 1.
        per_epoch: iterations that see as many images as the data set has; may be a fraction.
    """

    iterations: int
    per_epoch: float

    @property
    def epochs(self) -> float:
        return self.iterations / self.per_epoch


@dataclass(frozen=True, slots=True)
class Rates:
    """What an update is made with.

    Fields:
        weights, biases: learning rates; that of biases is another one during a warm-up only.
        momentum: the share of the last step that is kept.
    """

    weights: float
    biases: float
    momentum: float


class Schedule(Protocol):
    """The course of the rates over a run."""

    def rates(self, iteration: int, run: RunLength) -> Rates:
        """Those of one update; the first is number 1."""
        ...

    def burn_in(self, run: RunLength) -> int:
        """After how many iterations the rate is the full one."""
        ...

    def with_learning_rate(self, rate: float) -> Self:
        """The same course with another highest rate."""
        ...


@dataclass(frozen=True, slots=True)
class DarknetSchedule:
    """The policy of [net].

    A run of another length than max_batches gets the same course, stretched: see `stretched`.

    Fields:
        keys: those of [net].
        seed: of policy=random, whose rate is drawn anew for each iteration.

    Source: darknet.md 6.2.
    """

    keys: NetTraining
    seed: int = 0

    def rates(self, iteration: int, run: RunLength) -> Rates:
        keys = self.stretched(run)
        if iteration < keys.burn_in:
            rate = keys.learning_rate * (iteration / keys.burn_in) ** keys.power
        else:
            rate = keys.learning_rate * self._factor(keys, iteration)
            if keys.policy == "sgdr":
                rate = _restarted_cosine(keys, iteration)
        return Rates(rate, rate, keys.momentum)

    def burn_in(self, run: RunLength) -> int:
        return self.stretched(run).burn_in

    def with_learning_rate(self, rate: float) -> DarknetSchedule:
        least = self.keys.learning_rate_min
        if self.keys.learning_rate > 0:
            least *= rate / self.keys.learning_rate
        return replace(self, keys=replace(self.keys, learning_rate=rate, learning_rate_min=least))

    def stretched(self, run: RunLength) -> NetTraining:
        """The keys for a run of this length.

        Where it is not that of max_batches, the iterations that `step`, `steps` and `sgdr_cycle`
        name move in proportion, and burn_in takes at most a tenth of the run.
        """
        keys = self.keys
        if run.iterations == keys.max_batches:
            return keys
        keys = replace(
            keys,
            max_batches=run.iterations,
            burn_in=min(keys.burn_in, int(run.iterations * _LARGEST_BURN_IN)),
        )
        if not self.keys.max_batches:
            return keys
        ratio = run.iterations / self.keys.max_batches
        cycle = keys.sgdr_cycle
        return replace(
            keys,
            step=max(1, round(keys.step * ratio)),
            steps=tuple(round(step * ratio) for step in keys.steps),
            sgdr_cycle=None if cycle is None else max(1, round(cycle * ratio)),
        )

    def _factor(self, keys: NetTraining, b: int) -> float:
        """What the rate is multiplied by."""
        match keys.policy:
            case "step":
                return math.pow(keys.scale, b // keys.step)
            case "steps":
                reached = zip(keys.steps, keys.scales, strict=True)
                return math.prod(scale for step, scale in reached if step <= b)
            case "exp":
                return math.pow(keys.gamma, b)
            case "poly":
                return math.pow(max(0.0, 1 - b / keys.max_batches), keys.power)
            case "random":
                return math.pow(random.Random(f"{self.seed} {b}").random(), keys.power)
            case "sigmoid":
                return _sigmoid(keys.gamma * (keys.step - b))
            case "constant" | "sgdr":
                return 1.0


def _sigmoid(x: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _restarted_cosine(keys: NetTraining, b: int) -> float:
    start, length = 0, keys.sgdr_cycle or keys.max_batches
    while start + length < b:
        start += length
        length *= keys.sgdr_mult
    low, high = keys.learning_rate_min, keys.learning_rate
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * (b - start) / length))


Course = Literal["linear", "cosine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmedUp:
    """A warm-up, then a fall: the rates of YOLOR and YOLOv5.

    The warm-up takes 3 epochs and at least 100 iterations, but no more than a third of the run.
    Over it weights go from a rate of 0 up, biases from ten times the rate down, and the momentum
    from .8 up.

    Fields:
        learning_rate: the highest.
        final: the last, as a share of it.
        course: how it falls.
        momentum: after the warm-up.

    Source: recipes.md; YOLOv5 changes its rate once an epoch, this one at each iteration.
    """

    learning_rate: float = 0.01
    final: float = 0.2
    course: Course = "cosine"
    momentum: float = 0.937
    warm_up_epochs: float = 3.0
    warm_up_iterations: int = 100
    warm_up_momentum: float = 0.8
    warm_up_biases: float = 10.0

    def rates(self, iteration: int, run: RunLength) -> Rates:
        done = iteration - 1
        progress = done / run.iterations
        cosine = (1 + math.cos(math.pi * progress)) / 2
        share = cosine if self.course == "cosine" else 1 - progress
        rate = self.learning_rate * (self.final + (1 - self.final) * share)
        warm = min(1.0, done / self.burn_in(run)) if self.burn_in(run) else 1.0
        return Rates(
            weights=warm * rate,
            biases=_between(self.warm_up_biases * self.learning_rate, rate, warm),
            momentum=_between(self.warm_up_momentum, self.momentum, warm),
        )

    def burn_in(self, run: RunLength) -> int:
        wanted = max(self.warm_up_epochs * run.per_epoch, self.warm_up_iterations)
        return int(min(wanted, run.iterations * _LARGEST_WARM_UP))

    def with_learning_rate(self, rate: float) -> WarmedUp:
        return replace(self, learning_rate=rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """Up for 30 % of the run and down for the rest, both by half a cosine; momentum the other way.

    Fields:
        learning_rate: the highest; the first is a 25th of it, the last a 10,000th of the first.
        momentum: the highest; the lowest is .85.

    Source: Smith and Topin, arXiv 1708.07120; torch.optim.lr_scheduler.OneCycleLR.
    """

    learning_rate: float = 0.01
    momentum: float = 0.937
    rise: float = 0.3
    first: float = 1 / 25
    last: float = 1 / 25 / 10_000
    low_momentum: float = 0.85

    def rates(self, iteration: int, run: RunLength) -> Rates:
        done = iteration - 1
        peak = self.rise * run.iterations - 1
        rising = done <= peak
        if rising:
            progress, start, end = done / peak if peak > 0 else 1.0, self.first, 1.0
        else:
            progress = (done - peak) / max(run.iterations - 1 - peak, 1e-9)
            start, end = 1.0, self.last
        turned = (1 - math.cos(math.pi * min(progress, 1.0))) / 2
        rate = self.learning_rate * _between(start, end, turned)
        ends = (self.momentum, self.low_momentum)
        momentum = _between(*(ends if rising else ends[::-1]), turned)
        return Rates(rate, rate, momentum)

    def burn_in(self, run: RunLength) -> int:
        return int(self.rise * run.iterations)

    def with_learning_rate(self, rate: float) -> OneCycle:
        return replace(self, learning_rate=rate)


def _between(start: float, end: float, share: float) -> float:
    return start * (1 - share) + end * share
