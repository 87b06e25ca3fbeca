"""The picture of a training batch: its images, and frames where the objects are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from yolo_gp.errors import DataError
from yolo_gp.losses.targets import Targets
from yolo_gp.plots.batches import batch_picture, write_batch

NAMES = ("cat", "dog")


def targets(*objects: tuple[int, int, list[float]], masks: torch.Tensor | None = None) -> Targets:
    """Args: objects: image, class and box of each."""
    return Targets(
        torch.tensor([o[0] for o in objects], dtype=torch.int64),
        torch.tensor([o[1] for o in objects], dtype=torch.int64),
        torch.tensor([o[2] for o in objects], dtype=torch.float32).reshape(-1, 4),
        masks,
    )


def levels(*values: float, channels: int = 3, size: tuple[int, int] = (60, 80)) -> torch.Tensor:
    return torch.stack([torch.full((channels, *size), value) for value in values])


def marked(picture: NDArray[np.uint8], color: NDArray[np.uint8]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (picture == color).all(axis=2)
    return found


def test_images_stand_in_rows_in_their_order() -> None:
    # five images: three columns and two rows, 4 pixels apart
    picture = batch_picture(levels(0, 0.2, 0.4, 0.6, 0.8), targets(), NAMES)
    assert picture.shape == (2 * 60 + 4, 3 * 80 + 2 * 4, 3)
    corners = [(0, 0), (0, 84), (0, 168), (64, 0), (64, 84)]
    assert [int(picture[y, x, 0]) for y, x in corners] == [0, 51, 102, 153, 204]
    assert (picture[64:, 168:] == 255).all()
    assert (picture[60:64] == 255).all()


def test_a_frame_lies_just_inside_its_box() -> None:
    # the box 20..60 x 30..54 of 80 x 60
    picture = batch_picture(levels(0), targets((0, 1, [0.5, 0.7, 0.5, 0.4])), NAMES)
    color = picture[53, 40]
    assert color.any()
    found = marked(picture, color)
    assert found[53, 20:60].all()
    assert found[30:54, 20].all()
    assert found[30:54, 59].all()
    assert not found[54:].any()
    assert not found[30:, 60:].any()
    assert not found[32:53, 30:59].any()  # the middle stays open


def test_only_the_image_of_an_object_shows_it() -> None:
    picture = batch_picture(levels(0, 0), targets((1, 0, [0.5, 0.5, 0.5, 0.5])), NAMES)
    assert not picture[:, :80].any()
    assert picture[:, 84:].any()


def test_classes_differ_in_color() -> None:
    both = targets((0, 0, [0.25, 0.7, 0.25, 0.4]), (0, 1, [0.75, 0.7, 0.25, 0.4]))
    picture = batch_picture(levels(0), both, NAMES)
    assert picture[53, 20].tolist() != picture[53, 60].tolist()


def test_a_class_without_a_name_is_shown_by_its_number() -> None:
    box = [0.5, 0.7, 0.5, 0.4]
    named = batch_picture(levels(0), targets((0, 1, box)), ("cat", "1"))
    unnamed = batch_picture(levels(0), targets((0, 1, box)), ("cat",))
    np.testing.assert_array_equal(named, unnamed)


def test_a_mask_is_a_tint_in_its_cells() -> None:
    masks = torch.zeros(1, 15, 20, dtype=torch.bool)
    masks[0, 9:12, 8:12] = True
    shown = targets((0, 1, [0.5, 0.7, 0.5, 0.4]), masks=masks)
    picture = batch_picture(levels(0.5), shown, NAMES)
    # 128 levels of grey, .6 of them and .4 of the class's colour
    color = picture[53, 40].astype(float)
    np.testing.assert_allclose(picture[36, 32], 128 * 0.6 + color * 0.4, atol=1)
    np.testing.assert_allclose(picture[47, 47], 128 * 0.6 + color * 0.4, atol=1)
    assert picture[48, 40].tolist() == [128] * 3
    assert picture[40, 31].tolist() == [128] * 3


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_rgba_are_shown_as_colors(channels: int) -> None:
    picture = batch_picture(levels(0.2, channels=channels), targets(), NAMES)
    assert picture[0, 0].tolist() == [51, 51, 51]


def test_no_more_than_sixteen_images_are_shown() -> None:
    picture = batch_picture(levels(*[0.0] * 20), targets((19, 0, [0.5, 0.5, 0.5, 0.5])), NAMES)
    assert picture.shape == (4 * 64 - 4, 4 * 84 - 4, 3)


def test_the_picture_is_written_as_png(tmp_path: Path) -> None:
    shown = targets((0, 1, [0.5, 0.7, 0.5, 0.4]))
    write_batch(tmp_path / "new/batch.png", levels(0.5), shown, NAMES)
    with Image.open(tmp_path / "new/batch.png") as image:
        assert image.format == "PNG"
        found = np.asarray(image)
    np.testing.assert_array_equal(found, batch_picture(levels(0.5), shown, NAMES))


def test_a_picture_that_cannot_be_written_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_batch(tmp_path / "file/batch.png", levels(0), targets(), NAMES)
