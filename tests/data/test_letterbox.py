from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from yolo_gp.data.letterbox import place, prepare, resize_bilinear, resize_darknet
from yolo_gp.errors import DataError
from yolo_gp.presets import PRESETS

F = np.float32
DARKNET_LETTERBOX = replace(PRESETS["darknet"], resize="letterbox")
SQUARE_LETTERBOX = replace(PRESETS["coco"], rectangular=False)
_side = st.integers(1, 14)


def photo(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def resize_by_the_spec(image: NDArray[np.uint8], h: int, w: int) -> NDArray[np.float32]:
    """darknet.md 5.2, one value and one float32 operation at a time. Not for h == 1."""
    ih, iw, channels = image.shape
    p = [[[F(level) / F(255) for level in pixel] for pixel in row] for row in image]
    sx = F(iw - 1) / F(w - 1) if w > 1 else F(0)
    sy = F(ih - 1) / F(h - 1)
    q = np.zeros((ih, w, channels), dtype=F)
    for y in range(ih):
        for x in range(w):
            for c in range(channels):
                if x == w - 1 or iw == 1:
                    q[y, x, c] = p[y][iw - 1][c]
                else:
                    u = F(x) * sx
                    i = int(u)
                    d = u - F(i)
                    q[y, x, c] = (F(1) - d) * p[y][i][c] + d * p[y][i + 1][c]
    out = np.zeros((h, w, channels), dtype=F)
    for y in range(h):
        v = F(y) * sy
        i = int(v)
        d = v - F(i)
        for x in range(w):
            for c in range(channels):
                out[y, x, c] = (F(1) - d) * q[i, x, c]
                if y < h - 1 and ih > 1:
                    out[y, x, c] += d * q[i + 1, x, c]
    return out


@settings(max_examples=200, deadline=None)
@given(_side, _side, st.integers(2, 14), _side, st.sampled_from([1, 3, 4]))
def test_darknet_resize_equals_the_spec_bit_for_bit(
    ih: int, iw: int, h: int, w: int, channels: int
) -> None:
    image = photo(ih, iw, channels, seed=ih * 31 + iw)
    found = resize_darknet(image, h, w)
    assert found.dtype == np.float32
    assert np.array_equal(found, resize_by_the_spec(image, h, w))


@pytest.mark.parametrize(
    ("ih", "iw", "h", "w"),
    [(121, 5, 416, 3), (5, 121, 3, 416), (480, 3, 416, 4), (3, 640, 4, 416), (900, 7, 64, 9)],
)
def test_darknet_resize_of_photo_sizes_equals_the_spec_bit_for_bit(
    ih: int, iw: int, h: int, w: int
) -> None:
    image = photo(ih, iw)
    assert np.array_equal(resize_darknet(image, h, w), resize_by_the_spec(image, h, w))


def test_darknet_resize_darkens_the_last_row_of_121_rows_made_416() -> None:
    # 415 * float32(120/415) is the float32 just below 120, and those are 2^-17 apart there. So
    # the last row is 2^-17 of source row 119; the rest, of row 120, is left out (5.2).
    resized = resize_darknet(np.full((121, 8, 3), 255, dtype=np.uint8), 416, 8)
    assert (resized[-1] == 2.0**-17).all()
    assert (resized[:-1] > 0.999).all()


def test_darknet_resize_keeps_the_last_row_where_the_arithmetic_comes_out_even() -> None:
    resized = resize_darknet(np.full((121, 8, 3), 255, dtype=np.uint8), 512, 8)
    assert (resized > 0.999).all()  # never dark for 512 (5.2)


def test_darknet_resize_to_one_column_takes_the_last_column() -> None:
    image = photo(5, 4)
    assert np.array_equal(resize_darknet(image, 5, 1)[:, 0], image[:, -1].astype(F) / F(255))


def test_darknet_resize_to_one_row_takes_the_first_row() -> None:
    image = photo(5, 4)  # Darknet itself divides by zero here
    assert np.array_equal(resize_darknet(image, 1, 4)[0], image[0].astype(F) / F(255))


@pytest.mark.parametrize("resize", [resize_darknet, resize_bilinear])
@pytest.mark.parametrize("shape", [(7, 9, 3), (1, 1, 1), (1, 6, 3), (6, 1, 3)])
def test_resizing_to_the_same_size_only_scales_the_levels(
    resize: Callable[[NDArray[np.uint8], int, int], NDArray[np.float32]],
    shape: tuple[int, int, int],
) -> None:
    image = photo(*shape)
    assert np.array_equal(resize(image, shape[0], shape[1]), image.astype(F) / F(255))


def test_darknet_resize_reads_corner_to_corner() -> None:
    # 0 and 100 stretched to five: at 0, 1/4, 2/4, 3/4 and 1 of the way
    row = np.array([[[0], [100]]], dtype=np.uint8)
    assert (resize_darknet(row, 1, 5).ravel() * 255).tolist() == pytest.approx([0, 25, 50, 75, 100])


def test_bilinear_resize_reads_edge_to_edge() -> None:
    # 0 and 100 stretched to four: the centres lie at -1/4, 1/4, 3/4 and 5/4; beyond the outer
    # centres the outer pixels go on
    row = np.array([[[0], [100]]], dtype=np.uint8)
    levels = resize_bilinear(row, 1, 4).ravel() * 255
    assert levels.tolist() == pytest.approx([0, 25, 75, 100])


def test_bilinear_resize_rounds_to_whole_levels() -> None:
    resized = resize_bilinear(photo(10, 10), 17, 23)
    assert np.array_equal(np.rint(resized * 255).astype(F) / F(255), resized)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_bilinear_resize_is_within_one_level_of_opencv(ih: int, iw: int, h: int, w: int) -> None:
    image = photo(ih, iw, seed=ih * 61 + iw)
    expected = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    found = np.rint(resize_bilinear(image, h, w) * 255)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(("ih", "iw"), [(480, 640), (333, 500), (1500, 2000)])
def test_bilinear_resize_of_photos_is_within_one_level_of_opencv(ih: int, iw: int) -> None:
    image = photo(ih, iw)
    expected = cv2.resize(image, (416, 416), interpolation=cv2.INTER_LINEAR)
    difference = np.abs(np.rint(resize_bilinear(image, 416, 416) * 255) - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.15  # OpenCV drops bits worth 1/8 level on average


def test_bilinear_resize_to_half_the_size_equals_opencv() -> None:
    # Each value is the mean of four; OpenCV drops no bits there, and halves go up in both.
    image = photo(832, 640)
    expected = cv2.resize(image, (320, 416), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(np.rint(resize_bilinear(image, 416, 320) * 255), expected)


def test_an_image_that_is_a_view_resizes_like_its_copy() -> None:
    flipped = photo(20, 30)[:, ::-1]
    for resize in (resize_darknet, resize_bilinear):
        assert np.array_equal(resize(flipped, 13, 17), resize(flipped.copy(), 13, 17))


def test_plain_resize_fills_the_network_input() -> None:
    image = photo(30, 40)
    tensor, placement = prepare(image, (16, 24), PRESETS["darknet"], 8)
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), resize_darknet(image, 16, 24).transpose(2, 0, 1))
    assert placement.network_size == placement.scaled_size == (16, 24)
    assert placement.image_size == (30, 40)
    boxes = torch.rand(5, 4)
    assert torch.equal(placement.boxes_on_image(boxes), boxes)


def test_opencv_preset_stretches_bilinearly() -> None:
    image = photo(30, 40)
    tensor, _ = prepare(image, (16, 24), PRESETS["opencv"], 8)
    assert np.array_equal(tensor.numpy(), resize_bilinear(image, 16, 24).transpose(2, 0, 1))


def test_darknet_letterbox_truncates_and_centres() -> None:
    # 480 * 416 / 640 = 312 rows exactly; border (416 - 312) / 2 = 52
    placement = place((480, 640), (416, 416), DARKNET_LETTERBOX, 32)
    assert placement.scaled_size == (312, 416)
    assert placement.offset == (52, 0)
    # 74 * 64 / 100 = 47.36 becomes 47; border 17: pasted 8 below the top, boxes taken back by 8.5
    placement = place((74, 100), (64, 64), DARKNET_LETTERBOX, 32)
    assert placement.scaled_size == (47, 64)
    assert (placement.offset, placement.box_offset) == ((8, 0), (8.5, 0.0))
    # the same upright; 73 * 64 / 100 = 46.72 is truncated to 46 as well
    placement = place((100, 73), (64, 64), DARKNET_LETTERBOX, 32)
    assert placement.scaled_size == (64, 46)
    assert placement.offset == (0, 9)


def test_darknet_letterbox_compares_the_two_ratios_in_float32() -> None:
    # 608/18847 is less than 607/18816, but equal in float32 (608 * 18816 = 607 * 18847 - 1). So
    # Darknet fills the height: 18847 * 607 // 18816 = 608. Filling the width would give 606 rows.
    placement = place((18816, 18847), (607, 608), DARKNET_LETTERBOX, 32)
    assert placement.scaled_size == (607, 608)


def test_darknet_letterbox_pads_with_half_grey_around_the_resized_image() -> None:
    image = photo(74, 100)
    tensor, _ = prepare(image, (64, 64), DARKNET_LETTERBOX, 32)
    assert tensor.shape == (3, 64, 64)
    assert (tensor[:, :8] == 0.5).all()
    assert (tensor[:, 8 + 47 :] == 0.5).all()
    inside = tensor[:, 8 : 8 + 47].numpy()
    assert np.array_equal(inside, resize_darknet(image, 47, 64).transpose(2, 0, 1))


def test_letterbox_of_other_presets_rounds_to_the_nearest_pixel() -> None:
    # 73 * 64 / 100 = 46.72 becomes 47, where Darknet takes 46
    placement = place((73, 100), (64, 64), SQUARE_LETTERBOX, 32)
    assert placement.scaled_size == (47, 64)
    assert (placement.offset, placement.box_offset) == ((8, 0), (8.0, 0.0))


def test_letterbox_of_other_presets_equals_opencv_within_one_level() -> None:
    image = photo(73, 100)
    tensor, _ = prepare(image, (64, 64), SQUARE_LETTERBOX, 32)
    expected = np.full((64, 64, 3), 114, dtype=np.uint8)
    expected[8:55] = cv2.resize(image, (64, 47), interpolation=cv2.INTER_LINEAR)
    levels = tensor.numpy().transpose(1, 2, 0) * 255
    assert np.abs(levels - expected).max() < 1.001
    assert np.abs(levels[:8] - 114).max() < 1e-4


def test_a_small_image_is_enlarged() -> None:
    placement = place((10, 20), (64, 64), SQUARE_LETTERBOX, 32)
    assert placement.scaled_size == (32, 64)


def test_rectangular_letterbox_pads_to_the_next_multiple_of_the_stride_only() -> None:
    image = photo(500, 640)
    tensor, placement = prepare(image, (640, 640), PRESETS["coco"], 32)
    # 500 rows need 16 * 32 = 512; border 12, half above
    assert tensor.shape == (3, 512, 640)
    assert placement.network_size == (512, 640)
    assert placement.offset == (6, 0)
    assert tensor[:, :6].eq(114 / 255).all()
    assert tensor[:, -6:].eq(114 / 255).all()
    assert place((500, 640), (640, 640), PRESETS["coco"], 64).network_size == (512, 640)
    assert place((520, 640), (640, 640), PRESETS["coco"], 64).network_size == (576, 640)


def test_rectangular_letterbox_needs_no_border_where_the_size_fits() -> None:
    placement = place((480, 640), (640, 640), PRESETS["coco"], 32)
    assert placement.network_size == placement.scaled_size == (480, 640)


def test_rectangular_letterbox_is_never_larger_than_the_network_input() -> None:
    placement = place((300, 290), (300, 300), PRESETS["coco"], 32)
    assert placement.network_size == (300, 300)  # 10 * 32 = 320 would be too large


@pytest.mark.parametrize("preset", [DARKNET_LETTERBOX, SQUARE_LETTERBOX])
@pytest.mark.parametrize("size", [(1, 2000), (2000, 1)])
def test_a_very_thin_image_keeps_one_pixel(preset: object, size: tuple[int, int]) -> None:
    tensor, placement = prepare(photo(*size), (64, 64), preset, 32)  # type: ignore[arg-type]
    assert min(placement.scaled_size) == 1
    assert tensor.isfinite().all()
    assert placement.boxes_on_image(torch.rand(3, 4)).isfinite().all()


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([(416, 416), (320, 608), (64, 32)]),
    st.tuples(*[st.floats(0, 1, width=32)] * 4),
)
def test_darknets_box_correction_equals_the_spec(
    h: int, w: int, network: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    net_h, net_w = network
    if F(net_w) / F(w) < F(net_h) / F(h):
        new_w, new_h = net_w, max(1, (h * net_w) // w)
    else:
        new_w, new_h = max(1, (w * net_h) // h), net_h
    expected = [
        (box[0] - (net_w - new_w) / 2 / net_w) * net_w / new_w,
        (box[1] - (net_h - new_h) / 2 / net_h) * net_h / new_h,
        box[2] * net_w / new_w,
        box[3] * net_h / new_h,
    ]
    placement = place((h, w), network, DARKNET_LETTERBOX, 32)
    found = placement.boxes_on_image(torch.tensor([box]))
    assert found.dtype == torch.float32
    assert found[0].tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_darknets_box_correction_is_half_a_pixel_off_where_the_border_is_odd() -> None:
    placement = place((74, 100), (64, 64), DARKNET_LETTERBOX, 32)
    # The image lies in rows 8 to 55: its centre is at 31.5. Darknet takes off 8.5, not 8:
    # (31.5 - 8.5) / 47 = 23/47
    found = placement.boxes_on_image(torch.tensor([[0.5, 31.5 / 64, 1, 47 / 64]]))
    assert found[0].tolist() == pytest.approx([0.5, 23 / 47, 1, 1], abs=1e-6)


@pytest.mark.parametrize("image_size", [(73, 100), (100, 73), (500, 640), (31, 33)])
@pytest.mark.parametrize("preset", [SQUARE_LETTERBOX, PRESETS["coco"]])
def test_a_box_around_the_pasted_image_is_the_whole_image(
    image_size: tuple[int, int], preset: object
) -> None:
    placement = place(image_size, (64, 64), preset, 16)  # type: ignore[arg-type]
    (net_h, net_w), (height, width) = placement.network_size, placement.scaled_size
    top, left = placement.offset
    around = [
        (left + width / 2) / net_w,
        (top + height / 2) / net_h,
        width / net_w,
        height / net_h,
    ]
    found = placement.boxes_on_image(torch.tensor([around]))
    assert found[0].tolist() == pytest.approx([0.5, 0.5, 1, 1], abs=1e-6)


def test_a_grey_image_gives_one_channel() -> None:
    tensor, _ = prepare(photo(30, 40, channels=1), (64, 64), DARKNET_LETTERBOX, 32)
    assert tensor.shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 5), dtype=np.uint8), "shape (4, 5) and type uint8"),
        (np.zeros((4, 5, 3), dtype=np.float32), "shape (4, 5, 3) and type float32"),
        (np.zeros((0, 5, 3), dtype=np.uint8), "shape (0, 5, 3) and type uint8"),
    ],
)
def test_an_array_that_is_no_image_is_refused(image: NDArray[np.uint8], found: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare(image, (64, 64), PRESETS["darknet"], 32)
    assert str(caught.value) == (
        "an image must be an array of shape (height, width, channels) and type uint8 with at "
        f"least one pixel; this one has {found}"
    )
