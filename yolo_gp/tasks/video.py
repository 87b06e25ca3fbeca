"""Frames of video files, network streams and webcams, decoded one at a time by PyAV."""

from __future__ import annotations

import platform
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.device
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from yolo_gp.data.images import with_channels
from yolo_gp.errors import DataError
from yolo_gp.tasks.frames import Failure, Frame

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".asf", ".flv"}
    | {".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mjpeg", ".mjpg"}
)

_OPEN_AND_READ_SECONDS = (10.0, 30.0)  # streams and cameras; local files wait for the disk
_CAMERA_POLL_SECONDS = 0.005
_MAX_FPS = 1000  # beyond it is a clock rate that a container passes off as a frame rate


@dataclass(frozen=True, slots=True)
class VideoInput:
    """A video to be read from its first frame to its last, or for as long as it lives.

    Fields:
        name: the source as the user gave it.
        location: what FFmpeg opens; its protocols apply, so files stand as "file:PATH".
        path: the file on disk; None for streams and cameras.
        device_format: FFmpeg's input device, for cameras only.
        options: FFmpeg's options as (key, value).
    """

    name: str
    location: str
    path: Path | None = None
    device_format: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_live(self) -> bool:
        """Streams and cameras: lost packets belong to them, and nobody knows their length."""
        return self.path is None

    def count_hint(self) -> int | None:
        """How many frames the file says it has, for a progress bar; it may be wrong."""
        if self.is_live:
            return None
        try:
            with self._open() as container:
                return _declared_frames(container, _video_stream(container))
        except DataError:
            return 1  # `read` will give one failure

    def read(self, source: int, channels: int) -> Iterator[Frame | Failure]:
        """The frames in order of display; where the video is damaged, a failure after them.

        A packet that cannot be decoded is passed over, as players do.
        """
        try:
            with self._open() as container:
                yield from self._frames(container, source, channels)
        except DataError as error:
            yield Failure(self.name, str(error))

    def _frames(
        self, container: InputContainer, source: int, channels: int
    ) -> Iterator[Frame | Failure]:
        stream = _video_stream(container)
        if not self.is_live:
            stream.thread_type = "AUTO"
        fps = _frame_rate(stream)
        decoder = _Decoder(container, stream, live=self.is_live)
        index = 0
        for decoded in decoder.frames():
            try:
                image = with_channels(_upright_rgb(decoded), channels)
            except (av.FFmpegError, ValueError) as error:  # a pixel format that has no way to RGB
                raise DataError(f"frame {index} cannot be used: {_reason(error)}") from error
            yield Frame(self.name, self.path, image, source, index, fps)
            index += 1
        reason = decoder.complaint(frame_count=index)
        if reason:
            yield Failure(self.name, reason)

    def _open(self) -> InputContainer:
        """Raises: DataError."""
        try:
            if self.path is not None and not self.path.stat().st_size:
                raise DataError("the file is empty")
            try:
                return self._open_with(None)
            except UnicodeDecodeError:  # a title in Latin-1; PyAV 19 reads it without our help
                return self._open_with("replace")
        except (av.FFmpegError, OSError, ValueError) as error:
            kind = "camera" if self.device_format else "stream" if self.is_live else "video"
            raise DataError(f"the {kind} cannot be opened: {_reason(error)}") from error

    def _open_with(self, metadata_errors: str | None) -> InputContainer:
        timeout = _OPEN_AND_READ_SECONDS if self.is_live else None
        options = dict(self.options)
        if metadata_errors is None:
            return av.open(
                self.location, "r", format=self.device_format, options=options, timeout=timeout
            )
        return av.open(
            self.location,
            "r",
            format=self.device_format,
            options=options,
            timeout=timeout,
            metadata_errors=metadata_errors,
        )


def webcam(name: str, number: int) -> VideoInput:
    """Camera `number`, counted from 0 as the operating system does.

    Raises:
        DataError: no way to a camera on this system.
    """
    match platform.system():
        case "Linux":
            return VideoInput(name, f"/dev/video{number}", device_format="v4l2")
        case "Darwin":
            # avfoundation refuses most cameras at its default of 29.97 frames per second
            options = (("framerate", "30"),)
            return VideoInput(name, str(number), device_format="avfoundation", options=options)
        case "Windows":
            found = av.device.enumerate_input_devices("dshow")
            cameras = [device for device in found if "video" in device.media_types]
            if number >= len(cameras):
                raise DataError(f"there is no camera {number}: {len(cameras)} found")
            location = f"video={cameras[number].name}"
            return VideoInput(name, location, device_format="dshow")
    raise DataError(f"cameras are not supported on {platform.system() or 'this system'}")


