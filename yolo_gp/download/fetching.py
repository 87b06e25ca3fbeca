"""Fetches one file: address after address, attempt after attempt, verified before it has a name."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from yolo_gp.download.http import CHUNK_BYTES, Answer, BrokenTransfer, UnusableAddress, ask
from yolo_gp.download.late import filelock, requests
from yolo_gp.download.part import Origin, PartFile
from yolo_gp.download.settings import DownloadSettings, Progress, Silent
from yolo_gp.download.wanted import (
    Digests,
    Wanted,
    digests,
    is_safe_name,
    looks_like_page,
    mismatch,
)
from yolo_gp.errors import UsageError, WeightsError, YoloGpError
from yolo_gp.files import os_reason

if TYPE_CHECKING:
    from requests import Session

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an address was of no use."""

    url: str
    reason: str


class DownloadError(WeightsError):
    """No address had the file; `failures` says why, in the order in which they were asked."""

    def __init__(self, name: str, failures: Iterable[Failure]) -> None:
        self.failures = tuple(failures)
        lines = [f"\n  {failure.url}\n    {failure.reason}" for failure in self.failures]
        super().__init__(f"cannot fetch {name}{''.join(lines)}")


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock among processes; `waiting` is called once if another one holds it.

    Whoever holds it may take it again.

    Raises:
        OSError: the lock's file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fetch(
    wanted: Wanted,
    destination: Path,
    *,
    check: Callable[[Path], None] | None = None,
    settings: DownloadSettings | None = None,
    progress: Progress | None = None,
) -> Digests:
    """Fetch a file from the first address that has it; it takes its name once it is verified.

    What has arrived stays beside `destination`, and the next call goes on from there. Two
    processes must not fetch the same file at once: see `locked`.

    Args:
        check: refuses a file by raising one of our errors, where no hash can.

    Raises:
        UsageError: the file's name is not safe.
        DownloadError: no address has it.
        WeightsError: the disk is full, or the folder cannot be written.
    """
    if not is_safe_name(wanted.name) or destination.name != wanted.name:
        raise UsageError(
            f'"{wanted.name}" is no name for a file to fetch\n'
            "expected: letters, digits, '.', '_', '-'; no folder, no '..'"
        )
    job = _Job(
        wanted, PartFile(destination), check, settings or DownloadSettings(), progress or Silent()
    )
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        return job.run()
    except OSError as error:
        raise WeightsError(_disk_text(error, wanted, destination)) from error


