"""Decoded pictures kept for the next time, shared by all processes that load training images.

They lie in one nameless file, in memory or on the disk, which vanishes with the last process that
has it open, however that process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from multiprocessing import reduction
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolo_gp.errors import UsageError
from yolo_gp.files import os_reason

CacheKind = Literal["memory", "disk"]

_SHARE = 0.5  # of what is free; the rest is for the network, the loaders and everybody else
_COLUMNS = 6  # of the table: offset + 1, height, width, height and width of the file's image, mean
_DIGIT = 256
_SENT = ("_count", "_channels", "_table_bytes", "_limit")


class StoredPicture(NamedTuple):
    """Pixels (h, w, C) uint8, (height, width) of the file's image, and the mean colour (C,)."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    mean_color: NDArray[np.uint8]


class ImageCache:
    """Pictures by their number. One that does not fit any more is not kept."""

    def __init__(
        self,
        kind: CacheKind,
        count: int,
        channels: int,
        *,
        owners: int = 1,
        limit: int | None = None,
    ) -> None:
        """Args:
            count: numbers run from 0 to count - 1.
            owners: how many such caches will be made on this machine.
            limit: bytes at most; by default half of the memory, or of the disk, that is free,
                shared by the owners.

        Raises:
            UsageError: there is no room for it, or the operating system refuses.
        """
        self._count = count
        self._channels = channels
        self._table_bytes = count * _COLUMNS * 8 + 8
        self._limit = _free(kind) // owners if limit is None else limit
        try:
            self._file = _nameless(kind)
            os.ftruncate(self._file, self._table_bytes + self._limit)
        except OSError as error:
            raise UsageError(f"cannot keep images in {kind}: {os_reason(error)}") from error
        self._map()

    @property
    def limit(self) -> int:
        """Bytes of pixels that are kept at most."""
        return self._limit

    @property
    def used(self) -> int:
        """Bytes of pixels that are kept."""
        return int(self._next[0])

    @property
    def kept(self) -> int:
        """How many pictures are kept."""
        return int(np.count_nonzero(self._table[:, 0]))

    def get(self, number: int) -> StoredPicture | None:
        """A picture that has been kept, or None."""
        start, height, width, *size, packed = self._table[number].tolist()
        if not start:
            return None
        shape = height, width, self._channels
        first = self._table_bytes + start - 1
        pixels = self._bytes[first : first + height * width * self._channels].reshape(shape)
        digits = [packed // _DIGIT**i % _DIGIT for i in range(self._channels)]
        return StoredPicture(pixels, (size[0], size[1]), np.array(digits, np.uint8))

    def put(self, number: int, picture: StoredPicture) -> None:
        """Keep a picture, if there is room and nobody has."""
        height, width, _ = picture.pixels.shape
        with self._alone():
            start = int(self._next[0])
            fits = start + picture.pixels.nbytes <= self._limit
            if self._table[number, 0] or not fits or not self._write(start, picture.pixels):
                return
            self._next[0] = start + picture.pixels.nbytes
            packed = sum(int(v) * _DIGIT**i for i, v in enumerate(picture.mean_color))
            self._table[number, 1:] = height, width, *picture.size, packed
            self._table[number, 0] = start + 1  # last: from now on others read it

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from writing; a process that dies no longer does."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _write(self, start: int, pixels: NDArray[np.uint8]) -> bool:
        """Whether the disk took it: written through the file, since a full disk kills a map."""
        try:
            data = np.ascontiguousarray(pixels).data
            written = os.pwrite(self._file, data, self._table_bytes + start)
        except OSError:
            return False
        return written == pixels.nbytes

    def _map(self) -> None:
        weakref.finalize(self, os.close, self._file)
        self._bytes = np.frombuffer(mmap.mmap(self._file, 0), np.uint8)
        table = self._bytes[: self._table_bytes].view(np.int64)
        self._next, self._table = table[:1], table[1:].reshape(self._count, _COLUMNS)

    def __getstate__(self) -> dict[str, object]:
        """For a process that is being started and did not inherit the memory."""
        state = {name: vars(self)[name] for name in _SENT}
        return {**state, "_file": reduction.DupFd(self._file)}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._file = vars(self)["_file"].detach()
        self._map()


def _nameless(kind: CacheKind) -> int:
    """A file, open for reading and writing, that nobody can find."""
    if kind == "memory" and hasattr(os, "memfd_create"):
        return os.memfd_create("yolo-gp images")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _free(kind: CacheKind) -> int:
    """Bytes that may be used."""
    if kind == "disk":
        return int(shutil.disk_usage(tempfile.gettempdir()).free * _SHARE)
    return int(min(_free_memory(), _free_in_group()) * _SHARE)


def _free_memory() -> int:
    """Of the machine, by the kernel's estimate; without one, all it has."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_in_group() -> int:
    """What a container may still use; where nothing limits it, more than any machine has."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        return limit - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return sys.maxsize
