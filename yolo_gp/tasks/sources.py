"""From what the user names on the command line to a lazy sequence of frames."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from yolo_gp.data.images import IMAGE_SUFFIXES
from yolo_gp.errors import DataError, UsageError
from yolo_gp.files import os_reason
from yolo_gp.tasks.frames import CHANNEL_COUNTS, Failure, Frame
from yolo_gp.tasks.stills import StillFile, StillUrl
from yolo_gp.tasks.video import VIDEO_SUFFIXES, VideoInput, webcam

_STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps")
_STREAM_SUFFIXES = VIDEO_SUFFIXES | {".m3u8", ".mpd"}
_GLOB_CHARACTERS = "*?["
_STDIN = "-"

_Input = StillFile | StillUrl | VideoInput | Failure


class Sources:
    """The frames of all sources in the order given; iterates once.

    One frame is in memory at a time. What cannot be read comes as a Failure in its place, and
    the run goes on. A folder or a glob is listed when the object is made, "-" while it iterates.
    """

    def __init__(self, inputs: Iterable[_Input], channels: int) -> None:
        self._inputs = inputs
        self._channels = channels

    def __iter__(self) -> Iterator[Frame | Failure]:
        numbers = itertools.count()
        for item in self._inputs:
            if isinstance(item, Failure):
                yield item
            else:
                yield from item.read(next(numbers), self._channels)

    def count_hint(self) -> int | None:
        """About how many frames and failures will come; None where nobody can know.

        For progress bars only: a video's own frame count may be wrong. Opens every video file.
        """
        if not isinstance(self._inputs, list):
            return None
        total = 0
        for item in self._inputs:
            count = 1 if isinstance(item, Failure) else item.count_hint()
            if count is None:
                return None
            total += count
        return total


def open_sources(arguments: Sequence[str], *, stdin: TextIO | None, channels: int) -> Sources:
    """Find out what each argument is.

    An argument is, in this order: "-" (one argument a line from `stdin`), a URL, an existing file
    or folder (so "0" or "a[1].jpg" may be a file), a camera number, a glob ("**" enters
    folders). A folder or a glob stands for its images and videos, sorted, hidden ones left out;
    a folder is not entered recursively.

    Args:
        arguments: what the user gave; at least one.
        stdin: where "-" reads its lines; None if there is nothing to read.
        channels: what the network takes: 1 grey, 3 RGB, 4 RGBA.

    Raises:
        UsageError: no arguments, "-" without stdin, or another number of channels.
    """
    if channels not in CHANNEL_COUNTS:
        raise UsageError(
            f"network takes {channels} channels; images can be given as 1 (grey), 3 (RGB)"
            " or 4 (RGBA)"
        )
    if not arguments:
        raise UsageError("no source; name an image, a video, a folder, a URL or a camera number")
    if _STDIN not in arguments:
        found = itertools.chain.from_iterable(map(_inputs_of, arguments))
        return Sources(list(found), channels)
    if stdin is None:
        raise UsageError("'-' reads names from standard input, but there is none")
    return Sources(_with_stdin(arguments, stdin), channels)


def _with_stdin(arguments: Sequence[str], stdin: TextIO) -> Iterator[_Input]:
    for argument in arguments:
        if argument == _STDIN:
            yield from _inputs_of_lines(stdin)
        else:
            yield from _inputs_of(argument)


def _inputs_of_lines(stdin: TextIO) -> Iterator[_Input]:
    """One argument a line; blank lines are skipped."""
    lines = iter(stdin)
    while True:
        try:
            line = next(lines)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            yield Failure(_STDIN, f"the list on standard input is not {error.encoding} text")
            return
        argument = line.removeprefix("\ufeff").strip()
        if argument == _STDIN:
            yield Failure(_STDIN, "the list on standard input names standard input itself")
        elif argument:
            yield from _inputs_of(argument)


def _inputs_of(argument: str) -> Iterator[_Input]:
    """What one argument stands for; a failure if for nothing."""
    try:
        yield from _classify(argument)
    except DataError as error:
        yield Failure(argument, str(error))
    except OSError as error:
        yield Failure(argument, os_reason(error))
    except ValueError:  # a null character
        yield Failure(argument, "no file can have such a name")


def _classify(argument: str) -> Iterable[_Input]:
    """Raises: DataError, OSError or ValueError for an argument that stands for nothing."""
    if "://" in argument:
        return [_from_url(argument)]
    path = Path(argument)
    if argument and path.is_dir():
        return _from_folder(path)
    if argument and path.exists():
        return [_from_file(argument, path)]
    if argument.isascii() and argument.isdecimal():
        return [webcam(argument, int(argument))]
    if any(character in argument for character in _GLOB_CHARACTERS):
        return _from_glob(argument)
    raise DataError("no such file or folder")


def _from_url(url: str) -> _Input:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DataError("not an address; give one like https://example.org/dog.jpg") from error
    scheme = parts.scheme.lower()
    if scheme in _STREAM_SCHEMES:
        # over UDP a lost packet smears the picture, and many networks let none through
        options = (("rtsp_transport", "tcp"),) if scheme.startswith("rtsp") else ()
        return VideoInput(url, url, options=options)
    if scheme not in ("http", "https"):
        raise DataError(
            f"{scheme or 'this'} addresses are not supported; http, https, rtsp, rtmp are"
        )
    if not parts.hostname:
        raise DataError("the address names no server")
    if Path(parts.path).suffix.lower() in _STREAM_SUFFIXES:
        return VideoInput(url, url)
    return StillUrl(url)


def _from_file(name: str, path: Path) -> _Input:
    if path.exists() and not path.is_file():
        raise DataError("not a regular file; a camera is named by its number")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoInput(name, f"file:{path}", path)
    return StillFile(name, path)


def _from_folder(folder: Path) -> list[_Input]:
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    inputs = _images_and_videos(found)
    if not inputs:
        raise DataError("the folder holds no image or video; its subfolders are not entered")
    return inputs


def _from_glob(pattern: str) -> list[_Input]:
    # Path.glob takes no absolute patterns and walks into hidden folders
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207
    inputs = _images_and_videos(map(Path, found))
    if not inputs:
        what = "only files that are no image or video" if found else "nothing"
        raise DataError(f"the pattern matches {what}")
    return inputs


def _images_and_videos(paths: Iterable[Path]) -> list[_Input]:
    """Inputs for the files among `paths` whose names end like an image's or a video's, sorted."""
    known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    inputs: list[_Input] = []
    for path in sorted(paths):
        if path.suffix.lower() in known and not path.is_dir():
            try:
                inputs.append(_from_file(str(path), path))
            except DataError as error:
                inputs.append(Failure(str(path), str(error)))
    return inputs
