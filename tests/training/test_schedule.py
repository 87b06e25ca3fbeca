"""Learning rates against tables worked out by hand (darknet.md 6.2) and torch's schedulers."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR

from yolo_gp.layers.net_training import NetTraining
from yolo_gp.training.schedule import DarknetSchedule, OneCycle, RunLength, Schedule, WarmedUp

DARKNET = NetTraining(learning_rate=0.1, max_batches=1000)
RUN = RunLength(1000, per_epoch=10.0)


def rate(keys: NetTraining, iteration: int) -> float:
    """The rate of both weights and biases, in a run of max_batches."""
    run = RunLength(keys.max_batches, per_epoch=10.0)
    found = DarknetSchedule(keys).rates(iteration, run)
    assert found.weights == found.biases and found.momentum == keys.momentum
    return found.weights


def darknet(**changes: object) -> NetTraining:
    return replace(DARKNET, **changes)  # type: ignore[arg-type]


POLICIES = [
    (darknet(policy="constant"), {1: 0.1, 500: 0.1, 1000: 0.1}),
    # .1 * .5^(b // 100)
    (darknet(policy="step", step=100, scale=0.5), {99: 0.1, 100: 0.05, 199: 0.05, 350: 0.0125}),
    # a step counts from its own iteration on; -1 always does: .1 * 2 = .2, .2 * .1, .02 * .5
    (
        darknet(policy="steps", steps=(-1, 400, 450), scales=(2.0, 0.1, 0.5)),
        {1: 0.2, 399: 0.2, 400: 0.02, 449: 0.02, 450: 0.01, 1000: 0.01},
    ),
    # .1 * .5^b
    (darknet(policy="exp", gamma=0.5), {1: 0.05, 2: 0.025, 5: 0.003125}),
    # (1 - 500/1000)^2 = .25; (1 - 900/1000)^2 = .01; at the end 0
    (darknet(policy="poly", power=2.0), {500: 0.025, 900: 0.001, 1000: 0.0}),
    # .1 / (1 + e^(.1 (b - 100))): half at the step, 1 / (1 + e) of it ten later
    (
        darknet(policy="sigmoid", gamma=0.1, step=100),
        {100: 0.05, 110: 0.1 / (1 + math.e), 90: 0.1 / (1 + 1 / math.e)},
    ),
    # cycles 0-200, 200-600 (twice as long), 600-1400; .01 + .045 (1 + cos(pi (b - start) / length))
    (
        darknet(policy="sgdr", sgdr_cycle=200, sgdr_mult=2, learning_rate_min=0.01),
        {100: 0.055, 200: 0.01, 201: 0.01 + 0.045 * (1 + math.cos(math.pi / 400)), 400: 0.055},
    ),
    # without a cycle of its own, one over all: half of the way at 500
    (darknet(policy="sgdr", learning_rate_min=0.02), {500: 0.06, 1000: 0.02}),
    # (b / 10)^4: 5/10 gives 1/16, 1/10 gives 1e-4; full from iteration 10 on
    (darknet(burn_in=10), {1: 1e-5, 5: 0.00625, 9: 0.06561, 10: 0.1, 11: 0.1}),
    # burn_in comes before any policy: the step at 5 counts from 10 on
    (
        darknet(policy="steps", steps=(5,), scales=(0.5,), burn_in=10, power=1.0),
        {5: 0.05, 9: 0.09, 10: 0.05},
    ),
]


@pytest.mark.parametrize(("keys", "table"), POLICIES)
def test_a_policy_gives_the_rates_of_darknets_formula(
    keys: NetTraining, table: dict[int, float]
) -> None:
    assert {b: rate(keys, b) for b in table} == pytest.approx(table)


def test_random_rates_are_the_same_in_every_run_and_different_in_every_iteration() -> None:
    keys = darknet(policy="random", power=1.0)
    run = RunLength(1000, 10.0)
    rates = [DarknetSchedule(keys, seed=3).rates(b, run).weights for b in range(1, 401)]
    assert rates == [DarknetSchedule(keys, seed=3).rates(b, run).weights for b in range(1, 401)]
    assert rates != [DarknetSchedule(keys, seed=4).rates(b, run).weights for b in range(1, 401)]
    assert len(set(rates)) == 400 and min(rates) >= 0 and max(rates) < 0.1
    # Uniform: a mean of half the rate, standard error .1 / sqrt(12 * 400) = .0014.
    assert sum(rates) / 400 == pytest.approx(0.05, abs=0.006)
    # Power 4 takes the mean to a fifth.
    strong = [
        DarknetSchedule(replace(keys, power=4.0), seed=3).rates(b, run).weights
        for b in range(1, 401)
    ]
    assert strong == pytest.approx([0.1 * (each / 0.1) ** 4 for each in rates])


@pytest.mark.parametrize("gamma", [1e6, -1e6])
def test_a_steep_sigmoid_neither_overflows_nor_leaves_its_range(gamma: float) -> None:
    keys = darknet(policy="sigmoid", gamma=gamma, step=500)
    assert {rate(keys, 1), rate(keys, 1000)} == {0.0, 0.1}


def test_a_run_of_another_length_keeps_the_shape_of_its_policy() -> None:
    keys = darknet(policy="steps", steps=(800, 900), scales=(0.1, 0.1), burn_in=100)
    schedule = DarknetSchedule(keys)
    short = RunLength(100, 10.0)
    found = schedule.stretched(short)
    assert (found.steps, found.burn_in, found.max_batches) == ((80, 90), 10, 100)
    rates = [schedule.rates(b, short).weights for b in (10, 79, 80, 90)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert schedule.burn_in(short) == 10 and schedule.burn_in(RUN) == 100


def test_a_longer_run_does_not_burn_in_longer() -> None:
    keys = darknet(policy="step", step=100, burn_in=100)
    found = DarknetSchedule(keys).stretched(RunLength(2000, 10.0))
    assert (found.step, found.burn_in) == (200, 100)


def test_a_cycle_is_stretched_with_its_run() -> None:
    keys = darknet(policy="sgdr", sgdr_cycle=250)
    assert DarknetSchedule(keys).stretched(RunLength(500, 10.0)).sgdr_cycle == 125


def test_a_cfg_without_a_length_is_not_stretched() -> None:
    keys = darknet(max_batches=0, policy="steps", steps=(80,), scales=(0.1,), burn_in=100)
    found = DarknetSchedule(keys).stretched(RunLength(500, 10.0))
    assert (found.steps, found.burn_in, found.max_batches) == ((80,), 50, 500)


def test_another_rate_scales_the_whole_course() -> None:
    keys = darknet(policy="sgdr", learning_rate_min=0.02, burn_in=10)
    faster = DarknetSchedule(keys).with_learning_rate(0.4)
    for b in (1, 10, 500, 1000):
        slow = DarknetSchedule(keys).rates(b, RUN).weights
        assert faster.rates(b, RUN).weights == pytest.approx(4 * slow)


def by_torch(scheduler: type, rate: float, iterations: int, **settings: float) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=rate)
    course = scheduler(optimiser, **settings)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a scheduler whose optimiser never steps
        for _ in range(iterations):
            rates.append(optimiser.param_groups[0]["lr"])
            course.step()
    return rates


def rates_of(schedule: Schedule, run: RunLength) -> list[float]:
    return [schedule.rates(b, run).weights for b in range(1, run.iterations + 1)]


def test_the_modern_cosine_is_torchs() -> None:
    run = RunLength(200, per_epoch=1.0)
    schedule = WarmedUp(learning_rate=0.01, final=0.2, warm_up_iterations=0, warm_up_epochs=0)
    theirs = by_torch(CosineAnnealingLR, 0.01, 200, T_max=200, eta_min=0.002)
    assert rates_of(schedule, run) == pytest.approx(theirs)


def test_the_modern_line_is_torchs() -> None:
    run = RunLength(200, per_epoch=1.0)
    schedule = WarmedUp(
        learning_rate=0.01, final=0.1, course="linear", warm_up_iterations=0, warm_up_epochs=0
    )
    theirs = by_torch(LinearLR, 0.01, 200, start_factor=1.0, end_factor=0.1, total_iters=200)
    assert rates_of(schedule, run) == pytest.approx(theirs)


@pytest.mark.parametrize("iterations", [10, 97, 1000])
def test_one_cycle_is_torchs(iterations: int) -> None:
    run = RunLength(iterations, per_epoch=1.0)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=0.1, momentum=0.9)
    theirs = OneCycleLR(optimiser, 0.01, iterations, base_momentum=0.85, max_momentum=0.937)
    for iteration in range(1, iterations + 1):
        found = OneCycle(learning_rate=0.01).rates(iteration, run)
        group = optimiser.param_groups[0]
        assert found.weights == found.biases == pytest.approx(group["lr"], rel=1e-6, abs=1e-12)
        assert found.momentum == pytest.approx(group["momentum"])
        if iteration < iterations:
            optimiser.step()
            theirs.step()


def test_the_warm_up_takes_three_epochs() -> None:
    # 3 epochs of 200 iterations. Halfway through it: weights at half of the rate, biases halfway
    # from .1 to the rate, momentum halfway from .8 to .937.
    run = RunLength(100_000, per_epoch=200.0)
    schedule = WarmedUp(course="linear", final=1.0)
    first, half, full = (schedule.rates(done + 1, run) for done in (0, 300, 600))
    assert (first.weights, first.biases, first.momentum) == pytest.approx((0.0, 0.1, 0.8))
    assert (half.weights, half.biases, half.momentum) == pytest.approx((0.005, 0.055, 0.8685))
    assert (full.weights, full.biases, full.momentum) == pytest.approx((0.01, 0.01, 0.937))
    assert schedule.rates(599, run).weights < 0.01


@pytest.mark.parametrize(
    ("iterations", "per_epoch", "warm_up"),
    [
        (100_000, 200.0, 600),  # 3 epochs
        (1281, 12.8125, 100),  # BCCD's 205 images for 100 epochs of 16: 38 would be too few
        (150, 0.25, 50),  # overfitting four images: a third of the run
        (2, 1.0, 0),
    ],
)
def test_the_warm_up_leaves_two_thirds_of_a_short_run(
    iterations: int, per_epoch: float, warm_up: int
) -> None:
    run = RunLength(iterations, per_epoch)
    schedule = WarmedUp(final=1.0)
    assert schedule.burn_in(run) == warm_up
    assert schedule.rates(warm_up + 1, run).weights == pytest.approx(0.01)
    assert warm_up == 0 or schedule.rates(warm_up, run).weights < 0.01


@pytest.mark.parametrize("schedule", [WarmedUp(), OneCycle()])
def test_another_rate_scales_a_modern_course_too(schedule: Schedule) -> None:
    faster = schedule.with_learning_rate(0.03)
    for iteration in (1, 50, 400, 1000):
        slow, fast = schedule.rates(iteration, RUN), faster.rates(iteration, RUN)
        assert (fast.weights, fast.biases) == pytest.approx((3 * slow.weights, 3 * slow.biases))
        assert fast.momentum == slow.momentum
