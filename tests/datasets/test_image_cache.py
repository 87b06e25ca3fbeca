"""Decoded pictures kept in one nameless file that processes share."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.queues import SimpleQueue

import numpy as np
import pytest

from yolo_gp.data.image_cache import CacheKind, ImageCache, StoredPicture
from yolo_gp.errors import UsageError


def stored(seed: int, height: int = 6, width: int = 4, channels: int = 3) -> StoredPicture:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return StoredPicture(pixels, (2 * height, 3 * width), pixels[0, 0])


def check(cache: ImageCache, number: int, seed: int, **shape: int) -> None:
    found, expected = cache.get(number), stored(seed, **shape)
    assert found is not None
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.mean_color, expected.mean_color)
    assert found.size == expected.size


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_pictures_come_back_as_they_were_put(kind: CacheKind) -> None:
    cache = ImageCache(kind, 5, 3, limit=10_000)
    cache.put(3, stored(1))
    cache.put(0, stored(2, height=9))
    check(cache, 3, 1)
    check(cache, 0, 2, height=9)
    assert cache.get(1) is None
    assert (cache.kept, cache.used) == (2, 6 * 4 * 3 + 9 * 4 * 3)


def test_four_channels_have_four_means() -> None:
    cache = ImageCache("memory", 1, 4, limit=1000)
    cache.put(0, stored(1, channels=4))
    check(cache, 0, 1, channels=4)


def test_what_does_not_fit_is_not_kept() -> None:
    cache = ImageCache("memory", 3, 3, limit=6 * 4 * 3 + 10)
    cache.put(0, stored(0))
    cache.put(1, stored(1))
    check(cache, 0, 0)
    assert cache.get(1) is None
    cache.put(2, stored(2, height=1, width=3))  # 9 bytes still do
    check(cache, 2, 2, height=1, width=3)


def test_the_first_to_put_a_picture_is_heard() -> None:
    cache = ImageCache("memory", 1, 3, limit=1000)
    cache.put(0, stored(1))
    cache.put(0, stored(2))
    check(cache, 0, 1)
    assert cache.used == 6 * 4 * 3


def put_from_elsewhere(cache: ImageCache, done: SimpleQueue[int]) -> None:
    cache.put(1, stored(7))
    found = cache.get(0)
    done.put(-1 if found is None else int(found.pixels.sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_see_each_other_s_pictures(method: str) -> None:
    context = multiprocessing.get_context(method)
    cache = ImageCache("memory", 2, 3, limit=1000)
    cache.put(0, stored(1))
    done = context.SimpleQueue()
    process = context.Process(target=put_from_elsewhere, args=(cache, done))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert done.get() == stored(1).pixels.sum()
    check(cache, 1, 7)


def test_owners_share_what_is_free() -> None:
    # the free disk changes while others write to it
    alone, quarter = (ImageCache("disk", 1, 3, owners=n).limit for n in (1, 4))
    assert quarter == pytest.approx(alone / 4, rel=0.1)
    assert alone > 0


def test_a_cache_that_nobody_uses_gives_its_file_back() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = open_files()
    cache = ImageCache("memory", 1, 3, limit=1000)
    assert open_files() > before
    del cache
    assert open_files() == before


def test_a_cache_without_room_says_so() -> None:
    with pytest.raises(UsageError, match="cannot keep images in disk: "):
        ImageCache("disk", 1, 3, limit=2**62)
