"""An image on its way into a classifier: its shorter side fits, its middle is cut out.

Images are (H, W, C) uint8 arrays; sizes are (height, width) in pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_gp.data.letterbox import require_image, resize_darknet_at


def prepare_for_classifier(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """The middle of an image (H, W, C) as network input (C, height, width) float32 in 0..1.

    The image is resized, aspect ratio kept, until its shorter side equals the network's *width*.
    In a network that is higher than wide the cut-out can be higher than the image; the image's
    outer rows are repeated there.  Source: darknet.md 5.4, Darknet src/image.c resize_min,
    crop_image.

    Args:
        size: of the network's input.

    Raises:
        DataError: the array is no 8-bit image or holds no pixel.
    """
    require_image(image)
    scaled = scaled_size((image.shape[0], image.shape[1]), size[1])
    rows, columns = (_middle(*sides) for sides in zip(scaled, size, strict=True))
    values = resize_darknet_at(image, scaled, rows, columns)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def scaled_size(image_size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """The size at which the shorter side is `shorter`; the other side is truncated."""
    height, width = image_size
    if width < height:
        return height * shorter // width, shorter
    return shorter, width * shorter // height


def _middle(scaled: int, wanted: int) -> NDArray[np.intp]:
    """Which of `scaled` pixels in a row make its middle `wanted`; the outer ones stand for more."""
    missing = wanted - scaled
    first = -(missing // 2) if missing > 0 else -missing // 2  # C rounds towards 0
    return np.clip(np.arange(first, first + wanted), 0, scaled - 1)
