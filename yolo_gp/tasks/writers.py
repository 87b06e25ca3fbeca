"""Files a run leaves behind: annotated pictures and videos, YOLO txt, crops."""

from __future__ import annotations

import io
import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo_gp.detections import Detections
from yolo_gp.files import write_atomically
from yolo_gp.tasks.draw import draw
from yolo_gp.tasks.frames import Frame
from yolo_gp.tasks.recording import VideoRecording
from yolo_gp.tasks.results import Box, finite_boxes

_ENCODINGS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}  # pixels; limits of the formats
_LONGEST_STEM_BYTES = 120  # file systems allow 255; numbers and suffixes need some
_RESERVED_STEMS = frozenset(  # to Windows these are devices
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
)


class Writer(Protocol):
    """Keeps results; takes all frames of one source before those of the next."""

    def write(self, frame: Frame, detections: Detections) -> None:
        """Raises: DataError if the operating system refuses."""

    def close(self) -> None:
        """Finish what is under way."""


class OutputNames:
    """One file stem per source, the same in every writer, different for every source.

    The second "dog.jpg" of a run becomes "dog-2". Case does not make a difference, since to many
    file systems it does not.
    """

    def __init__(self) -> None:
        self._stems: dict[int, str] = {}
        self._taken: set[str] = set()
        self._uses: Counter[str] = Counter()

    def stem(self, frame: Frame) -> str:
        """The stem for the frame's source."""
        if frame.source not in self._stems:
            self._stems[frame.source] = self._unused(_natural_stem(frame))
        return self._stems[frame.source]

    def _unused(self, stem: str) -> str:
        candidate = stem
        while candidate.casefold() in self._taken:
            self._uses[stem.casefold()] += 1
            candidate = f"{stem}-{self._uses[stem.casefold()] + 1}"
        self._taken.add(candidate.casefold())
        return candidate


class AnnotatedWriter:
    """Pictures and videos with the boxes drawn in, directly in the folder of the run.

    Stills keep .jpg, .jpeg, .png, .webp and .bmp and become .jpg otherwise; videos become .mp4.
    """

    def __init__(self, folder: Path, names: OutputNames) -> None:
        self._folder = folder
        self._names = names
        self._recording: VideoRecording | None = None
        self._source = -1  # of the recording

    def write(self, frame: Frame, detections: Detections) -> None:
        """Raises: DataError if the operating system refuses."""
        picture = draw(frame.image, detections)
        stem = self._names.stem(frame)
        if frame.source != self._source:
            self.close()
        if frame.is_video:
            if self._recording is None:
                self._source = frame.source
                path = self._folder / f"{stem}.mp4"
                self._recording = VideoRecording(path, picture, frame.fps)
            self._recording.add(picture)
        else:
            _write_image(self._folder / f"{stem}{_kept_suffix(frame)}", picture)

    def close(self) -> None:
        """Finish the video under way; frames of it that come later would start it anew.

        Raises:
            DataError: the operating system refuses.
        """
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()


class TxtWriter:
    """YOLO txt: labels/STEM.txt, for a frame of a video labels/STEM/NUMBER.txt.

    A line a detection: `class cx cy w h confidence`, centre and size relative to the image, six
    decimals, not clipped. An image without detections gets an empty file.
    """

    def __init__(self, folder: Path, names: OutputNames) -> None:
        self._folder = folder / "labels"
        self._names = names

    def write(self, frame: Frame, detections: Detections) -> None:
        """Raises: DataError if the operating system refuses."""
        height, width = frame.size
        lines = []
        for class_id, confidence, (left, top, right, bottom) in zip(
            detections.class_ids.tolist(),
            detections.confidences.tolist(),
            finite_boxes(detections),
            strict=True,
        ):
            center = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            extent = ((right - left) / width, (bottom - top) / height)
            numbers = " ".join(f"{round(n, 6) + 0.0:.6f}" for n in (*center, *extent, confidence))
            lines.append(f"{class_id} {numbers}\n")
        stem = self._names.stem(frame)
        number = f"/{frame.frame_index:06d}" if frame.is_video else ""
        write_atomically(self._folder / f"{stem}{number}.txt", "".join(lines))

    def close(self) -> None:
        """Nothing is under way."""


class CropWriter:
    """What is inside each box: crops/CLASS/STEM-N.jpg, N counting the detections from 1.

    For a frame of a video crops/CLASS/STEM/NUMBER-N.jpg. Boxes are clipped to the image; one of
    which nothing is left has no crop.
    """

    def __init__(self, folder: Path, names: OutputNames) -> None:
        self._folder = folder / "crops"
        self._names = names

    def write(self, frame: Frame, detections: Detections) -> None:
        """Raises: DataError if the operating system refuses."""
        stem = self._names.stem(frame)
        number = f"/{frame.frame_index:06d}" if frame.is_video else ""
        found = zip(detections.class_ids.tolist(), finite_boxes(detections), strict=True)
        for count, (class_id, box) in enumerate(found, start=1):
            crop = _clipped(frame.image, box)
            if crop.size:
                folder = self._folder / class_folder(class_id, detections.name(class_id))
                _write_image(folder / f"{stem}{number}-{count}.jpg", crop)

    def close(self) -> None:
        """Nothing is under way."""


def class_folder(class_id: int, name: str) -> str:
    """A folder name for a class; one that had to be changed also carries the number."""
    safe = safe_stem(name)
    return safe if safe == name else f"{safe}-{class_id}"


def safe_stem(text: str) -> str:
    """A file name without suffix that every file system takes, as close to `text` as may be."""
    kept = "".join(c if c.isalnum() or c in " ._-" else "_" for c in text)
    kept = _cut(kept).strip(" .") or "_"
    return f"_{kept}" if kept.split(".")[0].casefold() in _RESERVED_STEMS else kept


def _natural_stem(frame: Frame) -> str:
    """The stem of the file; for an address the safe form of its last part."""
    if frame.path is not None:
        return _cut(frame.path.stem)
    if "://" not in frame.name:
        return safe_stem(f"camera-{frame.name}")
    parts = urlsplit(frame.name)
    last = unquote(PurePosixPath(parts.path).name)
    return Path(safe_stem(last)).stem if last else safe_stem(parts.hostname or "")


def _cut(stem: str) -> str:
    while len(os.fsencode(stem)) > _LONGEST_STEM_BYTES:
        stem = stem[:-1]
    return stem


def _kept_suffix(frame: Frame) -> str:
    path = frame.path or Path(urlsplit(frame.name).path)
    return path.suffix if path.suffix.lower() in _ENCODINGS else ".jpg"


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Encode by suffix and write; as PNG where the format cannot hold so large a picture.

    Args:
        image: (H, W, C) uint8; C = 1 grey, 3 RGB, 4 RGBA (alpha is dropped).
    """
    encoding = _ENCODINGS[path.suffix.lower()]
    if max(image.shape) > _LONGEST_SIDE.get(encoding, max(image.shape)):
        path, encoding = path.with_suffix(".png"), "PNG"
    pixels = image[..., 0] if image.shape[2] == 1 else image[..., :3]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    buffer = io.BytesIO()
    if encoding == "JPEG":
        picture.save(buffer, encoding, quality=95, subsampling=0)  # thin coloured lines stay sharp
    elif encoding == "WEBP":
        picture.save(buffer, encoding, quality=95)
    else:
        picture.save(buffer, encoding)
    write_atomically(path, buffer.getvalue())


def _clipped(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The pixels inside a box; of size 0 if there are none."""
    height, width = image.shape[:2]
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    return image[top : min(bottom, height), left : min(right, width)]
