"""Sizes of multi-scale training, by the spec's formulas."""

from __future__ import annotations

from yolo_gp.data.augment_sizes import input_size
from yolo_gp.data.augmentation import Augmentation, DarknetAugmentation, ModernAugmentation

DARKNET = DarknetAugmentation(random=1)


def sizes(
    augmentation: Augmentation,
    size: tuple[int, int],
    iterations: range,
    total: int | None = None,
    seed: int = 0,
) -> list[tuple[int, int]]:
    return [
        input_size(augmentation, size, stride=32, seed=seed, iteration=n, iterations_total=total)
        for n in iterations
    ]


def test_without_multi_scale_the_size_is_that_of_the_cfg() -> None:
    assert set(sizes(DarknetAugmentation(), (320, 416), range(0, 100, 10))) == {(320, 416)}
    assert set(sizes(ModernAugmentation(), (320, 416), range(0, 100, 10))) == {(320, 416)}


def test_darknet_trains_416_at_320_to_608() -> None:
    # smallest: round(416 / 1.4 / 32 + 1) = round(10.29) = 10; largest: round(18.2 + 1) = 19
    found = sizes(DARKNET, (416, 416), range(10, 20_000, 10))
    assert {s for s, _ in found} == set(range(320, 609, 32))
    assert all(h == w for h, w in found)


def test_darknet_shrinks_to_no_more_than_the_cfg_s_size() -> None:
    # 1 / 1.05 * 320 / 32 + 1 = 10.5 rounds to 11, that is 352 from a factor below 1: 320 then.
    # Above 1 the sizes begin with round(10 + 1) = 11 as well.
    small = DarknetAugmentation(random=1.04)
    assert set(sizes(small, (320, 320), range(10, 3000, 10))) == {(320, 320), (352, 352)}


def test_darknet_begins_and_ends_with_the_largest_size() -> None:
    found = sizes(DARKNET, (416, 416), range(1000), total=1000)
    assert set(found[:10]) == {(608, 608)}
    assert set(found[900:]) == {(608, 608)}
    assert len(set(found[10:900])) > 5


def test_a_size_holds_for_ten_iterations() -> None:
    found = sizes(DARKNET, (416, 416), range(500))
    assert all(len(set(found[n : n + 10])) == 1 for n in range(0, 500, 10))


def test_height_and_width_grow_together() -> None:
    found = set(sizes(DARKNET, (320, 640), range(10, 20_000, 10)))
    assert (480, 928) in found  # round(1.4 * 10 + 1) = 15, round(1.4 * 20 + 1) = 29
    assert all(abs((w - 32) / (h - 32) - 2) < 0.25 for h, w in found)


def test_modern_sizes_are_multiples_of_the_stride_around_the_size() -> None:
    half = ModernAugmentation(multi_scale=0.5)
    found = sizes(half, (320, 320), range(0, 20_000, 10))
    assert {h for h, _ in found} == set(range(160, 481, 32))


def test_another_seed_gives_other_sizes() -> None:
    one, other = (sizes(DARKNET, (416, 416), range(10, 500, 10), seed=s) for s in (1, 2))
    assert one != other