class _Decoder:
    """Turns packets into frames and remembers what went wrong on the way."""

    def __init__(self, container: InputContainer, stream: VideoStream, *, live: bool) -> None:
        self._container = container
        self._stream = stream
        self._live = live
        self._broken_packets = 0
        self._damaged_frames = 0
        self._broken_off: str | None = None
        self._end_seconds = 0.0  # where the last packet of any stream ends

    def frames(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self._broken_packets += 1
                continue
            for frame in decoded:
                self._damaged_frames += frame.is_corrupt
                yield frame

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The video's packets; those of other streams only tell how far the file reaches."""
        while True:
            try:
                for packet in self._container.demux():
                    self._note_end(packet)
                    if packet.stream.index == self._stream.index:
                        self._broken_packets += packet.is_corrupt
                        yield cast("Packet[VideoStream]", packet)
            except av.BlockingIOError as error:  # a camera without a new picture yet
                if not self._live:
                    self._broken_off = _reason(error)
                    return
                time.sleep(_CAMERA_POLL_SECONDS)
            except av.FFmpegError as error:
                self._broken_off = _reason(error)
                return
            else:
                return

    def _note_end(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.time_base:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._end_seconds = max(self._end_seconds, end)

    def complaint(self, frame_count: int) -> str | None:
        """What kept the video from being read whole, or None."""
        if self._broken_off:
            return f"the video breaks off after {frame_count} frames: {self._broken_off}"
        if not frame_count:
            return "the video holds no frame that can be decoded"
        if self._live:
            return None
        if self._broken_packets or self._damaged_frames:
            count = max(self._broken_packets, self._damaged_frames)
            places = "1 place" if count == 1 else f"{count} places"
            return f"the video is damaged in {places}; {frame_count} frames were read"
        return self._cut_off(frame_count)

    def _cut_off(self, frame_count: int) -> str | None:
        """Matroska that ends early does so in silence; only its header tells.

        Other containers report it, or guess their duration from the bit rate.
        """
        declared = (self._container.duration or 0) / av.time_base
        missing = declared - self._end_seconds
        if "matroska" not in self._container.format.name or missing < max(0.5, 0.02 * declared):
            return None
        return (
            f"the video is cut off: it ends after {self._end_seconds:.1f} of {declared:.1f}"
            f" seconds; {frame_count} frames were read"
        )


def _video_stream(container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise DataError("the file holds no video")
    return stream


def _frame_rate(stream: VideoStream) -> Fraction | None:
    """Frames per second, if the container gives a believable number."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate:
            fps = Fraction(rate.numerator, rate.denominator)
            if 0 < fps <= _MAX_FPS:
                return fps
    return None


def _declared_frames(container: InputContainer, stream: VideoStream) -> int | None:
    if stream.frames > 0:
        return stream.frames
    fps = _frame_rate(stream)
    if fps is None or not container.duration:
        return None
    return max(1, round(fps * container.duration / av.time_base))


def _upright_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, turned and mirrored as the video's display matrix says.

    The matrix (a b u; c d v; x y w) takes column x and row y to a x + c y and b x + d y.
    Source: FFmpeg libavutil/display.h.
    """
    image = cast(NDArray[np.uint8], frame.to_ndarray(format="rgb24"))
    matrix = cast(Mapping[str, bytes], frame.side_data).get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    across, down = a, d
    if abs(b) > abs(a):
        image, across, down = image.swapaxes(0, 1), c, b
    if across < 0:
        image = image[:, ::-1]
    return image[::-1] if down < 0 else image


def _reason(error: Exception) -> str:
    if isinstance(error, av.ExitError):  # how FFmpeg reports that our timeout has passed
        return "no data within the time limit"
    if isinstance(error, av.InvalidDataError):
        return "not a video, or damaged, or cut short"
    text = error.strerror if isinstance(error, (av.FFmpegError, OSError)) else None
    return (text or str(error)).lower()
