from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.metrics.records import ImageDetections
from yolo_gp.tasks.val_journal import Journal, JournalledImages, recover
from yolo_gp.tasks.val_packing import packed, unpacked
from yolo_gp.tasks.val_results import BatchResult, ImageResult, Seconds, nothing_found

TOKEN = "0123456789abcdef"


def detections(image_id: int, count: int, *, masks: bool = False) -> ImageDetections:
    g = np.random.default_rng(image_id)
    return ImageDetections(
        image_id,
        g.normal(0, 300, (count, 4)).astype(np.float32),
        g.random(count, np.float32),
        g.integers(0, 90, count),
        tuple(Rle((4, 5), "0" * n) for n in range(count)) if masks else None,
    )


def batch(number: int, first: int, count: int = 2) -> BatchResult[ImageResult]:
    images = tuple(
        ImageResult(n, (4, 5), None, detections(10 * n, n, masks=n % 2 == 0), detections(10 * n, 3))
        for n in range(first, first + count)
    )
    return BatchResult(number, images, Seconds(0.1, 0.25, number))


def write(path: Path, *batches: BatchResult[ImageResult], token: str = TOKEN) -> None:
    with Journal(path, token, packed) as journal:
        for one in batches:
            journal.append(one)


def same(a: ImageDetections, b: ImageDetections) -> bool:
    return (
        a.image_id == b.image_id
        and a.boxes_xyxy.tobytes() == b.boxes_xyxy.tobytes()
        and a.boxes_xyxy.shape == b.boxes_xyxy.shape
        and a.confidences.tobytes() == b.confidences.tobytes()
        and a.class_ids.tolist() == b.class_ids.tolist()
        and a.masks == b.masks
    )


def test_every_bit_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.journal"
    written = batch(0, 0, count=4)
    write(path, written)
    with JournalledImages([path], TOKEN, unpacked) as images:
        assert len(images) == 4
        for found, expected in zip(images, written.images, strict=True):
            assert (found.index, found.size, found.problem) == (expected.index, (4, 5), None)
            assert same(found.coco, expected.coco)
            assert same(found.darknet, expected.darknet)
        assert images.seconds == Seconds(0.1, 0.25, 0)


@pytest.mark.parametrize("problem", ["", "no such file: \u00e4\u6f22.jpg"])
def test_the_reason_of_an_unusable_image_comes_back(tmp_path: Path, problem: str) -> None:
    path = tmp_path / "rank-0.journal"
    nothing = nothing_found(2**40)
    image = ImageResult(0, (4, 5), problem, nothing, nothing)
    write(path, BatchResult(0, (image,), Seconds()))
    with JournalledImages([path], TOKEN, unpacked) as images:
        assert images[0].problem == problem
        assert images[0].coco.image_id == 2**40
        assert len(images[0].coco) == 0


def test_images_of_several_journals_come_in_the_order_of_the_data(tmp_path: Path) -> None:
    paths = [tmp_path / f"rank-{rank}.journal" for rank in range(2)]
    write(paths[0], batch(2, 4), batch(0, 0))
    write(paths[1], batch(1, 2), batch(0, 0))  # batch 0 again
    with JournalledImages(paths, TOKEN, unpacked) as images:
        assert [image.index for image in images] == [0, 1, 2, 3, 4, 5]
        assert [image.index for image in images[1:3]] == [1, 2]
        assert images[-1].coco.image_id == 50


def test_appending_goes_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.journal"
    write(path, batch(0, 0))
    write(path, batch(1, 2))
    assert recover(path, TOKEN) == (0, 1)


def test_a_journal_cut_anywhere_keeps_its_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.journal"
    ends = []
    for number in range(3):
        write(path, batch(number, 2 * number))
        ends.append(path.stat().st_size)
    content = path.read_bytes()
    line = content.index(b"\n") + 1
    for length in (*range(0, len(content), 7), *ends, *(end - 1 for end in ends)):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends)
        assert recover(path, TOKEN) == tuple(range(whole))
        assert path.stat().st_size == (ends[whole - 1] if whole else line * (length >= line))


@pytest.mark.parametrize("where", [0.4, 0.7])
def test_a_batch_with_a_flipped_bit_is_done_again(tmp_path: Path, where: float) -> None:
    path = tmp_path / "rank-0.journal"
    write(path, batch(0, 0, count=9))
    first = path.stat().st_size
    write(path, batch(1, 9, count=9), batch(2, 18, count=9))
    content = bytearray(path.read_bytes())
    content[first + int(where * (len(content) - first) / 2)] ^= 4
    path.write_bytes(content)
    assert recover(path, TOKEN) == (0,)
    assert path.stat().st_size == first


def test_a_journal_of_another_run_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.journal"
    write(path, batch(0, 0), token="f" * 16)
    assert recover(path, TOKEN) == ()
    write(path, batch(1, 2))
    assert recover(path, TOKEN) == (1,)


def test_a_journal_that_cannot_be_written_is_an_error_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "none" / "rank-0.journal"
    with pytest.raises(DataError) as caught:
        Journal(path, TOKEN, packed)
    assert str(caught.value) == f"cannot write {path}: no such file or directory"
    with pytest.raises(DataError, match=r"^cannot use .*: no such file or directory$"):
        recover(path, TOKEN)
    with pytest.raises(DataError, match=r"^cannot read .*: no such file or directory$"):
        JournalledImages([path], TOKEN, unpacked)


def test_a_record_that_the_disk_takes_in_part_is_an_error_and_done_again(tmp_path: Path) -> None:
    path = tmp_path / "rank-0.journal"
    write(path, batch(0, 0))
    whole = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 100, limits[1]))
    try:
        with pytest.raises(DataError) as caught:
            write(path, batch(1, 2, count=9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    head, help = str(caught.value).split("\n")
    assert head.startswith(f"cannot write {path}: the disk took 100 of ")
    assert help == "help: make room, then go on with --resume"
    assert recover(path, TOKEN) == (0,)


def test_a_full_disk_is_an_error_with_its_reason(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "rank-0.journal"
    path.symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"^cannot write .*: no space left on device$"):
        Journal(path, TOKEN, packed)
