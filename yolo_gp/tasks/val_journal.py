"""The journal of a val run: what was found, batch by batch, on disk, ready to go on from.

A file begins with a line that names the run it belongs to. Then come records of whole batches,
each with its length and checksum in front. A record that is cut short or damaged, as after a
crash, ends the journal: the batches from there on are simply done again.

Numbers are little-endian, floats are stored bit by bit.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, overload

import numpy as np

from yolo_gp.detections import Rle
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason
from yolo_gp.metrics.records import ImageDetections
from yolo_gp.tasks.val_results import BatchResult, ImageResult, Seconds

_RECORD = struct.Struct("<II")  # bytes of the payload, their CRC-32
_BATCH = struct.Struct("<II3d")  # number, images, seconds: pre, forward, post
_IMAGE = struct.Struct("<IIqiiI")  # bytes that follow, index, image id, height, width, problem
_FOUND = struct.Struct("<IB")  # detections, whether they have masks
_NO_PROBLEM = 0xFFFFFFFF
_SYNC_EVERY = 16  # batches; what is written survives the process at once, a power cut from here on


class Journal:
    """Appends batches to a journal file. To be closed, or used in a `with` block."""

    def __init__(self, path: Path, token: str) -> None:
        """Open a journal of the run `token` to append to, or begin it.

        Raises:
            DataError: the file cannot be written.
        """
        self._path = path
        self._unsynced = 0
        try:
            self._file = path.open("ab", buffering=0)
            if self._file.tell() == 0:
                self._file.write(_first_line(token))
        except OSError as error:
            raise DataError(f"cannot write {path}: {os_reason(error)}") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, batch: BatchResult) -> None:
        """Add a batch, in one write.

        Raises:
            DataError: the file cannot be written; the help says what to do.
        """
        payload = _packed(batch)
        record = _RECORD.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            written = self._file.write(record)
            self._unsynced = (self._unsynced + 1) % _SYNC_EVERY
            if not self._unsynced:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {os_reason(error)}") from error
        if written != len(record):
            raise DataError(
                f"cannot write {self._path}: the disk took {written} of {len(record)} bytes\n"
                "help: make room, then go on with --resume"
            )


@dataclass(frozen=True, slots=True)
class _Content:
    """What a journal holds.

    Fields:
        batches: number and images of each whole batch, in file order.
        seconds: what those batches took.
        end: bytes up to the end of the last whole batch.
    """

    batches: tuple[tuple[int, tuple[_Place, ...]], ...]
    seconds: Seconds
    end: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the record of image `index` lies in its file."""

    index: int
    start: int
    length: int


def recover(path: Path, token: str) -> tuple[int, ...]:
    """Make a journal ready to be appended to: cut off what is torn, or all if it is another run's.

    Returns:
        the numbers of the batches it holds.

    Raises:
        DataError: the file cannot be read or written.
    """
    try:
        with path.open("rb+") as file:
            content = _scan(file, token)
            file.truncate(content.end)
    except OSError as error:
        raise DataError(f"cannot use {path}: {os_reason(error)}") from error
    return tuple(number for number, _ in content.batches)


class JournalledImages(Sequence[ImageResult]):
    """All images of some journals, in the order of the data set, read from disk when asked for.

    Attributes:
        seconds: what all batches took together.
    """

    def __init__(self, paths: Sequence[Path], token: str) -> None:
        """Open the journals of the run `token`. A batch that stands in several counts once.

        Raises:
            DataError: a file cannot be read.
        """
        self._files: list[BinaryIO] = []
        self.seconds = Seconds()
        places: dict[int, tuple[BinaryIO, _Place]] = {}
        for path in paths:
            try:
                file = path.open("rb")
                self._files.append(file)
                content = _scan(file, token)
            except OSError as error:
                raise DataError(f"cannot read {path}: {os_reason(error)}") from error
            self.seconds += content.seconds
            for _, images in content.batches:
                for place in images:
                    places.setdefault(place.index, (file, place))
        self._places = [places[index] for index in sorted(places)]

    def __enter__(self) -> JournalledImages:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> ImageResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageResult]: ...
    def __getitem__(self, index: int | slice) -> ImageResult | list[ImageResult]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        file, place = self._places[index]
        file.seek(place.start)
        return _image(file.read(place.length))

    def __iter__(self) -> Iterator[ImageResult]:
        return (self[index] for index in range(len(self)))


