"""Image files to upright 8-bit arrays (H, W, C)."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from yolo_gp.errors import DataError

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
        with Image.open(file, formats=known_formats()) as opened:
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


def known_formats() -> list[str]:
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
    mode = "RGBA" if has_alpha else "RGB"
    return np.asarray(image if image.mode == mode else image.convert(mode))


def with_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """The picture with the channels a network takes.

    Grey is .299 R + .587 G + .114 B in 14-bit fixed point, rounded; alpha is dropped, not
    composited; a missing alpha is 255.  Source: OpenCV documentation, cvtColor and imread.

    Args:
        image: (H, W, 3) RGB or (H, W, 4) RGBA, uint8.
        channels: 1, 3 or 4.

    Returns:
        (H, W, channels) uint8, contiguous.
    """
    if channels == 1:
        red, green, blue = (image[..., i].astype(np.uint32) for i in range(3))
        grey = (red * 4899 + green * 9617 + blue * 1868 + 8192) >> 14  # the weights add up to 2^14
        return grey.astype(np.uint8)[..., None]
    if channels == 4 and image.shape[2] == 3:
        return np.pad(image, ((0, 0), (0, 0), (0, 1)), constant_values=255)
    return np.ascontiguousarray(image[..., :channels])
