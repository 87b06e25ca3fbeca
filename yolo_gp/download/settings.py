"""How patient a download is, and who is told how it goes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Is told how downloads go."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """A transfer begins, with `done` of `total` bytes here already; None: not known."""

    def advance(self, count: int) -> None:
        """So many bytes have arrived."""

    def end(self) -> None:
        """The transfer is over, well or not."""

    def note(self, message: str) -> None:
        """Something the user should know: a retry, a mirror, a hash that was pinned."""


class Silent:
    """A `Progress` that tells nobody."""

    def begin(self, name: str, done: int, total: int | None) -> None: ...

    def advance(self, count: int) -> None: ...

    def end(self) -> None: ...

    def note(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadSettings:
    """How patient a download is.

    Fields:
        attempts: how often in a row an address may fail without sending anything new.
        first_wait: seconds before the second attempt. Each further wait is twice as long; each is
            shortened by up to a half at random, so that many clients do not come back as one.
        longest_wait: seconds; a server that asks for a longer pause is given up.
        connect_timeout, read_timeout: seconds without an answer, or without a byte.
        sleep: waits so many seconds.
        jitter: a random number from 0 to 1.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 120.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
