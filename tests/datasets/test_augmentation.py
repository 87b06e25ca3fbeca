"""Settings of augmentation refuse what makes no sense, and say what would."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from yolo_gp.data.augmentation import DarknetAugmentation, ModernAugmentation
from yolo_gp.errors import UsageError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DarknetAugmentation(jitter=1.5),
            "the augmentation's jitter is 1.5\nexpected: 0 to 1",
        ),
        (
            lambda: DarknetAugmentation(resize=0.0),
            "the augmentation's resize is 0.0\nexpected: 0.1 to 10",
        ),
        (
            lambda: DarknetAugmentation(saturation=0.0),
            "the augmentation's saturation is 0.0\nexpected: more than 0",
        ),
        (
            lambda: DarknetAugmentation(exposure=float("nan")),
            "the augmentation's exposure is nan\nexpected: more than 0",
        ),
        (
            lambda: DarknetAugmentation(max_boxes=0),
            "the augmentation's max_boxes is 0\nexpected: 1 or more",
        ),
        (
            lambda: DarknetAugmentation(random=float("inf")),
            "the augmentation's random is inf\nexpected: 0 or more",
        ),
        (
            lambda: DarknetAugmentation(mosaic=True, letter_box=True),
            "mosaic and letter_box are both on\nexpected: one of them\n"
            "help: Darknet refuses the two together as well",
        ),
        (
            lambda: ModernAugmentation(mosaic=1.2),
            "the augmentation's mosaic is 1.2\nexpected: 0 to 1",
        ),
        (
            lambda: ModernAugmentation(scale=1.0),
            "the augmentation's scale is 1.0\nexpected: 0 to 0.99",
        ),
        (
            lambda: ModernAugmentation(close_mosaic=-1),
            "the augmentation's close_mosaic is -1\nexpected: 0 or more",
        ),
    ],
)
def test_a_setting_outside_its_range_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


def test_random_1_stands_for_a_factor_of_1_4() -> None:
    assert DarknetAugmentation(random=1).spread == 1.4
    assert DarknetAugmentation(random=1.2).spread == 1.2
    assert DarknetAugmentation().spread == 1
