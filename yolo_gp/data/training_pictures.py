"""The pictures of a data set as training reads them: decoded to the size that is needed."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from yolo_gp.data.augment_sizes import largest_size
from yolo_gp.data.augment_tiles import Labels, Picture, mean_color, resize
from yolo_gp.data.augmentation import Augmentation, ModernAugmentation
from yolo_gp.data.dataset import Dataset
from yolo_gp.data.headers import read_header
from yolo_gp.data.image_cache import ImageCache, StoredPicture
from yolo_gp.data.images import decode_image, known_formats, with_channels
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason

_REMEMBERED = 20_000  # pictures whose labels are kept: reading them can take as long as decoding

_LYING = frozenset({5, 6, 7, 8})  # EXIF orientations that swap height and width


class TrainingPictures:
    """The pictures and labels of a data set, by number."""

    def __init__(
        self,
        dataset: Dataset,
        augmentation: Augmentation,
        size: tuple[int, int],
        *,
        channels: int,
        masks: bool,
        cache: ImageCache | None,
    ) -> None:
        """Args: size: of the network input; channels: 1 grey, 3 RGB, 4 RGBA."""
        self._dataset = dataset
        self._channels = channels
        self._masks = masks
        self._cache = cache
        self._size = largest_size(augmentation, size)
        self._fitted = isinstance(augmentation, ModernAugmentation)
        self._labels: dict[int, Labels] = {}

    def __len__(self) -> int:
        return len(self._dataset.samples)

    def name(self, number: int) -> str:
        """What messages call a picture."""
        return str(self._dataset.samples[number].path)

    def picture(self, number: int) -> Picture:
        """Decode a picture, or take it from the cache.

        Raises:
            DataError: it or its labels cannot be read.
        """
        stored = None if self._cache is None else self._cache.get(number)
        if stored is None:
            stored = self._read(self._dataset.samples[number].path)
            if self._cache is not None:
                self._cache.put(number, stored)
        labels = self._find_labels(number, stored.size)
        return Picture(stored.pixels, stored.size, stored.mean_color, labels, self.name(number))

    def _read(self, path: Path) -> StoredPicture:
        try:
            with path.open("rb") as file:
                pixels, size = decode_reduced(file, self._channels, self._size, self._fitted)
        except OSError as error:
            raise DataError(f"cannot read image {path}: {os_reason(error)}") from error
        except DataError as error:
            raise DataError(f"cannot read image {path}: {error}") from error
        if self._fitted:
            fitting = fitted_size(size, self._size)
            if fitting[0] < pixels.shape[0] or fitting[1] < pixels.shape[1]:
                pixels = resize(pixels, fitting, smooth=True)
        return StoredPicture(pixels, size, mean_color(pixels))

    def _find_labels(self, number: int, size: tuple[int, int]) -> Labels:
        found = self._labels.get(number)
        if found is None:
            found = self._read_labels(number, size)
            if len(self._labels) < _REMEMBERED:
                self._labels[number] = found
        return found

    def _read_labels(self, number: int, size: tuple[int, int]) -> Labels:
        """The objects to learn: none that scoring ignores."""
        truth = self._dataset.ground_truth(number, size)
        chosen = (~truth.ignored).nonzero()[0]
        masks = None
        if self._masks:
            masks = tuple(truth.masks[i] for i in chosen) if truth.masks is not None else ()
            if len(masks) < len(chosen):
                raise DataError(f"the objects of {self.name(number)} have no masks")
        return Labels(truth.boxes_xyxy[chosen], truth.class_ids[chosen], masks)


def fitted_size(image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image that just fits into `size`; never more than its own."""
    scale = min(1.0, size[0] / image_size[0], size[1] / image_size[1])
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def decode_reduced(
    file: BinaryIO, channels: int, size: tuple[int, int], fitted: bool
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an image, a JPEG at 1/2, 1/4 or 1/8 of its size where that is enough.

    Args:
        size: the picture is needed at least as high and wide; or, if `fitted`, as large as it fits
            in there.

    Returns:
        (h, w, channels) uint8, writable, upright; and (height, width) of the full upright image.

    Raises:
        DataError: as `decode_image`.
    """
    reduced = _decode_jpeg(file, size, fitted)
    if reduced is not None:
        return with_channels(reduced[0], channels), reduced[1]
    file.seek(0)
    pixels = decode_image(file, channels)
    whole = pixels if pixels.flags.writeable else pixels.copy()
    return whole, (pixels.shape[0], pixels.shape[1])


def _decode_jpeg(
    file: BinaryIO, size: tuple[int, int], fitted: bool
) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """A colour JPEG; None for everything else, and for damage, which `decode_image` describes."""
    try:
        header = read_header(file)
        needed = fitted_size(header.size, size) if fitted else size
        if header.orientation in _LYING:
            needed = needed[::-1]
        file.seek(0)
        with Image.open(file, formats=known_formats()) as opened:
            if opened.format != "JPEG" or opened.mode != "RGB":
                return None
            opened.draft("RGB", needed[::-1])
            # Pillow copies even where it has nothing to turn, which takes longer than decoding
            upright = opened if header.orientation == 1 else ImageOps.exif_transpose(opened)
            return np.array(upright), header.size
    except Exception:  # decoders meet damage with every exception there is
        return None