def _first_line(token: str) -> bytes:
    return f"yolo-gp val journal 1 {token}\n".encode("ascii")


def _scan(file: BinaryIO, token: str) -> _Content:
    """What stands in a journal up to the first record that is cut short or damaged."""
    line = _first_line(token)
    if file.read(len(line)) != line:
        return _Content((), Seconds(), 0)
    batches: list[tuple[int, tuple[_Place, ...]]] = []
    seconds = Seconds()
    end = len(line)
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        length, checksum = _RECORD.unpack(head)
        payload = file.read(length)
        if len(payload) != length or zlib.crc32(payload) != checksum:
            break
        number, count, *spent = _BATCH.unpack_from(payload)
        batches.append((number, _places(payload, end + _RECORD.size, count)))
        seconds += Seconds(*spent)
        end += _RECORD.size + length
    return _Content(tuple(batches), seconds, end)


def _places(payload: bytes, offset: int, count: int) -> tuple[_Place, ...]:
    """Where the images of a batch lie whose payload begins at byte `offset` of its file."""
    places = []
    start = _BATCH.size
    for _ in range(count):
        length, index, *_ = _IMAGE.unpack_from(payload, start)
        places.append(_Place(index, offset + start, _IMAGE.size + length))
        start += _IMAGE.size + length
    return tuple(places)


def _packed(batch: BatchResult) -> bytes:
    spent = batch.seconds
    head = _BATCH.pack(batch.number, len(batch.images), spent.pre, spent.forward, spent.post)
    return b"".join((head, *map(_packed_image, batch.images)))


def _packed_image(image: ImageResult) -> bytes:
    problem = None if image.problem is None else image.problem.encode()
    length = _NO_PROBLEM if problem is None else len(problem)
    body = b"".join((problem or b"", *_packed_found(image.coco), *_packed_found(image.darknet)))
    image_id = image.coco.image_id
    return _IMAGE.pack(len(body), image.index, image_id, *image.size, length) + body


def _packed_found(found: ImageDetections) -> Iterator[bytes]:
    yield _FOUND.pack(len(found), found.masks is not None)
    yield found.boxes_xyxy.astype("<f4").tobytes()
    yield found.confidences.astype("<f4").tobytes()
    yield found.class_ids.astype("<i4").tobytes()
    if found.masks is not None:
        counts = [mask.counts.encode("ascii") for mask in found.masks]
        yield np.array([len(count) for count in counts], dtype="<u4").tobytes()
        yield from counts


def _image(record: bytes) -> ImageResult:
    _, index, image_id, height, width, problem_length = _IMAGE.unpack_from(record)
    reader = _Reader(record[_IMAGE.size :])
    problem = None if problem_length == _NO_PROBLEM else reader.take(problem_length).decode()
    size = height, width
    coco = reader.found(image_id, size)
    return ImageResult(index, size, problem, coco, reader.found(image_id, size))


class _Reader:
    """Takes one value after the other from the bytes of an image's record."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def found(self, image_id: int, size: tuple[int, int]) -> ImageDetections:
        count, has_masks = _FOUND.unpack(self.take(_FOUND.size))
        boxes = np.frombuffer(self.take(16 * count), dtype="<f4").reshape(count, 4)
        confidences = np.frombuffer(self.take(4 * count), dtype="<f4")
        class_ids = np.frombuffer(self.take(4 * count), dtype="<i4").astype(np.int64)
        masks = None
        if has_masks:
            lengths = np.frombuffer(self.take(4 * count), dtype="<u4").tolist()
            masks = tuple(Rle(size, self.take(length).decode("ascii")) for length in lengths)
        return ImageDetections(
            image_id,
            boxes.astype(np.float32, copy=False),
            confidences.astype(np.float32, copy=False),
            class_ids,
            masks,
        )
