"""Moving averages against their formulas, one number at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from yolo_gp.graph import compile_text
from yolo_gp.training.ema import DarknetAverage, ModernAverage, build_ema
from yolo_gp.training.recipe import (
    DarknetEma,
    ModernEma,
    darknet_recipe,
    fit_to_data,
    modern_recipe,
)

NET = "[net]\nwidth=8\nheight=8\nchannels=3\nbatch=4\nmax_batches=5000\n"
HEAD = "[convolutional]\nfilters=7\nactivation=linear\n[yolo]\nclasses=2\nanchors=10,13\n"


def one_number(value: float) -> nn.Module:
    """A network of one weight and, in its batch norm, a statistic."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    set_to(network, value)
    return network


@torch.no_grad()
def set_to(network: nn.Module, value: float) -> None:
    network.get_parameter("0.weight").fill_(value)
    network.get_buffer("1.running_mean").fill_(-value)


def weight(network: nn.Module) -> float:
    return float(network.get_parameter("0.weight").detach())


def test_the_modern_average_starts_at_the_weights_and_forgets_ever_more_slowly() -> None:
    network = one_number(5.0)
    average = ModernAverage(ModernEma(decay=0.9, ramp=2.0), network)
    assert float(average.values["0.weight"]) == 5.0
    expected = 5.0
    for iteration, value in enumerate((1.0, 2.0, 4.0), start=1):
        set_to(network, value)
        average.update(network, iteration)
        share = 0.9 * (1 - math.exp(-iteration / 2))
        expected = share * expected + (1 - share) * value
        assert float(average.values["0.weight"]) == pytest.approx(expected, rel=1e-6)
        assert float(average.values["1.running_mean"]) == pytest.approx(-expected, rel=1e-6)
        assert weight(network) == value
    assert "1.num_batches_tracked" not in average.values  # an integer has no average


def test_the_modern_average_is_yolors_after_2000_updates() -> None:
    average = ModernAverage(ModernEma(), one_number(0.0))
    assert average.decay(2000) == pytest.approx(0.9999 * (1 - 1 / math.e))
    assert average.decay(10**6) == pytest.approx(0.9999)


def test_an_average_goes_on_where_it_stood() -> None:
    network = one_number(1.0)
    settings = ModernEma(decay=0.9, ramp=2.0)
    whole, half = ModernAverage(settings, network), ModernAverage(settings, network)
    set_to(network, 3.0)
    whole.update(network, 1)
    half.update(network, 1)
    resumed = ModernAverage(settings, network)
    resumed.load_state_dict(half.state_dict())
    set_to(network, 7.0)
    whole.update(network, 2)
    resumed.update(network, 2)
    assert float(resumed.values["0.weight"]) == float(whole.values["0.weight"])


def test_darknets_average_starts_halfway_and_takes_the_weights_place() -> None:
    # 4000 iterations: copied at 2000, three quarters kept from then on, put back at 3000.
    average = DarknetAverage(DarknetEma(0.75), 4000)
    network = one_number(0.0)
    for iteration, value in ((1, 9.0), (1999, 9.0), (2000, 8.0), (2001, 4.0), (2500, 0.0)):
        set_to(network, value)
        average.update(network, iteration)
        assert weight(network) == value
        assert average.values == {}  # the weights themselves are what counts
    set_to(network, 1.0)
    average.update(network, 3000)
    # 8; 7 = .75 * 8 + .25 * 4; 5.25 = .75 * 7; 4.1875 = .75 * 5.25 + .25 * 1
    assert weight(network) == 4.1875
    assert float(network.get_buffer("1.running_mean")) == -1.0  # statistics are no part of it
    set_to(network, 2.0)
    average.update(network, 3001)
    assert weight(network) == 2.0


def test_in_a_short_run_darknets_average_comes_back_a_quarter_before_the_end() -> None:
    average = DarknetAverage(DarknetEma(0.5), 100)
    network = one_number(8.0)
    average.update(network, 50)
    set_to(network, 4.0)
    average.update(network, 74)
    assert weight(network) == 4.0
    average.update(network, 75)
    assert weight(network) == 5.0  # 6 = (8 + 4) / 2, then (6 + 4) / 2


def test_darknets_average_goes_on_where_it_stood() -> None:
    network = one_number(8.0)
    average = DarknetAverage(DarknetEma(0.5), 100)
    average.update(network, 50)
    resumed = DarknetAverage(DarknetEma(0.5), 100)
    resumed.load_state_dict(average.state_dict())
    set_to(network, 4.0)
    resumed.update(network, 75)
    assert weight(network) == 6.0


def test_a_run_resumed_before_the_average_starts_has_none_yet() -> None:
    average = DarknetAverage(DarknetEma(0.5), 100)
    resumed = DarknetAverage(DarknetEma(0.5), 100)
    resumed.load_state_dict(average.state_dict())
    network = one_number(8.0)
    resumed.update(network, 50)
    resumed.update(network, 75)
    assert weight(network) == 8.0


def test_each_recipe_gets_its_average() -> None:
    graph = compile_text(f"{NET}ema_alpha=.5\n{HEAD}", "x.cfg")
    network = one_number(1.0)
    darknet = fit_to_data(darknet_recipe(graph), 8)
    assert isinstance(build_ema(darknet, network), DarknetAverage)
    assert isinstance(build_ema(fit_to_data(modern_recipe(graph), 8), network), ModernAverage)
    assert build_ema(replace(darknet, ema=None), network) is None
    assert darknet_recipe(compile_text(NET + HEAD, "x.cfg")).ema is None
