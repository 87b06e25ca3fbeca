"""Still images from files and http(s) URLs, decoded to upright 8-bit frames."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from yolo_gp.errors import DataError
from yolo_gp.files import os_reason
from yolo_gp.tasks.frames import Failure, Frame, with_channels

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff"}
    | {".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)

# Pillow's decoders we let loose on strangers' bytes: no EPS (runs Ghostscript), no PDF, no MPEG.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

MAX_DOWNLOAD_BYTES = 100 * 2**20  # a 100-megapixel JPEG is about 50 MB
MAX_DOWNLOAD_SECONDS = 120.0  # for the whole body, so that a trickle cannot hold up the run
_CONNECT_AND_READ_SECONDS = (10.0, 30.0)


@dataclass(frozen=True, slots=True)
class StillFile:
    """An image file."""

    name: str
    path: Path

    def count_hint(self) -> int | None:
        return 1

    def read(self, source: int, channels: int) -> Iterator[Frame | Failure]:
        """The one frame, or why there is none."""
        try:
            with self.path.open("rb") as file:
                image = decode_image(file, channels)
        except DataError as error:
            yield Failure(self.name, str(error))
        except OSError as error:
            yield Failure(self.name, os_reason(error))
        else:
            yield Frame(self.name, self.path, image, source)


@dataclass(frozen=True, slots=True)
class StillUrl:
    """An image behind an http(s) address."""

    name: str

    def count_hint(self) -> int | None:
        return 1

    def read(self, source: int, channels: int) -> Iterator[Frame | Failure]:
        """The one frame, or why there is none."""
        try:
            body, content_type = download(self.name)
        except DataError as error:
            yield Failure(self.name, str(error))
            return
        try:
            image = decode_image(io.BytesIO(body), channels)
        except DataError as error:
            yield Failure(self.name, f"{error} (the server sent {content_type})")
        else:
            yield Frame(self.name, None, image, source)


def decode_image(file: BinaryIO, channels: int) -> NDArray[np.uint8]:
    """Decode an image; of several pictures in one file the first.

    Args:
        file: the encoded image, from its first byte; must be able to seek.
        channels: 1 grey, 3 RGB, 4 RGBA.

    Returns:
        (H, W, channels) uint8, upright by its EXIF orientation.

    Raises:
        DataError: not an image, damaged, cut short, without pixels, or absurdly large.
    """
    if not file.read(1):
        raise DataError("the file is empty")
    file.seek(0)
    try:
        with Image.open(file, formats=_known_formats()) as opened:
            opened.load()
            pixels = _to_eight_bits(_upright(opened))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,}"
        raise DataError(f"the image has more than {limit} pixels; scale it down") from error
    except UnidentifiedImageError as error:
        raise DataError("not an image in a format that can be read") from error
    except DataError:
        raise
    except Exception as error:  # decoders meet damage with every exception there is
        text = str(error).strip().rstrip(".").lower() or type(error).__name__
        raise DataError(f"the image is damaged or cut short: {text}") from error
    return with_channels(pixels, channels)


def _known_formats() -> list[str]:
    """Those of `_FORMATS` that this build of Pillow can read."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _upright(image: Image.Image) -> Image.Image:
    """Turn a loaded image as its EXIF orientation says; unreadable EXIF counts as none."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged metadata is no reason to refuse a good picture
        orientation = 1
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _to_eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 3) or, where there is an alpha channel, (H, W, 4); 16-bit grey keeps its high byte.

    Raises:
        DataError: pixels that no fixed rule maps to 8 bits.
    """
    if image.mode == "F":
        raise DataError("floating-point pixels cannot be used; convert to 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64)
        if grey.size and not 0 <= grey.min() <= grey.max() <= 0xFFFF:
            raise DataError("pixels of more than 16 bits cannot be used; convert to 8 or 16 bits")
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    has_alpha = image.has_transparency_data or image.mode in ("LA", "PA", "La", "RGBa", "RGBA")
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


def download(
    url: str,
    *,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
    max_seconds: float = MAX_DOWNLOAD_SECONDS,
) -> tuple[bytes, str]:
    """Fetch an http(s) address.

    Returns:
        The body, and the content type the server claims.

    Raises:
        DataError: no answer, an answer other than success, a body that is cut short, larger than
            `max_bytes` or slower than `max_seconds`.
    """
    deadline = time.monotonic() + max_seconds
    try:
        with requests.get(
            url,
            stream=True,
            timeout=_CONNECT_AND_READ_SECONDS,
            headers={"User-Agent": "yolo-gp", "Accept": "image/*,*/*;q=0.5"},
        ) as response:
            if not response.ok:
                raise DataError(f"the server answered {response.status_code} {response.reason}")
            content_type = response.headers.get("Content-Type", "no content type")
            return _read_body(response, max_bytes, deadline), content_type
    except requests.RequestException as error:
        raise DataError(_network_reason(error)) from error


def _read_body(response: requests.Response, max_bytes: int, deadline: float) -> bytes:
    too_large = DataError(f"the body is larger than {max_bytes:,} bytes; download it yourself")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        for chunk in response.iter_content(2**16):
            body += chunk
            if len(body) > max_bytes:
                raise too_large
            if time.monotonic() > deadline:
                raise DataError("the server sends too slowly; download it yourself")
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise DataError("the connection broke before the whole body had come") from error
    return bytes(body)


def _network_reason(error: requests.RequestException) -> str:
    """A sentence for the usual ways a download fails."""
    match error:
        case requests.exceptions.SSLError():
            return "no secure connection: the server's certificate is not accepted"
        case requests.Timeout():
            return "the server does not answer in time"
        case requests.TooManyRedirects():
            return "the server redirects in circles"
        case requests.ConnectionError():
            return "no connection to the server; check the address and the network"
    return f"the address cannot be fetched: {str(error).lower()}"
