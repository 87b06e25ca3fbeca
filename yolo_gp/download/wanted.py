"""What file is wanted, and whether a file is that one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_safe_name(name: str) -> bool:
    """Whether it may name a file or a folder: it leads into no other folder and is not hidden."""
    return _SAFE_NAME.fullmatch(name) is not None and ".." not in name


def looks_like_page(start: bytes) -> bool:
    """Whether a file begins like a web page. No cfg and no weights begin with "<"."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to fetch, and how to know it.

    Fields:
        name: as it will be called.
        urls: http(s):// or file://, in the order in which they are tried.
        sizes: the bytes it may have; empty if that is not known.
        sha256, sha1: in lowercase hexadecimal; None if not known.
    """

    name: str
    urls: tuple[str, ...]
    sizes: tuple[int, ...] = ()
    sha256: str | None = None
    sha1: str | None = None

    @property
    def is_hashed(self) -> bool:
        return self.sha256 is not None or self.sha1 is not None

    @property
    def size_text(self) -> str:
        """ "1384268", or "100 or 104", for a message."""
        return " or ".join(str(size) for size in self.sizes)


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file is known by: its bytes, and hashes in lowercase hexadecimal."""

    size: int
    sha256: str
    sha1: str


def digests(path: Path) -> Digests:
    """Size and hashes of a file.

    Raises:
        OSError: it cannot be read.
    """
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            size += len(chunk)
            sha256.update(chunk)
            sha1.update(chunk)
    return Digests(size, sha256.hexdigest(), sha1.hexdigest())


def mismatch(found: Digests, wanted: Wanted) -> str | None:
    """How a file differs from the one that is wanted; None if it does not."""
    if wanted.sizes and found.size not in wanted.sizes:
        return f"it has {found.size} bytes, not {wanted.size_text}"
    if wanted.sha256 is not None and found.sha256 != wanted.sha256:
        return f"its sha256 is {found.sha256}, not {wanted.sha256}"
    if wanted.sha1 is not None and found.sha1 != wanted.sha1:
        return f"its sha1 is {found.sha1}, not {wanted.sha1}"
    return None
