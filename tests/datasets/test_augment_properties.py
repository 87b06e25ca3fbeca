"""After any augmentation a box frames its object, and a mask covers it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_gp.data.augment_darknet import augment_darknet
from yolo_gp.data.augment_modern import augment_modern
from yolo_gp.data.augment_none import unaugmented
from yolo_gp.data.augment_tiles import Picture, TrainingImage
from yolo_gp.data.augmentation import DarknetAugmentation, ModernAugmentation

from .augment_scenes import extent, one_after_another, pictures, seen

SIZES = st.tuples(st.sampled_from([32, 48, 64, 96]), st.sampled_from([32, 48, 64, 96]))
SEEDS = st.integers(0, 2**32)
EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)


def check_boxes(image: TrainingImage, slack: float) -> None:
    """Each box frames the pixels of its object, and ends where they end, up to `slack` pixels."""
    for box, channel in zip(image.boxes_xyxy, image.class_ids.tolist(), strict=True):
        found = extent(seen(image, channel))
        if found is None:  # so small that no pixel belongs to it for more than half
            assert min(box[2] - box[0], box[3] - box[1]) < 3
            continue
        np.testing.assert_allclose(box, found, atol=slack)


def check_masks(image: TrainingImage) -> None:
    """A cell is set where its 4 x 4 pixels and those around it are, and not where none is."""
    assert image.masks is not None
    for mask, channel in zip(image.masks, image.class_ids.tolist(), strict=True):
        inside = seen(image, channel)
        grown, shrunk = (np.pad(inside, 1, mode="edge") for _ in range(2))
        shifts = list(itertools.product(range(3), repeat=2))
        height, width = inside.shape
        views = [grown[y : y + height, x : x + width] for y, x in shifts]
        grown, shrunk = np.logical_or.reduce(views), np.logical_and.reduce(views)
        cells = (height // 4, 4, width // 4, 4)
        assert mask[shrunk.reshape(cells).all(axis=(1, 3))].all()
        assert not mask[~grown.reshape(cells).any(axis=(1, 3))].any()


def check_missing(image: TrainingImage, made: list[Picture]) -> None:
    """Who is not among the objects is hardly to be seen: no wider or no higher than 2 pixels."""
    for channel in {number for number, _ in enumerate(made)} - set(image.class_ids.tolist()):
        found = extent(seen(image, channel))
        assert found is None or min(found[2] - found[0], found[3] - found[1]) <= 2


@given(made=pictures(1), size=SIZES)
@EXAMPLES
def test_a_stretched_picture_keeps_its_objects(made: list[Picture], size: tuple[int, int]) -> None:
    image = unaugmented(made[0], size)
    assert len(image.class_ids) == 1
    check_boxes(image, slack=1)
    check_masks(image)


@given(
    made=pictures(),
    size=SIZES,
    seed=SEEDS,
    mosaic=st.booleans(),
    jitter=st.sampled_from([0, 0.1, 0.3, 0.6]),
    resize=st.sampled_from([1.0, 0.5, 1.5, 3.0]),
)
@EXAMPLES
def test_darknet_s_boxes_frame_their_objects(
    made: list[Picture],
    size: tuple[int, int],
    seed: int,
    mosaic: bool,
    jitter: float,
    resize: float,
) -> None:
    keys = DarknetAugmentation(jitter=jitter, resize=resize, mosaic=mosaic, mosaic_bound=True)
    rng = np.random.default_rng(seed)
    image = augment_darknet(made[0], one_after_another(made), keys, size, rng)
    check_boxes(image, slack=1)
    check_masks(image)
    check_missing(image, made[: len(image.sources)])


@given(made=pictures(1), size=SIZES, seed=SEEDS)
@EXAMPLES
def test_darknet_s_letter_box_frames_its_objects(
    made: list[Picture], size: tuple[int, int], seed: int
) -> None:
    keys = DarknetAugmentation(letter_box=True)
    rng = np.random.default_rng(seed)
    image = augment_darknet(made[0], one_after_another(made), keys, size, rng)
    check_boxes(image, slack=1)
    check_masks(image)


@given(
    made=pictures(),
    size=SIZES,
    seed=SEEDS,
    mosaic=st.sampled_from([0.0, 1.0]),
    scale=st.sampled_from([0.0, 0.5, 0.9]),
    translate=st.sampled_from([0.0, 0.1, 0.4]),
)
@EXAMPLES
def test_modern_boxes_frame_their_objects(
    made: list[Picture],
    size: tuple[int, int],
    seed: int,
    mosaic: float,
    scale: float,
    translate: float,
) -> None:
    keys = ModernAugmentation(
        mosaic=mosaic, mixup=0, scale=scale, translate=translate, hue=0, saturation=0, value=0
    )
    rng = np.random.default_rng(seed)
    image = augment_modern(made[0], one_after_another(made), keys, size, rng)
    check_boxes(image, slack=1)
    check_masks(image)


@given(made=pictures(), size=SIZES, seed=SEEDS)
@EXAMPLES
def test_a_pasted_copy_has_the_pixels_the_box_and_the_mask_of_its_object(
    made: list[Picture], size: tuple[int, int], seed: int
) -> None:
    keys = ModernAugmentation(
        mixup=0, scale=0.5, hue=0, saturation=0, value=0, flip=0, copy_paste=1
    )
    rng = np.random.default_rng(seed)
    image = augment_modern(made[0], one_after_another(made), keys, size, rng)
    without = ModernAugmentation(mixup=0, scale=0.5, hue=0, saturation=0, value=0, flip=0)
    rng = np.random.default_rng(seed)
    before = augment_modern(made[0], one_after_another(made), without, size, rng)
    count = len(before.class_ids)
    np.testing.assert_array_equal(image.boxes_xyxy[:count], before.boxes_xyxy)
    assert image.masks is not None
    width = size[1]
    for box, channel, mask in zip(
        image.boxes_xyxy[count:], image.class_ids[count:], image.masks[count:], strict=True
    ):
        original = np.flatnonzero(before.class_ids == channel)[0]
        left, top, right, bottom = before.boxes_xyxy[original]
        np.testing.assert_allclose(box, [width - right, top, width - left, bottom])
        pasted = seen(image, channel)
        column = min(int((box[0] + box[2]) / 2), width - 1)
        if box[3] - box[1] > 3 and box[2] - box[0] > 3 and not _hidden(image, box, count):
            assert pasted[int((box[1] + box[3]) / 2), column]
            assert mask.sum() * 16 == pytest.approx(
                (box[2] - box[0]) * (box[3] - box[1]),
                abs=8 * (box[2] - box[0] + box[3] - box[1] + 4),
            )


def _hidden(image: TrainingImage, box: np.ndarray, count: int) -> bool:
    """Whether another pasted object overlaps this one."""
    for other in image.boxes_xyxy[count:]:
        apart = (other[:2] >= box[2:]).any() or (other[2:] <= box[:2]).any()
        if not apart and not np.array_equal(other, box):
            return True
    return False
