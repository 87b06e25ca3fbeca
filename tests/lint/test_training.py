"""Training keys of [net]."""

from __future__ import annotations

import pytest

from yolo_gp.lint.labels import Labels
from yolo_gp.lint.linting import LintSettings

from .detectors import DETECTOR, changed, found, said

TEST_VALUES = (("batch=64", "batch=1"), ("subdivisions=8", "subdivisions=1"))


def test_test_values_of_batch_are_found_in_a_file_with_classes_of_ones_own() -> None:
    (finding,) = found(changed(*TEST_VALUES))
    assert finding.render().splitlines()[0] == (
        "a.cfg:5:7: warning: batch=1 and subdivisions=1 are for detection, but 1 class and "
        "max_batches=6000 look like a training of your own; Darknet refuses to train with one "
        "image per update [YG520]"
    )
    assert finding.help == "for training batch=64, and subdivisions as small as memory allows"


def test_test_values_are_fine_in_a_file_with_cocos_classes_unless_it_is_trained() -> None:
    # (80 + 5) * 2 = 170 filters; 80 * 2000 = 160000 updates
    text = changed(*TEST_VALUES, ("=6000", "=160000")).replace("classes=1", "classes=80")
    text = text.replace("filters=12", "filters=170")
    assert said(text) == []
    assert said(text, LintSettings(labels=Labels(trains=True))) == [
        "5 YG520 batch=1 and subdivisions=1 are for detection, but the .data file names images to "
        "train on; Darknet refuses to train with one image per update"
    ]


@pytest.mark.parametrize(("batch", "parts", "images"), [(64, 24, 48), (7, 2, 6), (4, 8, 8)])
def test_a_batch_that_does_not_divide_into_its_parts_is_found(
    batch: int, parts: int, images: int
) -> None:
    # 64 // 24 = 2 images a part, 24 parts; 4 // 8 = 0, of which Darknet makes 1
    text = changed(("batch=64", f"batch={batch}"), ("=8\n", f"={parts}\n"))
    assert said(text) == [
        f"5 YG521 batch={batch} is no multiple of subdivisions={parts}; an update takes {images} "
        "images"
    ]


def test_a_step_past_the_end_is_found_with_better_ones() -> None:
    (finding,) = found(changed(("=4800,5400", "=4800, 6000")))
    assert finding.render().splitlines()[0] == (
        "a.cfg:10:13: warning: steps=6000 lies at or past the end, max_batches=6000, so the "
        "learning rate does not change there [YG522]"
    )
    # 80 and 90 % of 6000
    assert finding.help == "Darknet advises 80 and 90 % of it: steps=4800,5400"
    assert said(changed(("=4800,5400", "=400000,450000")))[0].startswith(
        "10 YG522 steps=400000,450000 lie at"
    )


def test_a_burn_in_that_never_ends_is_found() -> None:
    assert said(changed(("burn_in=100", "burn_in=4800"))) == [
        "12 YG523 burn_in=4800 lasts until the first of steps=4800 or longer, so the full "
        "learning rate is never used"
    ]
    constant = changed(("policy=steps", "policy=constant"), ("steps=4800,5400\n", ""))
    constant = changed(("scales=.1,.1\n", ""), ("burn_in=100", "burn_in=7000"), text=constant)
    assert said(constant) == [
        "10 YG523 burn_in=7000 lasts until max_batches=6000 or longer, so the full learning rate "
        "is never used"
    ]


def test_a_training_below_darknets_advice_is_found() -> None:
    # 1 class: 2000, but no less than 6000
    (finding,) = found(changed(("max_batches=6000", "max_batches=5999")))
    assert finding.render().splitlines()[0] == (
        "a.cfg:9:13: warning: max_batches=5999 is short for 1 class [YG524]"
    )
    assert finding.expected == ("at least 6000: 2000 per class, 6000 in all, by Darknet's advice")
    assert finding.help == "max_batches=6000 and steps=4800,5400"


def test_published_trainings_are_as_long_as_they_are() -> None:
    # COCO's 80 classes: YOLOv2's files have 120000 updates, below 160000
    text = changed(("=6000", "=120000")).replace("classes=1", "classes=80")
    text = text.replace("filters=12", "filters=170")
    assert said(text) == []
    trained = LintSettings(labels=Labels(trains=True))
    assert said(text, trained) == ["9 YG524 max_batches=120000 is short for 80 classes"]


def test_the_advice_grows_with_the_classes_as_far_as_darknets_own_models_went() -> None:
    # 7 classes: 14000. 600 classes would be 1200000; OpenImages' model, of 601, had 500200.
    seven = DETECTOR.replace("classes=1", "classes=7").replace("filters=12", "filters=24")
    assert said(seven) == ["9 YG524 max_batches=6000 is short for 7 classes"]
    many = DETECTOR.replace("classes=1", "classes=600").replace("filters=12", "filters=1210")
    assert said(changed(("=6000", "=500200"), text=many)) == []
    assert said(changed(("=6000", "=499999"), text=many)) == [
        "9 YG524 max_batches=499999 is short for 600 classes"
    ]


@pytest.mark.parametrize(
    ("line", "reader"),
    [
        ("gamma=.1", "policy=steps"),
        ("step=100", "policy=steps"),
        ("sgdr_cycle=1000", "policy=steps"),
        ("learning_rate_min=.0001", "policy=steps"),
        ("B1=.9", "training without adam=1"),
    ],
)
def test_a_key_of_another_policy_is_found(line: str, reader: str) -> None:
    assert said(changed(("policy=steps", f"policy=steps\n{line}"))) == [
        f"9 YG525 {line} has no effect: {reader} does not read it"
    ]


def test_power_belongs_to_poly_and_to_a_burn_in() -> None:
    assert said(changed(("burn_in=100", "burn_in=100\npower=4"))) == []
    assert said(changed(("burn_in=100", "power=4"))) == [
        "12 YG525 power=4 has no effect: policy=steps without burn_in does not read it"
    ]


def test_rotation_of_a_detectors_images_is_found_unless_it_is_none() -> None:
    assert said(changed(("burn_in=100", "burn_in=100\nangle=7"))) == [
        "13 YG526 angle=7 has no effect: Darknet changes images so for classifiers only"
    ]
    assert said(changed(("burn_in=100", "burn_in=100\nangle=0\naspect=1.0"))) == []


def test_training_keys_are_looked_at_in_a_file_that_does_not_compile() -> None:
    text = changed(("activation=leaky", "activation=leeky"), ("=4800,5400", "=4800,6000"))
    assert [line.split()[1] for line in said(text)] == ["YG522", "YG106"]


def test_a_net_with_a_mistake_gives_that_mistake_only() -> None:
    assert [line.split()[1] for line in said(changed(("=6000", "=6k")))] == ["YG104"]
