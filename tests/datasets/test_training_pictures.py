"""Pictures as training reads them: upright, as large as needed, with the objects to learn."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolo_gp.data.augmentation import Augmentation, DarknetAugmentation, ModernAugmentation
from yolo_gp.data.images import decode_image
from yolo_gp.data.opening import open_dataset
from yolo_gp.data.training_pictures import TrainingPictures, decode_reduced, fitted_size
from yolo_gp.errors import DataError

Write = Callable[..., Path]


def encoded(
    size: tuple[int, int], kind: str = "JPEG", orientation: int = 1, mode: str = "RGB"
) -> io.BytesIO:
    """A smooth picture of (height, width) whose four corners differ."""
    down, across = np.mgrid[0 : size[0], 0 : size[1]].astype(float)
    planes = [255 * down / size[0], 255 * across / size[1], np.full(size, 90.0)]
    image = Image.fromarray(np.stack(planes, axis=2).astype(np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    file.seek(0)
    return file


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_is_needed_whole_is_decoded_as_for_detection(
    kind: str, orientation: int
) -> None:
    file = encoded((48, 64), kind, orientation)
    pixels, size = decode_reduced(file, 3, (48, 48), False)
    file.seek(0)
    np.testing.assert_array_equal(pixels, decode_image(file, 3))
    assert size == ((48, 64) if orientation < 5 else (64, 48))
    assert pixels.flags.writeable


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_decoded_at_a_fraction_that_still_suffices(orientation: int) -> None:
    file = encoded((400, 640), orientation=orientation)
    needed = (100, 150) if orientation < 5 else (150, 100)
    pixels, size = decode_reduced(file, 3, needed, False)
    # a quarter is 100 x 160; an eighth would be 50 x 80
    assert pixels.shape[:2] == ((100, 160) if orientation < 5 else (160, 100))
    assert size == ((400, 640) if orientation < 5 else (640, 400))
    file.seek(0)
    whole = Image.fromarray(decode_image(file, 3)).resize(pixels.shape[1::-1])
    assert np.abs(pixels.astype(int) - np.asarray(whole)).max() <= 4


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_that_is_not_rgb_is_decoded_as_for_detection(mode: str) -> None:
    file = encoded((40, 40), mode=mode)
    pixels, _ = decode_reduced(file, 3, (10, 10), False)
    file.seek(0)
    np.testing.assert_array_equal(pixels, decode_image(file, 3))


def test_a_fitted_picture_keeps_its_aspect_and_never_grows() -> None:
    assert fitted_size((400, 640), (320, 320)) == (200, 320)
    assert fitted_size((640, 400), (320, 320)) == (320, 200)
    assert fitted_size((100, 50), (320, 320)) == (100, 50)


def opened(spec: Path, augmentation: Augmentation, **options: bool) -> TrainingPictures:
    masks = options.get("masks", False)
    dataset = open_dataset(str(spec))
    return TrainingPictures(dataset, augmentation, (50, 50), channels=3, masks=masks, cache=None)


def test_the_modern_pipeline_loads_pictures_as_large_as_they_fit(yolo: Write) -> None:
    data = yolo("0 .5 .5 .1 .1\n")  # 100 x 200
    modern = opened(data, ModernAugmentation()).picture(0)
    assert (modern.pixels.shape, modern.size) == ((25, 50, 3), (100, 200))
    assert opened(data, DarknetAugmentation()).picture(0).pixels.shape == (50, 100, 3)
    # 50 * 1.4 / 32 + 1 rounds to 3: 96 pixels, for which half of 100 rows is not enough
    larger = opened(data, DarknetAugmentation(random=1)).picture(0)
    assert larger.pixels.shape == (100, 200, 3)


def test_labels_stay_in_pixels_of_the_file_s_image(yolo: Write) -> None:
    picture = opened(yolo("1 .5 .5 .1 .2\n"), ModernAugmentation()).picture(0)
    np.testing.assert_allclose(picture.labels.boxes_xyxy, [[90, 40, 110, 60]])
    assert picture.labels.class_ids.tolist() == [1]


def test_crowds_are_not_learned(coco: Write) -> None:
    single = {"bbox": [0, 0, 10, 10], "area": 100, "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]]}
    crowd = {**single, "iscrowd": 1, "segmentation": {"size": [100, 200], "counts": [0, 20000]}}
    path = coco(crowd, single)
    dataset = open_dataset(str(path), images=path.parent / "images")
    pictures = TrainingPictures(
        dataset, ModernAugmentation(), (50, 50), channels=3, masks=True, cache=None
    )
    labels = pictures.picture(0).labels
    np.testing.assert_allclose(labels.boxes_xyxy, [[0, 0, 10, 10]])
    assert labels.masks is not None
    assert len(labels.masks) == 1


def test_a_picture_that_cannot_be_read_is_named(yolo: Write) -> None:
    data = yolo("0 .5 .5 .1 .1\n")
    (data / "images/a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        opened(data, DarknetAugmentation()).picture(0)
    path = data / "images/a.jpg"
    assert str(caught.value) == (
        f"cannot read image {path}: not an image in a format that can be read"
    )


def test_objects_without_masks_are_refused_where_masks_are_wanted(yolo: Write) -> None:
    data = yolo("0 .5 .5 .1 .1\n")
    with pytest.raises(DataError) as caught:
        opened(data, ModernAugmentation(), masks=True).picture(0)
    assert str(caught.value) == f"the objects of {data / 'images/a.jpg'} have no masks"
