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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, TypeVar, overload

from yolo_gp.errors import DataError
from yolo_gp.files import os_reason
from yolo_gp.tasks.val_results import BatchResult, Indexed, Seconds

_Result = TypeVar("_Result", bound=Indexed)
Pack = Callable[[_Result], bytes]
"""An image's result as bytes; its index need not be among them."""
Unpack = Callable[[int, bytes], _Result]
"""The result of an image from its index and its bytes."""

_RECORD = struct.Struct("<II")  # bytes of the payload, their CRC-32
_BATCH = struct.Struct("<II3d")  # number, images, seconds: pre, forward, post
_IMAGE = struct.Struct("<II")  # bytes that follow, index
_SYNC_EVERY = 16  # batches; what is written survives the process at once, a power cut from here on


class Journal(Generic[_Result]):
    """Appends batches to a journal file. To be closed, or used in a `with` block."""

    def __init__(self, path: Path, token: str, pack: Pack[_Result]) -> None:
        """Open a journal of the run `token` to append to, or begin it.

        Raises:
            DataError: the file cannot be written.
        """
        self._path = path
        self._pack = pack
        self._unsynced = 0
        try:
            self._file = path.open("ab", buffering=0)
            if self._file.tell() == 0:
                self._file.write(_first_line(token))
        except OSError as error:
            raise DataError(f"cannot write {path}: {os_reason(error)}") from error

    def __enter__(self) -> Journal[_Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, batch: BatchResult[_Result]) -> None:
        """Add a batch, in one write.

        Raises:
            DataError: the file cannot be written; the help says what to do.
        """
        payload = _packed(batch, self._pack)
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


class JournalledImages(Sequence[_Result]):
    """All images of some journals, in the order of the data set, read from disk when asked for.

    Attributes:
        seconds: what all batches took together.
    """

    def __init__(self, paths: Sequence[Path], token: str, unpack: Unpack[_Result]) -> None:
        """Open the journals of the run `token`. A batch that stands in several counts once.

        Raises:
            DataError: a file cannot be read.
        """
        self._unpack = unpack
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

    def __enter__(self) -> JournalledImages[_Result]:
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
    def __getitem__(self, index: int) -> _Result: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Result]: ...
    def __getitem__(self, index: int | slice) -> _Result | list[_Result]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        file, place = self._places[index]
        file.seek(place.start)
        return self._unpack(place.index, file.read(place.length))

    def __iter__(self) -> Iterator[_Result]:
        return (self[index] for index in range(len(self)))


def _first_line(token: str) -> bytes:
    return f"yolo-gp val journal 2 {token}\n".encode("ascii")


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
        length, index = _IMAGE.unpack_from(payload, start)
        start += _IMAGE.size
        places.append(_Place(index, offset + start, length))
        start += length
    return tuple(places)


def _packed(batch: BatchResult[_Result], pack: Pack[_Result]) -> bytes:
    spent = batch.seconds
    parts = [_BATCH.pack(batch.number, len(batch.images), spent.pre, spent.forward, spent.post)]
    for image in batch.images:
        body = pack(image)
        parts += (_IMAGE.pack(len(body), image.index), body)
    return b"".join(parts)
