"""Training batches: the same whoever makes them, and none lost to a bad file or a signal."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from yolo_gp.data.annotations import AnnotatedDataset
from yolo_gp.data.augmentation import (
    Augmentation,
    DarknetAugmentation,
    ModernAugmentation,
    NoAugmentation,
)
from yolo_gp.data.opening import open_dataset
from yolo_gp.data.training_loader import TrainingBatch, TrainingLoader
from yolo_gp.errors import DataError, UsageError

COUNT = 7
DARKNET = DarknetAugmentation(mosaic=True, hue=0.1, blur=3, gaussian_noise=9, random=1)
MODERN = ModernAugmentation(multi_scale=0.5, mosaic=0.5, mixup=0.5)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Seven pictures of random pixels in two sizes; picture n has n objects of class n % 2."""
    rng = np.random.default_rng(3)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(COUNT):
        size = (40, 60) if number % 2 else (64, 48)
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{number}.png")
        lines = [f"{number % 2} .{n + 2} .5 .3 .4" for n in range(number)]
        (tmp_path / f"labels/{number}.txt").write_text("\n".join(lines))
    (tmp_path / "data.names").write_text("cat\ndog\n")
    return tmp_path


def dataset(data: Path) -> AnnotatedDataset:
    return open_dataset(str(data))


def first(loader: TrainingLoader, count: int, start: int = 0) -> list[TrainingBatch]:
    with contextlib.closing(loader.batches(start)) as batches:
        return list(itertools.islice(batches, count))


def load(
    data: Path, augmentation: Augmentation, count: int = 4, start: int = 0, **options: object
) -> list[TrainingBatch]:
    settings = {"images_per_batch": 4, "workers": 0, "seed": 1, "stride": 8, **options}
    loader = TrainingLoader(dataset(data), augmentation, (32, 32), **settings)  # type: ignore[arg-type]
    return first(loader, count, start)


