"""What an image file says about itself before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from yolo_gp.data.images import known_formats
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason

_EXIF_ORIENTATION = 0x0112
_PNG_EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
_LYING = frozenset({5, 6, 7, 8})  # orientations that swap height and width


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Fields:
    stored_size: (height, width) of the pixels as they are stored.
    orientation: EXIF's, 1 to 8; 1 is upright.
    mode: Pillow's name of the pixel format.
    sixteen_bits: the file holds 16 bits a channel.
    alpha: the file holds transparency.
    """

    stored_size: tuple[int, int]
    orientation: int
    mode: str
    sixteen_bits: bool
    alpha: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image."""
        height, width = self.stored_size
        return (width, height) if self.orientation in _LYING else (height, width)


def read_header(file: BinaryIO) -> ImageHeader:
    """Read the header of an image.

    Raises:
        DataError: not an image in a format that can be read.
    """
    try:
        with Image.open(file, formats=known_formats()) as image:
            return ImageHeader(
                stored_size=(image.height, image.width),
                mode=image.mode,
                sixteen_bits=image.mode.startswith("I;16") or _reads_sixteen_bits(image),
                alpha=image.has_transparency_data,
                orientation=_orientation(image),  # last: it may drop what the others look at
            )
    except UnidentifiedImageError as error:
        raise DataError("not an image in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise DataError("the image has too many pixels to be decoded; scale it down") from error
    except Exception as error:  # decoders meet damage with every exception there is
        text = str(error).strip().rstrip(".").lower() or type(error).__name__
        raise DataError(f"the image is damaged or cut short: {text}") from error


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and not _PNG_EXIF & image.info.keys():
        return 1  # Pillow would decode all pixels to look behind them
    try:
        found = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged metadata is no reason to refuse a good picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _reads_sixteen_bits(image: Image.Image) -> bool:
    """Whether the decoder unpacks 16-bit values, as for RGB, whose mode does not tell."""
    return ";16" in repr(getattr(image, "tile", ""))


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of the image in a file, turned as EXIF says; decodes no pixels.

    Raises:
        DataError: the file cannot be read or is no image.
    """
    try:
        with path.open("rb") as file:
            return read_header(file).size
    except OSError as error:
        raise DataError(f"cannot read image {path}: {os_reason(error)}") from error
    except DataError as error:
        raise DataError(f"cannot read image {path}: {error}") from error
