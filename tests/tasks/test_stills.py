"""Decoding of images against pixels known beforehand; downloads from a server on the loopback."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from yolo_gp.data.images import decode_image, with_channels
from yolo_gp.errors import DataError
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.sources import open_sources
from yolo_gp.tasks.stills import download


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    buffer.seek(0)
    return buffer


def noise(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    shape = (height, width, channels)
    return np.random.default_rng(7).integers(0, 256, shape).astype(np.uint8)


def failure(path: Path) -> str:
    (only,) = open_sources([str(path)], stdin=None, channels=3)
    assert isinstance(only, Failure)
    assert only.name == str(path)
    return only.reason


# What the camera stored so that, turned as EXIF says, the picture is [[1, 2, 3], [4, 5, 6]].
# EXIF: the number tells where row 0 and column 0 of the stored picture belong: 2 top right,
# 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
STORED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_honoured(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.array(STORED[orientation], np.uint8))
    upright = decode_image(encoded(stored, format, exif=exif), 1)
    assert upright[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_in_jpeg_agrees_with_opencv(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3).repeat(16, 0).repeat(16, 1)
    Image.fromarray(blocks).save(tmp_path / "a.jpg", exif=exif, quality=100)
    theirs = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_GRAYSCALE)
    (frame,) = open_sources([str(tmp_path / "a.jpg")], stdin=None, channels=1)
    assert isinstance(frame, Frame)
    assert frame.size == theirs.shape
    assert np.abs(frame.image[..., 0].astype(int) - theirs.astype(int)).max() <= 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode_image(encoded(Image.new("L", (3, 2)), exif=exif), 1).shape == (2, 3, 1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "broken",
    [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03garbage", b"Exif\0\0no TIFF header"],
)
def test_damaged_exif_does_not_cost_the_picture(broken: bytes, format: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow says that the metadata is corrupt
        image = decode_image(encoded(Image.new("RGB", (3, 2)), format, exif=broken), 3)
    assert image.shape == (2, 3, 3)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_formats_give_back_their_pixels(format: str) -> None:
    pixels = noise(5, 7, 3)
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(
        decode_image(encoded(Image.fromarray(pixels), format, **options), 3), pixels
    )


def test_grey_is_weighted_like_opencvs() -> None:
    pixels = noise(64, 64, 3)
    theirs = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    ours = with_channels(pixels, 1)
    assert ours.shape == (64, 64, 1)
    assert (
        np.abs(ours[..., 0].astype(int) - theirs.astype(int)).max() <= 1
    )  # its fixed point varies
    assert (ours[..., 0] == theirs).mean() > 0.99
    assert with_channels(np.array([[[255, 0, 0]]], np.uint8), 1).item() == 76  # .299 * 255


def test_a_grey_image_keeps_every_level_through_rgb_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode_image(encoded(Image.fromarray(levels)), 1)[..., 0], levels)
    rgb = decode_image(encoded(Image.fromarray(levels)), 3)
    assert np.array_equal(rgb, np.dstack([levels] * 3))


def test_alpha_is_dropped_not_composited() -> None:
    pixels = noise(4, 4, 4)
    assert np.array_equal(decode_image(encoded(Image.fromarray(pixels)), 3), pixels[..., :3])


def test_a_four_channel_network_gets_alpha_or_255() -> None:
    pixels = noise(4, 4, 4)
    assert np.array_equal(decode_image(encoded(Image.fromarray(pixels)), 4), pixels)
    opaque = decode_image(encoded(Image.fromarray(pixels[..., :3].copy())), 4)
    assert np.array_equal(opaque[..., :3], pixels[..., :3])
    assert (opaque[..., 3] == 255).all()


def test_grey_with_alpha_keeps_its_grey() -> None:
    image = Image.merge("LA", (Image.new("L", (2, 2), 77), Image.new("L", (2, 2), 0)))
    assert (decode_image(encoded(image), 3) == 77).all()


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bit_grey_keeps_its_high_byte(dtype: str) -> None:
    values = np.array([[0x0000, 0x00FF, 0x0100], [0x80FF, 0xFFFF, 0x1234]], dtype)
    image = Image.frombytes("I;16B" if dtype == ">u2" else "I;16", (3, 2), values.tobytes())
    expected = [[0x00, 0x00, 0x01], [0x80, 0xFF, 0x12]]
    assert decode_image(encoded(image, "TIFF"), 1)[..., 0].tolist() == expected


def test_a_sixteen_bit_png_reads_as_opencv_reads_it(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (9, 8)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    theirs = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    with (tmp_path / "a.png").open("rb") as file:
        assert np.array_equal(decode_image(file, 1)[..., 0], theirs)


def test_thirty_two_bit_grey_within_sixteen_bits_is_scaled() -> None:
    image = Image.fromarray(np.array([[0, 0xABCD]], np.int32))
    assert decode_image(encoded(image, "TIFF"), 1)[..., 0].tolist() == [[0, 0xAB]]


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.array([[0, 70000]], np.int32), "pixels of more than 16 bits cannot be used"),
        (np.array([[0.5, 1.0]], np.float32), "floating-point pixels cannot be used"),
    ],
)
def test_pixels_that_no_rule_maps_to_eight_bits_are_refused(
    pixels: NDArray[np.generic], reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        decode_image(encoded(Image.fromarray(pixels), "TIFF"), 3)
    assert str(caught.value) == f"{reason}; convert to 8 or 16 bits"


def test_a_one_bit_image_is_black_and_white() -> None:
    image = Image.fromarray(np.array([[True, False]]))
    assert decode_image(encoded(image), 1)[..., 0].tolist() == [[255, 0]]


def test_a_palette_image_gives_its_colours_also_with_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    expected = [[[10, 20, 30], [40, 50, 60]]]
    assert decode_image(encoded(image), 3).tolist() == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transparent = encoded(image, transparency=bytes([0, 128]))
        assert decode_image(transparent, 3).tolist() == expected


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))  # all cyan: no red, full green and blue
    red, green, blue = decode_image(encoded(image, "JPEG", quality=100), 3)[4, 4]
    assert (red < 5, green > 250, blue > 250) == (True, True, True)


def test_an_animated_gif_gives_its_first_picture() -> None:
    first, second = Image.new("RGB", (2, 2), (255, 0, 0)), Image.new("RGB", (2, 2), (0, 255, 0))
    data = encoded(first, "GIF", save_all=True, append_images=[second])
    assert decode_image(data, 3)[0, 0].tolist() == [255, 0, 0]


def test_a_picture_with_several_views_from_a_phone_gives_the_first() -> None:
    first, second = Image.new("RGB", (16, 8), (255, 0, 0)), Image.new("RGB", (16, 8))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert decode_image(data, 3)[0, 0].tolist() == [254, 0, 0]


def test_an_empty_file_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    assert failure(path) == "the file is empty"


def test_text_called_jpg_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text("this is not a picture")
    assert failure(path) == "not an image in a format that can be read"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_an_image_cut_short_is_a_failure(tmp_path: Path, format: str) -> None:
    data = encoded(Image.fromarray(noise(64, 64, 3)), format).getvalue()
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: len(data) * 2 // 3])
    assert failure(path).startswith("the image is damaged or cut short: ")


def test_an_image_without_pixels_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    data = bytearray(encoded(Image.new("L", (1, 1)), "BMP").getvalue())
    data[18:22] = bytes(4)  # the width
    path.write_bytes(data)
    assert failure(path) == "not an image in a format that can be read"


def test_postscript_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.new("RGB", (4, 4)), "EPS").getvalue())
    assert failure(path) == "not an image in a format that can be read"


def test_a_decompression_bomb_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "a.png"
    Image.new("L", (20, 20)).save(path)
    assert failure(path) == "the image has more than 200 pixels; scale it down"


def test_any_damage_to_any_format_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)  # a damaged size may be huge: no waiting
    rng = random.Random(3)
    originals = [
        encoded(Image.fromarray(noise(16, 16, 3)), format).getvalue()
        for format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")
    ]
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for round_number in range(1600):
            data = bytearray(originals[round_number % len(originals)])
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
            try:
                image = decode_image(io.BytesIO(bytes(data)), 3)
            except DataError as error:
                refused += 1
                assert str(error)
            else:
                assert image.dtype == np.uint8 and image.ndim == 3
    assert refused > 100


def test_an_image_from_the_web_becomes_a_frame(web: Callable[..., str]) -> None:
    pixels = noise(6, 5, 3)
    body = encoded(Image.fromarray(pixels)).getvalue()
    url = web("/a.png", body, {"Content-Length": str(len(body))})
    (frame,) = open_sources([f"{url}?size=large"], stdin=None, channels=3)
    assert isinstance(frame, Frame)
    assert (frame.name, frame.path) == (f"{url}?size=large", None)
    assert np.array_equal(frame.image, pixels)


def test_a_redirect_is_followed(web: Callable[..., str]) -> None:
    target = web("/real", encoded(Image.new("L", (2, 2), 9)).getvalue())
    url = web("/moved", b"", {"Location": target}, 302)
    (frame,) = open_sources([url], stdin=None, channels=1)
    assert isinstance(frame, Frame)
    assert (frame.image == 9).all()


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (404, {}, b"", "the server answered 404 Not Found"),
        (500, {}, b"", "the server answered 500 Internal Server Error"),
        (
            200,
            {"Content-Type": "text/html; charset=utf-8"},
            b"<html>sign in first</html>",
            "not an image in a format that can be read (the server sent text/html; charset=utf-8)",
        ),
        (200, {"Content-Type": "image/png"}, b"", "the file is empty (the server sent image/png)"),
        (
            200,
            {"Content-Length": "1000"},
            b"\x89PNG",
            "the connection broke before the whole body had come",
        ),
        (
            200,
            {"Content-Length": "10000000000"},
            b"\x89PNG",
            "the body is larger than 104,857,600 bytes; download it yourself",
        ),
    ],
)
def test_an_address_without_an_image_is_a_failure(
    web: Callable[..., str], status: int, headers: dict[str, str], body: bytes, reason: str
) -> None:
    url = web("/a.png", body, headers, status)
    assert list(open_sources([url], stdin=None, channels=3)) == [Failure(url, reason)]


def test_a_body_of_unannounced_size_is_cut_at_the_limit(web: Callable[..., str]) -> None:
    url = web("/a.png", b"x" * 300_000)
    assert len(download(url, max_bytes=300_000)[0]) == 300_000
    with pytest.raises(DataError, match="the body is larger than 299,999 bytes"):
        download(url, max_bytes=299_999)


def test_a_body_that_trickles_is_given_up(web: Callable[..., str]) -> None:
    url = web("/a.png", b"x" * 300_000)
    with pytest.raises(DataError, match="the server sends too slowly; download it yourself"):
        download(url, max_seconds=0)


def test_redirects_in_circles_are_a_failure(web: Callable[..., str]) -> None:
    url = web("/circle", b"", {"Location": "/circle"}, 302)
    with pytest.raises(DataError, match="the server redirects in circles"):
        download(url)


def test_nobody_listening_is_a_failure() -> None:
    with pytest.raises(DataError, match="no connection to the server; check the address"):
        download("http://127.0.0.1:9/a.jpg")
