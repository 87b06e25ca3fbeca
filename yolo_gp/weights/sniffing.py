"""What a file is that was taken for weights and is none, by its first bytes. Loads no torch."""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.errors import shown

_FETCH_AGAIN = "the download failed (many old links do); fetch the file from another address"
_UNPACK = "unpack it, and pass what is inside"

# (offset, the bytes there, what has them)
_MAGIC = (
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89HDF\r\n", "an HDF5 file, as Keras writes them"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"%PDF", "a PDF document"),
)


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file is instead of weights, as "it is ...", and what to do."""

    what: str
    help: str


def foreign_content(path: Path, start: bytes, size: int) -> Foreign | None:
    """What the file is, if its content shows that it holds no weights.

    Args:
        start: its first bytes, 512 or all.
        size: of the file in bytes.

    Returns:
        None for what may be weights of some format.
    """
    if not size:
        return Foreign("empty", "the download or the training was interrupted; get it again")
    if start.startswith(b"PK\x03\x04"):
        return _zip(path)
    for offset, magic, what in _MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return Foreign(what, _UNPACK if "archive" in what else "pass a file of weights")
    text = _text(start, size)
    return _document(text) if text is not None else None


def _text(start: bytes, size: int) -> str | None:
    """The beginning as text; None if it is none."""
    if b"\0" in start:
        return None
    cut = start if len(start) == size else start[:-3]  # may end inside a character
    try:
        text = cut.decode("utf-8-sig", errors="strict" if cut is start else "replace")
    except UnicodeDecodeError:
        return None
    readable = sum(c.isprintable() or c in "\t\r\n\f" for c in text) - text.count("\ufffd")
    return text if text and readable >= 0.95 * len(text) else None


def _document(text: str) -> Foreign:
    begin = text.lstrip()
    lower = begin.lower()
    if lower.startswith(("<!doctype html", "<html", "<head")) or (
        lower.startswith("<?xml") and "<html" in lower
    ):
        title = re.search(r"<title[^>]*>\s*([^<]*?)\s*</title", begin, re.IGNORECASE)
        named = f', titled "{shown(title[1])}"' if title and title[1] else ""
        return Foreign(f"a web page{named}", _FETCH_AGAIN)
    if begin.startswith("version https://git-lfs"):
        size = re.search(r"^size (\d+)$", begin, re.MULTILINE)
        named = f" to a file of {int(size[1]):,} bytes" if size else ""
        return Foreign(
            f"a Git LFS pointer{named}, not that file",
            "run `git lfs pull` in the repository, or download the file itself",
        )
    if re.search(r"^\s*\[\s*net(work)?\s*\]", begin, re.MULTILINE):
        return Foreign(
            "a cfg file", "the cfg goes first, or after --cfg; this is the place of weights"
        )
    if lower.startswith("<"):
        return Foreign("an XML document", _FETCH_AGAIN)
    if re.match(r'\{\s*["}]|\[\s*[\[{"\d\]-]', begin):
        return Foreign("a JSON document", _FETCH_AGAIN)
    first = shown(begin.splitlines()[0]) if begin else ""
    return Foreign(f'a text file that begins "{first}"', "pass a file of weights")


def _zip(path: Path) -> Foreign | None:
    """None for a torch checkpoint, which is a zip archive too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return Foreign(
            "a zip archive without its end, perhaps a torch checkpoint",
            "it was cut off; get it again",
        )
    if any(name.endswith("data.pkl") for name in names):
        return None
    first = f', with "{shown(names[0])}" inside' if names else ""
    return Foreign(f"a zip archive{first}", _UNPACK)


def swapped_version(start: bytes) -> tuple[int, int, int] | None:
    """The version in the header of a file whose numbers have their bytes in reverse order."""
    if len(start) < 12:
        return None
    major, minor, revision = struct.unpack_from(">iii", start)
    is_version = all(0 <= number <= 1000 for number in (major, minor, revision))
    return (major, minor, revision) if is_version and (major or minor or revision) else None
