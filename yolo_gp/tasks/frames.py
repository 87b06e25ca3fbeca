"""Frame: one picture on its way through the network; Failure: one that could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    def video(self) -> tuple[int, tuple[int, int]] | None:
        """What tells one video, of one size, from others in the run; None for a still."""
        return (self.source, self.size) if self.is_video else None

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


def in_batches(
    sources: Iterable[Frame | Failure], batch_size: int, *, videos_apart: bool = False
) -> Iterator[list[Frame | Failure]]:
    """The sources in lists that hold `batch_size` frames each, the last perhaps fewer.

    Failures stay where they were.

    Args:
        videos_apart: a list holds stills, or frames of one video; it may be shorter.
    """
    batch: list[Frame | Failure] = []
    frames: list[Frame] = []
    for item in sources:
        if isinstance(item, Frame):
            if videos_apart and frames and item.video != frames[0].video:
                yield batch
                batch, frames = [], []
            frames.append(item)
        batch.append(item)
        if len(frames) == batch_size:
            yield batch
            batch, frames = [], []
    if batch:
        yield batch
