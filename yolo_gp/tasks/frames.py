"""Frame: one picture on its way through the network; Failure: one that could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHANNEL_COUNTS = (1, 3, 4)  # grey, RGB, RGBA


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A still image, or one frame of a video, upright.

    Fields:
        name: the source as the user gave it; inside a folder or a glob, the path of the file.
        path: the file on disk; None for what came over the network or from a camera.
        image: (H, W, C) uint8; C = 1 grey, 3 RGB, 4 RGBA.
        source: running number of the still or video within the run, from 0; all frames of one
            video share it.
        frame_index: number of the frame within its video, from 0; None for a still.
        fps: frames per second of the video; None for a still or where the source does not say.
    """

    name: str
    path: Path | None
    image: NDArray[np.uint8]
    source: int
    frame_index: int | None = None
    fps: Fraction | None = None

    @property
    def is_video(self) -> bool:
        return self.frame_index is not None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.image.shape[:2]
        return int(height), int(width)


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that could not be read, or not to its end; the run goes on without it."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


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