def _disk_text(error: OSError, wanted: Wanted, destination: Path) -> str:
    text = f"cannot write {destination}: {os_reason(error)}"
    if error.errno not in _NO_ROOM:
        return f"{text}\nhelp: set YOLO_GP_HOME to a folder that can be written"
    here = PartFile(destination).size
    if wanted.sizes:
        text += (
            f"\nexpected: room for {max(wanted.sizes) - here} more bytes in {destination.parent}"
        )
    return (
        f"{text}\nhelp: make room, or set YOLO_GP_HOME to a folder on another disk; "
        f"the {here} bytes that are here are kept, and the next pull goes on from there"
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """One file's fetching, over all its addresses."""

    wanted: Wanted
    part: PartFile
    check: Callable[[Path], None] | None
    settings: DownloadSettings
    progress: Progress

    def run(self) -> Digests:
        failures: list[Failure] = []
        with requests.Session() as session:
            for url in self.wanted.urls:
                if failures:
                    last = failures[-1]
                    self.progress.note(f"{last.url}: {last.reason}; trying {url}")
                try:
                    return self._fetch_from(url, session)
                except UnusableAddress as unusable:
                    failures.append(Failure(url, str(unusable)))
        raise DownloadError(self.wanted.name, failures)

    def _fetch_from(self, url: str, session: Session) -> Digests:
        """All of it, verified. What was put together from pieces gets a second chance in one."""
        may_try_afresh = True
        while True:
            is_pieced = self._complete(url, session)
            found = digests(self.part.path)
            problem = mismatch(found, self.wanted) or self._checked()
            if problem is None:
                self.part.publish()
                return found
            self.part.discard()
            if not (is_pieced and may_try_afresh):
                raise UnusableAddress(f"what it sends is not the file: {problem}")
            self.progress.note(f"{self.wanted.name}: {problem}; fetching it from the beginning")
            may_try_afresh = False

    def _checked(self) -> str | None:
        try:
            if self.check is not None:
                self.check(self.part.path)
        except YoloGpError as error:
            return str(error).partition("\n")[0]
        return None

    def _complete(self, url: str, session: Session) -> bool:
        """Ask until the server has sent all of it; whether it was put together from pieces."""
        most, failed = self.part.size, 0
        while self.wanted.sizes != (self.part.size,):
            try:
                return self._receive(url, session) > 0
            except BrokenTransfer as broken:
                failed = 1 if self.part.size > most else failed + 1
                most = max(most, self.part.size)
                self._wait(broken, failed)
        return True

    def _wait(self, broken: BrokenTransfer, failed: int) -> None:
        settings = self.settings
        if failed >= settings.attempts:
            raise UnusableAddress(f"{broken} ({failed} times in a row)") from broken
        seconds = settings.first_wait * 2 ** (failed - 1) * (1 - settings.jitter() / 2)
        if broken.wait is not None:
            seconds = broken.wait
        if seconds > settings.longest_wait:
            raise UnusableAddress(f"{broken}, and asks to wait {seconds:.0f} seconds") from broken
        self.progress.note(f"{self.wanted.name}: {broken}; trying again in {seconds:.1f} s")
        settings.sleep(seconds)

    def _receive(self, url: str, session: Session) -> int:
        """Ask once, keep what comes; the byte at which it began."""
        if urlsplit(url).scheme == "file":
            return self._copy(url)
        headers = self.part.range_headers(url, is_hashed=self.wanted.is_hashed)
        with ask(session, url, headers, self.settings) as answer:
            self._check_version(url, answer)
            if not answer.is_exhausted:
                origin = Origin(url, answer.etag, answer.modified)
                self._store(answer.chunks(), answer.start, answer.total, origin)
            return answer.start

    def _check_version(self, url: str, answer: Answer) -> None:
        """Go on with no part of an older version, nor with one that is too long."""
        origin = self.part.origin
        is_other = origin is not None and origin.url == url and origin.etag != answer.etag
        if answer.start and is_other:
            self.part.discard()
            raise BrokenTransfer("the file has changed on the server", wait=0)
        if answer.is_exhausted and answer.total != self.part.size:
            self.part.discard()
            raise BrokenTransfer("the part that is here is longer than the file", wait=0)

    def _store(
        self, chunks: Iterator[bytes], start: int, total: int | None, origin: Origin
    ) -> None:
        first = next(chunks, b"")
        if start == 0 and looks_like_page(first):
            raise UnusableAddress("it sends a web page, not the file")
        sizes = self.wanted.sizes
        if total is not None and sizes and total not in sizes:
            raise UnusableAddress(f"it announces {total} bytes, not {self.wanted.size_text}")
        expected = total if total is not None else max(sizes, default=None)
        self._check_room(start, expected)
        if start == 0:
            self.part.restart(origin)
        self._append(itertools.chain([first], chunks), start, expected)
        least = total if total is not None else min(sizes, default=0)
        if self.part.size < least:
            raise BrokenTransfer(f"it ends after {self.part.size} of {least} bytes")

    def _append(self, chunks: Iterable[bytes], start: int, expected: int | None) -> None:
        self.progress.begin(self.wanted.name, start, expected)
        try:
            self.part.append(self._limited(chunks, start), self.progress.advance)
        except BrokenTransfer as broken:
            of_all = f" of {expected}" if expected is not None else ""
            raise BrokenTransfer(f"{broken} after {self.part.size}{of_all} bytes") from broken
        finally:
            self.progress.end()

    def _limited(self, chunks: Iterable[bytes], start: int) -> Iterator[bytes]:
        """The chunks, as long as they do not exceed the file."""
        most, arrived = max(self.wanted.sizes, default=None), start
        for chunk in chunks:
            arrived += len(chunk)
            if most is not None and arrived > most:
                self.part.discard()
                raise UnusableAddress(f"it sends more than {self.wanted.size_text} bytes")
            yield chunk

    def _check_room(self, start: int, expected: int | None) -> None:
        folder = self.part.path.parent
        if expected is not None and shutil.disk_usage(folder).free < expected - start:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    def _copy(self, url: str) -> int:
        """A file:// address: all of it, at once."""
        source = _local_path(url)
        try:
            total = source.stat().st_size
            file = source.open("rb")
        except OSError as error:
            raise UnusableAddress(os_reason(error)) from error
        with file:
            self._store(_local_chunks(file), 0, total, Origin(url, None, None))
        return 0


def _local_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise UnusableAddress("a file:// address of another machine cannot be read")
    return Path(url2pathname(parts.path))


def _local_chunks(file: BinaryIO) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise UnusableAddress(os_reason(error)) from error
