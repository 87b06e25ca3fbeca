"""What is here of a file that is still being fetched, and where it came from."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from yolo_gp.files import publish


@dataclass(frozen=True, slots=True)
class Origin:
    """What bytes came from.

    Fields:
        url: the address that was asked, before redirects.
        etag, modified: what the server said of its file's version; None if nothing.
    """

    url: str
    etag: str | None
    modified: str | None

    @property
    def validator(self) -> str | None:
        """What `If-Range` may name: a strong ETag, else the time of the last change."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


@dataclass(frozen=True, slots=True)
class PartFile:
    """NAME.part beside the file to be, with its origin in NAME.part.json."""

    destination: Path

    @property
    def path(self) -> Path:
        return self.destination.with_name(f"{self.destination.name}.part")

    @property
    def origin_path(self) -> Path:
        return self.destination.with_name(f"{self.destination.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are here; 0 if there is no such file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def origin(self) -> Origin | None:
        """Where the bytes came from; None if that is not known."""
        try:
            content = json.loads(self.origin_path.read_text(encoding="utf-8"))
            return Origin(content["url"], content["etag"], content["modified"])
        except (OSError, ValueError, KeyError, TypeError):  # absent, or torn by a crash
            return None

    def range_headers(self, url: str, *, is_hashed: bool) -> dict[str, str]:
        """What asks `url` for the rest; empty if the file must be fetched from its beginning.

        Bytes of another address, or of nobody knows which version, are only of use where a hash
        tells in the end whether they were the right ones.
        """
        origin = self.origin
        validator = origin.validator if origin is not None and origin.url == url else None
        if not self.size or not (is_hashed or validator):
            return {}
        wanted = {"Range": f"bytes={self.size}-"}
        return {**wanted, "If-Range": validator} if validator else wanted

    def restart(self, origin: Origin) -> None:
        """Begin with no bytes, of that origin.

        Raises:
            OSError: the operating system refuses.
        """
        self.path.write_bytes(b"")
        self.origin_path.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def append(self, chunks: Iterable[bytes], advance: Callable[[int], None]) -> None:
        """Add bytes as they come; what was added stays, whatever happens next.

        Raises:
            OSError: the operating system refuses.
        """
        with self.path.open("ab", buffering=0) as file:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:  # a disk that fills up takes a part before it refuses
                    rest = rest[file.write(rest) :]
                advance(len(chunk))

    def publish(self) -> None:
        """Let the whole file take its name.

        Raises:
            OSError: the operating system refuses.
        """
        publish(self.path, self.destination)
        self.discard()

    def discard(self) -> None:
        """Forget what is here."""
        for path in (self.path, self.origin_path):
            with contextlib.suppress(OSError):
                path.unlink()
