"""The training keys of [net] as typed settings (darknet.md 6.1)."""

from __future__ import annotations

from dataclasses import fields

import pytest

from yolo_gp.graph import compile_text
from yolo_gp.layers.net import NET_IGNORED
from yolo_gp.layers.net_training import NET_TRAINING_KEYS, WITHOUT_EFFECT, NetTraining

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
LAYER = "[convolutional]\nfilters=4\nactivation=linear\n"


def keys(lines: str) -> NetTraining:
    graph = compile_text(NET + lines + LAYER, "x.cfg")
    assert graph.warnings == ()
    return graph.spec.net.training


def test_absent_keys_have_darknets_defaults() -> None:
    found = keys("")
    assert (found.batch, found.subdivisions, found.max_batches) == (1, 1, 0)
    assert (found.learning_rate, found.learning_rate_min) == (0.001, 0.00001)
    assert (found.momentum, found.decay, found.policy) == (0.9, 0.0001, "constant")
    assert (found.burn_in, found.power, found.step, found.scale, found.gamma) == (0, 4, 1, 1, 1)
    assert (found.steps, found.scales, found.sgdr_cycle, found.sgdr_mult) == ((), (), None, 2)
    assert (found.adam, found.beta1, found.beta2, found.epsilon) == (False, 0.9, 0.999, 1e-6)
    assert (found.ema_alpha, found.flip, found.resize_step) == (0.0, True, 32)
    assert (found.saturation, found.exposure, found.hue) == (1, 1, 0)
    assert (found.blur, found.gaussian_noise) == (0, 0)
    assert not (found.mosaic or found.mixup or found.cutmix or found.mosaic_bound)


GIVEN = {
    "batch": ("batch=64", 64),
    "subdivisions": ("subdivisions=16", 16),
    "max_batches": ("max_batches=500200", 500200),
    "learning_rate": ("learning_rate=.25", 0.25),
    "learning_rate_min": ("learning_rate_min=.125", 0.125),
    "policy": ("policy=sgdr", "sgdr"),
    "burn_in": ("burn_in=1000", 1000),
    "power": ("power=2", 2.0),
    "step": ("step=100", 100),
    "scale": ("scale=.5", 0.5),
    "steps": ("policy=steps\nsteps=-1,100\nscales=.1,.5", (-1, 100)),
    "scales": ("policy=steps\nsteps=10,20\nscales=.25,.5", (0.25, 0.5)),
    "gamma": ("gamma=.5", 0.5),
    "sgdr_cycle": ("sgdr_cycle=1000", 1000),
    "sgdr_mult": ("sgdr_mult=3", 3),
    "momentum": ("momentum=.5", 0.5),
    "decay": ("decay=.5", 0.5),
    "adam": ("adam=1", True),
    "beta1": ("B1=.5", 0.5),
    "beta2": ("B2=.5", 0.5),
    "epsilon": ("eps=.5", 0.5),
    "ema_alpha": ("ema_alpha=.5", 0.5),
    "flip": ("flip=0", False),
    "saturation": ("saturation=1.5", 1.5),
    "exposure": ("exposure=.75", 0.75),
    "hue": ("hue=.5", 0.5),
    "blur": ("blur=1", 1),
    "gaussian_noise": ("gaussian_noise=20", 20),
    "mosaic": ("mosaic=1", True),
    "mixup": ("mixup=1", True),
    "cutmix": ("cutmix=1", True),
    "mosaic_bound": ("mosaic_bound=1", True),
    "resize_step": ("resize_step=64", 64),
}


@pytest.mark.parametrize("name", [field.name for field in fields(NetTraining)])
def test_each_key_sets_its_own_field(name: str) -> None:
    line, value = GIVEN[name]
    assert getattr(keys(line + "\n"), name) == value


def test_every_key_is_either_read_or_has_a_reason_not_to_be() -> None:
    assert not set(NET_TRAINING_KEYS) & set(WITHOUT_EFFECT)
    assert set(NET_IGNORED) == set(NET_TRAINING_KEYS) | set(WITHOUT_EFFECT)
    assert all(WITHOUT_EFFECT.values())


@pytest.mark.parametrize(
    ("lines", "mosaic", "mixup", "cutmix"),
    [
        # darknet.md 6.1: mode 4 if mosaic and cutmix, 2 if cutmix, 3 if mosaic, else `mixup`.
        ("mixup=0\n", False, False, False),
        ("mixup=1\n", False, True, False),
        ("mixup=2\n", False, False, True),
        ("mixup=3\n", True, False, False),
        ("mixup=4\n", True, False, True),
        ("mixup=1\nmosaic=1\n", True, False, False),
        ("mixup=1\ncutmix=1\n", False, False, True),
        ("mosaic=1\ncutmix=1\n", True, False, True),
    ],
)
def test_one_way_of_joining_images_excludes_the_others(
    lines: str, mosaic: bool, mixup: bool, cutmix: bool
) -> None:
    found = keys(lines)
    assert (found.mosaic, found.mixup, found.cutmix) == (mosaic, mixup, cutmix)


@pytest.mark.parametrize("lines", ["steps=100,200\n", "steps=100,200\nscales=.1\n", "scales=.1\n"])
def test_steps_that_the_policy_does_not_read_need_not_fit(lines: str) -> None:
    assert keys("policy=sgdr\n" + lines).steps == ()


@pytest.mark.parametrize(
    "lines", ["momentum=1.5\n", "batch=0\n", "max_batches=-1\n", "saturation=0\n", "step=0\n"]
)
def test_a_network_compiles_whatever_its_training_would_do(lines: str) -> None:
    keys(lines)


def test_a_key_without_a_value_leaves_the_default_and_a_warning() -> None:
    graph = compile_text(f"{NET}momentum=  # later\nburn_in 1000\n{LAYER}", "x.cfg")
    assert [d.message for d in graph.warnings] == [
        "momentum has no value; Darknet drops the line",
        "the line 'burn_in 1000' has no =; Darknet ignores it",
    ]
    assert (graph.spec.net.training.momentum, graph.spec.net.training.burn_in) == (0.9, 0)


def test_an_unknown_policy_is_constant_as_in_darknet() -> None:
    graph = compile_text(f"{NET}policy=cosine\n{LAYER}", "x.cfg")
    assert graph.spec.net.training.policy == "constant"
    assert len(graph.warnings) == 1
