"""The page of the worst misses: cut-outs at their place, boxes in their colours, captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from yolo_gp.data.dataset import GroundTruth
from yolo_gp.errors import DataError
from yolo_gp.metrics.misses import Miss, MissKind
from yolo_gp.metrics.records import EvaluatedImage, ImageDetections
from yolo_gp.tasks.val_pictures import caption, write_misses

Pixels = NDArray[np.uint8]
BLUE, ORANGE = (0, 158, 255), (255, 140, 0)
TILE_X, TILE_Y = 8, 34  # of the first cut-out on the page
STEP_X, STEP_Y = 328, 286
WIDE, TALL = 320, 240


def image_with(
    objects: list[tuple[float, ...]], found: list[tuple[float, ...]], image_id: int = 7
) -> EvaluatedImage:
    """Of 480 x 640 pixels; rows of box and class, and of box, confidence and class."""
    truth = np.array(objects, dtype=np.float64).reshape(-1, 5)
    rows = np.array(found, dtype=np.float32).reshape(-1, 6)
    no = np.zeros(len(truth), dtype=np.bool_)
    return EvaluatedImage(
        (480, 640),
        GroundTruth(truth[:, :4], truth[:, 4].astype(np.int64), no, no, np.ones(len(truth))),
        ImageDetections(image_id, rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)),
    )


def grey(image_id: int) -> Pixels:
    return np.full((480, 640, 3), 90, np.uint8)


def page(path: Path) -> Pixels:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def has(pixels: Pixels, color: tuple[int, ...]) -> bool:
    return bool((pixels == color).all(axis=2).any())


def test_a_box_lies_where_it_lies_in_the_image(tmp_path: Path) -> None:
    # The object, 200 x 150, is enlarged 1.6 times: 320 x 240 of the image around its centre
    # (320, 240), so that the cut-out begins at (160, 120) and is not scaled.
    image = image_with([(220, 165, 420, 315, 0)], [])
    miss = Miss(MissKind.MISSED, 0, None, 0, 0.0, 0.5)
    write_misses(tmp_path / "m.png", [image], [miss], ["cat"], grey)
    cut = page(tmp_path / "m.png")[TILE_Y : TILE_Y + TALL, TILE_X : TILE_X + WIDE]
    blue = (cut == BLUE).all(axis=2)
    rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
    assert (rows[0], rows[-1]) == (165 - 120, 315 - 120)
    assert (columns[0], columns[-1]) == (220 - 160, 420 - 160)
    assert tuple(cut[120, 160]) == (90, 90, 90)  # the middle is free
    assert blue[:, 160].sum() == 6  # two edges of three pixels


def test_the_cut_out_shows_the_right_part_of_the_right_image(tmp_path: Path) -> None:
    def striped(image_id: int) -> Pixels:
        pixels = np.zeros((480, 640, 3), np.uint8)
        pixels[..., 0] = np.arange(640) // 4  # red says the column
        pixels[..., 1] = image_id
        return pixels

    images = [image_with([(0, 0, 9, 9, 0)], [], 3), image_with([(220, 165, 420, 315, 0)], [], 55)]
    miss = Miss(MissKind.MISSED, 1, None, 0, 0.0, 0.5)
    write_misses(tmp_path / "m.png", images, [miss], ["cat"], striped)
    middle = page(tmp_path / "m.png")[TILE_Y + 120, TILE_X + 160]
    assert middle.tolist() == [320 // 4, 55, 0]


def test_wrong_detections_are_orange_and_other_objects_thin(tmp_path: Path) -> None:
    image = image_with(
        [(220, 165, 420, 315, 0), (300, 165, 340, 200, 1)], [(230, 165, 430, 315, 0.9, 1)]
    )
    misses = [
        Miss(MissKind.WRONG_CLASS, 0, 0, 0, 0.9, 0.9),
        Miss(MissKind.MISSED, 0, None, 1, 0.0, 0.1),
    ]
    write_misses(tmp_path / "m.png", [image], misses, ["cat", "dog"], grey)
    whole = page(tmp_path / "m.png")
    first = whole[TILE_Y : TILE_Y + TALL, TILE_X : TILE_X + WIDE]
    second = whole[TILE_Y : TILE_Y + TALL, TILE_X + STEP_X : TILE_X + STEP_X + WIDE]
    assert has(first, BLUE)
    assert has(first, ORANGE)
    assert has(second, BLUE)
    assert not has(second, ORANGE)


def test_the_fifth_miss_begins_the_second_row(tmp_path: Path) -> None:
    image = image_with([(220, 165, 420, 315, 0)], [])
    miss = Miss(MissKind.MISSED, 0, None, 0, 0.0, 0.5)
    write_misses(tmp_path / "m.png", [image], [miss] * 5, ["cat"], grey)
    whole = page(tmp_path / "m.png")
    assert whole.shape == (TILE_Y + 2 * STEP_Y, 4 * STEP_X + 8, 3)
    assert has(whole[TILE_Y + STEP_Y :, : TILE_X + WIDE], BLUE)
    assert not has(whole[TILE_Y + STEP_Y :, TILE_X + WIDE :], BLUE)


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 700, 500),  # larger than the image
        (630, 470, 900, 900),  # beyond its corner
        (700, 500, 900, 900),  # outside
        (-1e30, -1e30, 1e30, 1e30),  # of a network that was never trained
        (-90, -90, -10, -10),
        (10, 10, 10, 10),  # without area
        (0, 200, 640, 203),  # flat
        (100, 0, 103, 480),
    ],
)
def test_boxes_of_any_shape_make_a_cut_out(tmp_path: Path, box: tuple[float, ...]) -> None:
    image = image_with([], [(*box, 0.9, 0)])
    miss = Miss(MissKind.NOTHING_THERE, 0, 0, None, 0.0, 0.9)
    write_misses(tmp_path / "m.png", [image], [miss], ["cat"], grey)
    cut = page(tmp_path / "m.png")[TILE_Y : TILE_Y + TALL, TILE_X : TILE_X + WIDE]
    assert has(cut, (90, 90, 90))


def test_a_small_image_is_enlarged_not_padded_with_what_is_not_there(tmp_path: Path) -> None:
    image = EvaluatedImage(
        (10, 400), image_with([(0, 0, 9, 9, 0)], []).truth, image_with([], []).found
    )
    miss = Miss(MissKind.MISSED, 0, None, 0, 0.0, 0.5)
    write_misses(
        tmp_path / "m.png", [image], [miss], ["cat"], lambda _: np.zeros((10, 400, 3), np.uint8)
    )
    cut = page(tmp_path / "m.png")[TILE_Y : TILE_Y + TALL, TILE_X : TILE_X + WIDE]
    dark = (cut == 0).all(axis=2)
    assert 40 < dark.any(axis=1).sum() < 60  # 64 x 10 pixels, five times as large


def test_captions_say_what_went_wrong() -> None:
    image = image_with(
        [(0, 0, 100, 50, 0), (0, 0, 90, 40, 1)], [(0, 0, 80, 60, 0.75, 1), (0, 0, 99, 50, 0.125, 0)]
    )
    names = ["cat", "dog"]
    expected = {
        Miss(MissKind.MISSED, 0, None, 0, 0.0, 0.5): ("missed cat", "100 x 50"),
        Miss(MissKind.MISSED, 0, 1, 0, 0.9, 0.5): ("missed cat, found only with 0.12", "100 x 50"),
        Miss(MissKind.WRONG_CLASS, 0, 0, 0, 0.6, 0.75): ("dog 0.75, but it is cat", "80 x 60"),
        Miss(MissKind.TWICE, 0, 0, 1, 0.6, 0.75): ("dog 0.75, found twice", "80 x 60"),
        Miss(MissKind.LOOSE_BOX, 0, 0, 1, 0.314, 0.75): (
            "dog 0.75, loose box: IoU 0.31",
            "80 x 60",
        ),
        Miss(MissKind.NOTHING_THERE, 0, 0, None, 0, 0.75): ("dog 0.75, nothing there", "80 x 60"),
    }
    for miss, (first, size) in expected.items():
        assert caption(image, miss, names) == (first, f"image 7, {size} pixels")


def test_names_that_the_font_lacks_become_numbers_and_long_ones_end_with_their_tile(
    tmp_path: Path,
) -> None:
    image = image_with([(0, 0, 100, 50, 0), (0, 0, 9, 9, 1), (0, 0, 9, 9, 2)], [])
    names = ["\u72ac", "caf\u00e9", "x" * 200]
    first_lines = [
        caption(image, Miss(MissKind.MISSED, 0, None, i, 0.0, 0.5), names)[0] for i in range(3)
    ]
    assert first_lines[:2] == ["missed class 0", "missed cafe"]
    miss = Miss(MissKind.MISSED, 0, None, 2, 0.0, 0.5)
    write_misses(tmp_path / "m.png", [image], [miss], names, grey)
    beside = page(tmp_path / "m.png")[TILE_Y + TALL :, TILE_X + WIDE :]
    assert (beside == 255).all()


def test_without_misses_the_page_says_so(tmp_path: Path) -> None:
    write_misses(tmp_path / "m.png", [], [], [], grey)
    whole = page(tmp_path / "m.png")
    assert (whole != 255).any()
    assert whole.shape[0] < 60


def test_an_image_that_cannot_be_read_leaves_no_file(tmp_path: Path) -> None:
    def broken(image_id: int) -> Pixels:
        raise DataError(f"image {image_id} is gone")

    image = image_with([(0, 0, 100, 50, 0)], [])
    miss = Miss(MissKind.MISSED, 0, None, 0, 0.0, 0.5)
    with pytest.raises(DataError, match="image 7 is gone"):
        write_misses(tmp_path / "m.png", [image], [miss], ["cat"], broken)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_misses(tmp_path / "file" / "m.png", [], [], [], grey)
