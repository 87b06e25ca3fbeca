"""A wish to stop, from the keyboard or the system, that waits until a step is done."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SIGNAL_BASE = 128  # exit code of a process that a signal ended, less the signal's number


class StopRequest:
    """Whether somebody has asked the run to stop.

    Attributes:
        signal: the signal that asked; None if nobody has.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What the process should end with: 0, or as if the signal had ended it."""
        return 0 if self.signal is None else _SIGNAL_BASE + self.signal

    def _ask(self, number: int, frame: FrameType | None) -> None:
        """The first signal asks; the next one ends the process as it would without us."""
        self.signal = signal.Signals(number)
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take SIGINT and SIGTERM as requests while the block runs.

    Processes that load images are forked inside, so they take them too, and live on.
    """
    request = StopRequest()
    before = [signal.signal(each, request._ask) for each in _SIGNALS]
    try:
        yield request
    finally:
        for each, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(each, handler)