def check_equal(one: list[TrainingBatch], other: list[TrainingBatch]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.sources == b.sources
        torch.testing.assert_close(a.images, b.images, rtol=0, atol=0)
        for name in ("image", "class_ids", "boxes_cxcywh_norm"):
            torch.testing.assert_close(
                getattr(a.targets, name), getattr(b.targets, name), rtol=0, atol=0
            )


def images(batches: list[TrainingBatch]) -> Iterator[torch.Tensor]:
    return itertools.chain.from_iterable(batch.images for batch in batches)


@pytest.mark.parametrize("augmentation", [DARKNET, MODERN])
@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_workers(
    data: Path, augmentation: Augmentation, workers: int
) -> None:
    check_equal(load(data, augmentation, workers=workers), load(data, augmentation))


@pytest.mark.parametrize("augmentation", [DARKNET, MODERN])
def test_a_resumed_stream_goes_on_as_if_nothing_had_happened(
    data: Path, augmentation: Augmentation
) -> None:
    check_equal(load(data, augmentation, 3, start=2), load(data, augmentation, 5)[2:])


@pytest.mark.parametrize("sampling", ["epochs", "replacement"])
@pytest.mark.parametrize("augmentation", [DARKNET, MODERN])
def test_processes_share_the_batches_of_one(
    data: Path, augmentation: Augmentation, sampling: str
) -> None:
    whole = load(data, augmentation, sampling=sampling)
    parts = [load(data, augmentation, sampling=sampling, rank=rank, world=2) for rank in range(2)]
    for batch, low, high in zip(whole, *parts, strict=True):
        assert batch.sources == low.sources + high.sources
        assert torch.equal(batch.images, torch.cat([low.images, high.images]))
        shifted = torch.cat([low.targets.image, high.targets.image + 2])
        assert torch.equal(batch.targets.image, shifted)
        boxes = [part.targets.boxes_cxcywh_norm for part in (low, high)]
        assert torch.equal(batch.targets.boxes_cxcywh_norm, torch.cat(boxes))


def test_small_batches_that_are_accumulated_hold_the_images_of_a_large_one(data: Path) -> None:
    large = load(data, MODERN, 12)
    small = load(data, MODERN, 24, images_per_batch=2, images_per_iteration=4)
    assert len({image.shape for image in images(large)}) > 1
    assert all(torch.equal(a, b) for a, b in zip(images(large), images(small), strict=True))


@pytest.mark.parametrize("cache", ["memory", "disk"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_changes_nothing(data: Path, cache: str, workers: int) -> None:
    check_equal(load(data, MODERN, 6, cache=cache, workers=workers), load(data, MODERN, 6))


def test_another_seed_gives_other_images(data: Path) -> None:
    one, other = load(data, DARKNET, 1, seed=1), load(data, DARKNET, 1, seed=2)
    assert one[0].sources != other[0].sources


def test_loading_draws_nothing_from_the_network_s_random_numbers(data: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(data, DARKNET, 1)
    assert torch.equal(torch.rand(3), expected)


def test_every_epoch_shows_each_picture_once_in_another_order(data: Path) -> None:
    shown = [s for batch in load(data, NoAugmentation(), 7) for s in batch.sources]
    epochs = [shown[start : start + COUNT] for start in range(0, 28, COUNT)]
    assert all(len(set(epoch)) == COUNT for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_with_replacement_pictures_are_drawn_independently(data: Path) -> None:
    batches = load(data, NoAugmentation(), 70, sampling="replacement", images_per_batch=10)
    counts = Counter(s for batch in batches for s in batch.sources)
    assert len(counts) == COUNT
    # 700 draws of one in seven: 100 with a standard deviation of sqrt(700 / 7 * 6 / 7) = 9.3
    assert 65 < min(counts.values()) < max(counts.values()) < 135
    assert any(len(set(batch.sources)) < 7 for batch in batches)


def test_a_plain_batch_holds_pictures_and_boxes_as_they_are(data: Path) -> None:
    for batch in load(data, NoAugmentation(), 2):
        for number, source in enumerate(batch.sources):
            which = int(Path(source).stem)
            mine = batch.targets.image == number
            assert batch.targets.class_ids[mine].tolist() == [which % 2] * which
            expected = [[(n + 2) / 10, 0.5, 0.3, 0.4] for n in range(which)]
            expected = [_inside(box) for box in expected]
            found = batch.targets.boxes_cxcywh_norm[mine]
            torch.testing.assert_close(found, torch.tensor(expected).reshape(-1, 4))
        assert batch.images.dtype == torch.float32
        assert batch.images.shape == (4, 3, 32, 32)
        assert 0.9 < batch.images.max() <= 1


def _inside(box: list[float]) -> list[float]:
    """A box cut at the left and right end of its image."""
    x, y, w, h = box
    left, right = max(0, x - w / 2), min(1, x + w / 2)
    return [(left + right) / 2, y, right - left, h]


def test_sources_name_all_pictures_of_a_mosaic(data: Path) -> None:
    batch = load(data, ModernAugmentation(mixup=0), 1)[0]
    names = [source.split(", ") for source in batch.sources]
    assert all(len(four) == 4 for four in names)
    assert all(Path(name).is_file() for four in names for name in four)


def test_multi_scale_changes_the_size_of_whole_batches(data: Path) -> None:
    batches = load(data, MODERN, 60, images_per_batch=1)
    sizes = [batch.images.shape[2:] for batch in batches]
    assert len(set(sizes)) > 1
    assert all(len(set(sizes[n : n + 10])) == 1 for n in range(0, 60, 10))


def test_the_last_epochs_close_the_mosaic(data: Path) -> None:
    # 21 iterations of 1 image are 3 epochs of 7; the last begins at iteration 14
    keys = ModernAugmentation(mixup=0, close_mosaic=1)
    batches = load(data, keys, 21, images_per_batch=1, iterations_total=21)
    mosaics = ["," in batch.sources[0] for batch in batches]
    assert mosaics == [True] * 14 + [False] * 7


def test_batches_per_epoch_count_the_last_one(data: Path) -> None:
    for size, count in ((4, 2), (7, 1), (3, 3)):
        loader = TrainingLoader(
            dataset(data), MODERN, (32, 32), images_per_batch=size, workers=0, seed=0
        )
        assert loader.batches_per_epoch == count


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_picture_is_replaced_and_reported_once(data: Path, workers: int) -> None:
    bad = data / "images/3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    batches = load(data, NoAugmentation(), 8, workers=workers)
    assert all(len(batch.images) == 4 for batch in batches)
    assert all("3.png" not in source for batch in batches for source in batch.sources)
    told = [problem for batch in batches for problem in batch.problems]
    assert len(told) == 1
    assert told[0].startswith(f"cannot read image {bad}: ")


def test_a_bad_label_costs_its_picture_only(data: Path) -> None:
    (data / "labels/2.txt").write_text("0 .5 .5 nonsense .1\n")
    batches = load(data, NoAugmentation(), 4)
    assert [p.split(":")[0] for b in batches for p in b.problems] == [str(data / "labels/2.txt")]


@pytest.mark.parametrize("workers", [0, 1])
def test_training_ends_where_no_picture_can_be_read(data: Path, workers: int) -> None:
    for path in (data / "images").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        load(data, NoAugmentation(), 1, workers=workers)
    assert str(caught.value).startswith(
        f"100 images drawn one after another cannot be read: cannot read image {data}"
    )


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C as it is in a terminal: commands in the background are started without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_everybody_does_not_stop_the_workers(data: Path, number: int) -> None:
    loader = TrainingLoader(
        dataset(data), NoAugmentation(), (32, 32), images_per_batch=4, workers=2, seed=0
    )
    with contextlib.closing(loader.batches()) as batches:
        first_one = next(batches)
        for child in multiprocessing.active_children():
            assert child.pid is not None
            os.kill(child.pid, number)
        rest = list(itertools.islice(batches, 8))
    check_equal([first_one, *rest], first(loader, 9))
    assert not multiprocessing.active_children()


def test_a_program_that_ends_in_the_middle_leaves_no_worker_behind(data: Path) -> None:
    program = f"""
from yolo_gp.data.augmentation import NoAugmentation
from yolo_gp.data.opening import open_dataset
from yolo_gp.data.training_loader import TrainingLoader
loader = TrainingLoader(open_dataset({str(data)!r}), NoAugmentation(), (32, 32),
                        images_per_batch=4, workers=1, seed=0)
batches = loader.batches()
print(len(next(batches).sources))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def test_masks_go_with_their_objects(tmp_path: Path, coco_with_mask: Path) -> None:
    data = open_dataset(str(coco_with_mask), images=tmp_path / "images")
    loader = TrainingLoader(
        data, NoAugmentation(), (40, 80), images_per_batch=2, workers=0, seed=0, masks=True
    )
    targets = first(loader, 1)[0].targets
    assert targets.masks is not None
    # the rectangle 40..120 x 20..60 of 200 x 100 becomes 16..48 x 8..24, cells 4..12 x 2..6
    expected = torch.zeros(10, 20, dtype=torch.bool)
    expected[2:6, 4:12] = True
    assert torch.equal(targets.masks, expected[None].repeat(2, 1, 1))


@pytest.fixture
def coco_with_mask(coco: object) -> Path:
    outline = [40, 20, 120, 20, 120, 60, 40, 60]
    box = {"bbox": [40, 20, 80, 40], "area": 3200, "segmentation": [outline]}
    return coco(box)  # type: ignore[no-any-return, operator]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"images_per_batch": 4, "world": 3},
            "4 images a batch cannot be shared by 3 processes\nexpected: a multiple of 3",
        ),
        (
            {"augmentation": ModernAugmentation(copy_paste=0.1)},
            "copy_paste is 0.1, but training uses no masks\n"
            "expected: 0, or a network with a head for masks",
        ),
        (
            {"size": (30, 32), "masks": True},
            "the network input is 30x32\nexpected: multiples of 4, to train masks",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    data: Path, options: dict[str, object], message: str
) -> None:
    settings = {"images_per_batch": 4, "workers": 0, "seed": 0, **options}
    augmentation = settings.pop("augmentation", NoAugmentation())
    size = settings.pop("size", (32, 32))
    with pytest.raises(UsageError) as caught:
        TrainingLoader(dataset(data), augmentation, size, **settings)  # type: ignore[arg-type]
    assert str(caught.value) == message
