"""Work shared out to processes, with results in the order of the tasks."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from yolo_gp.errors import DataError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def in_order(
    do: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    """The results of `do`, which must be a function at the top of a module.

    A process that the parent has left behind ends at its next result; so nothing outlives us,
    whatever ends us.

    Raises:
        DataError: a process was ended from outside.
        Exception: whatever `do` raises.
    """
    context = get_context("spawn")  # a fork would copy locks that other threads may hold
    pipes = [context.Pipe(duplex=False) for _ in range(workers)]
    processes = [
        context.Process(target=_serve, args=(do, tasks[rank::workers], sender), daemon=True)
        for rank, (_, sender) in enumerate(pipes)
    ]
    try:
        with _deaf_to_interrupts():
            for process in processes:
                process.start()
        for _, sender in pipes:
            sender.close()
        for place in range(len(tasks)):
            result, error = _received(pipes[place % workers][0])
            if error is not None:
                raise error
            yield result
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def _serve(do: Callable[[_Task], _Result], tasks: Sequence[_Task], sender: Connection) -> None:
    """Do one task after the other; send the result and None, or None and what went wrong."""
    with contextlib.suppress(BrokenPipeError):  # nobody is there to read
        for task in tasks:
            try:
                sender.send((do(task), None))
            except BrokenPipeError:
                raise
            except Exception as error:
                sender.send((None, error))
                return


def _received(receiver: Connection) -> tuple[Any, Exception | None]:
    try:
        result, error = receiver.recv()
    except EOFError:
        raise DataError(
            "a worker process was ended from outside, as happens when memory runs out\n"
            "help: fewer --workers"
        ) from None
    return result, error


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal; those started meanwhile leave it to us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
