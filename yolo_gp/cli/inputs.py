"""Commands that run over many inputs: a progress bar, Ctrl-C, and what failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from yolo_gp.errors import ExitCode

if TYPE_CHECKING:
    from yolo_gp.tasks.frames import Failure

_MANY = 8  # inputs from which a progress bar is worth its line


@contextlib.contextmanager
def progress(count: int | None) -> Iterator[Callable[[int], object]]:
    """A progress bar for the block, which Ctrl-C ends; gives what to tell how many inputs are done.

    Args:
        count: of the inputs; None if nobody knows.
    """
    from tqdm import tqdm

    hidden = not sys.stderr.isatty() or (count is not None and count < _MANY)
    with tqdm(total=count, unit="image", disable=hidden) as bar:
        try:
            yield bar.update
        except KeyboardInterrupt:
            print("interrupted; what was found so far follows", file=sys.stderr)


def exit_with_failures(failures: Sequence[Failure], *, some_succeeded: bool) -> None:
    """List the inputs that failed and exit accordingly; does nothing if none did."""
    if not failures:
        return
    print(f"{len(failures)} of the inputs failed:", file=sys.stderr)
    for failure in failures:
        print(f"  {failure}", file=sys.stderr)
    raise typer.Exit(ExitCode.FINDINGS if some_succeeded else ExitCode.DATA)
