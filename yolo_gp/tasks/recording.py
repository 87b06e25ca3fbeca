"""VideoRecording: annotated frames written to an MP4 file."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageOps

from yolo_gp.errors import DataError
from yolo_gp.files import publish, temporary_beside

_DEFAULT_FPS = Fraction(25)  # for sources that do not say
_LARGEST_MPEG4_NUMERATOR = 65535
_MPEG4_BITS_PER_PIXEL = 0.25  # hardly a visible block at this rate
_SMPTE170M = 6  # FFmpeg's number for BT.601, which its RGB conversion uses unless told otherwise


class VideoRecording:
    """A video that grows frame by frame under a temporary name, and gets its own on `close`.

    H.264, or MPEG-4 part 2 where FFmpeg has no libx264. The first frame decides the size; later
    ones of another size are scaled to fit and centred on black.
    """

    def __init__(self, path: Path, first_image: NDArray[np.uint8], fps: Fraction | None) -> None:
        """Start a video of the size of `first_image`, which is not yet added.

        Args:
            path: must end in ".mp4"; its folder is made.
            fps: frames per second; None counts as 25.

        Raises:
            DataError: the file cannot be written.
        """
        self._path = path
        self._temporary = temporary_beside(path)
        height, width = first_image.shape[:2]
        self._size = (width, height)
        self._count = 0
        self._container: OutputContainer | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(
                f"file:{self._temporary}", "w", format="mp4", options={"movflags": "faststart"}
            )
            rate = _frame_rate(fps or _DEFAULT_FPS)
            self._stream = _add_stream(self._container, width, height, rate)
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append a frame, (H, W, 3) uint8 RGB.

        Raises:
            DataError: it cannot be encoded or written; the recording is gone.
        """
        if self._container is None:
            raise ValueError("the recording is closed")
        frame = av.VideoFrame.from_ndarray(_even(_fitted(image, self._size)), format="rgb24")
        frame.pts = self._count  # in the encoder's unit, one frame
        try:
            self._container.mux(self._stream.encode(frame))
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error
        self._count += 1

    def close(self) -> None:
        """Finish the video and give it its name; a second call does nothing.

        Raises:
            DataError: it cannot be written; the recording is gone.
        """
        if self._container is None:
            return
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
            publish(self._temporary, self._path)
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error
        self._container = None

    def _failed(self, error: OSError | av.FFmpegError) -> DataError:
        """Leave nothing behind; the error to raise."""
        if self._container is not None:
            with contextlib.suppress(OSError, av.FFmpegError):  # `error` is the one to tell
                self._container.close()
        self._container = None
        with contextlib.suppress(OSError):  # never created
            self._temporary.unlink()
        return DataError(f"cannot write {self._path}: {(error.strerror or str(error)).lower()}")


def _has_h264() -> bool:
    return "libx264" in av.codecs_available


def _frame_rate(fps: Fraction) -> Fraction:
    """The nearest rate that the encoder can hold."""
    rate = max(fps.limit_denominator(1001), Fraction(1, 1001))
    if _has_h264() or rate.numerator <= _LARGEST_MPEG4_NUMERATOR:
        return rate
    return Fraction(round(rate))


def _add_stream(container: OutputContainer, width: int, height: int, rate: Fraction) -> VideoStream:
    """A stream of even size for pictures of `width` x `height` pixels."""
    if _has_h264():
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
    else:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.bit_rate = round(width * height * float(rate) * _MPEG4_BITS_PER_PIXEL)
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.colorspace = _SMPTE170M
    return stream


def _fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image scaled to fit into `size` (width, height), the rest black."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(ImageOps.pad(Image.fromarray(image), size))


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Odd sides gain a pixel, a copy of the last: yuv420p has one colour for 2 x 2 pixels."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
