"""The head of a Darknet `.weights` file: version and images seen. Loads no torch."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason
from yolo_gp.weights.layout import FLOAT_BYTES, WeightsDialect

_TRANSPOSED_MARK = 1000
_VERSION = struct.Struct("<iii")


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """The head of a `.weights` file.

    Fields:
        major, minor, revision: the format's version; Darknet writes 0, 2, 5.
        seen: images trained on so far.
        wide: `seen` takes 64 bits in the file, 32 otherwise.
    """

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0
    wide: bool = True

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return _VERSION.size + (8 if self.wide else 4)

    @property
    def transposed(self) -> bool:
        """Matrices of [connected] sections lie transposed in this file."""
        return self.major > _TRANSPOSED_MARK or self.minor > _TRANSPOSED_MARK

    @property
    def is_of_pjreddie(self) -> bool:
        """The version is the one that pjreddie's Darknet writes today."""
        return (self.major, self.minor, self.revision) == (0, 2, 0)

    @classmethod
    def written_by(cls, dialect: WeightsDialect, seen: int = 0) -> WeightsHeader:
        """The header that this Darknet writes today."""
        return cls(revision=0 if dialect == "pjreddie" else 5, seen=seen)

    def adapted_to(self, dialect: WeightsDialect) -> WeightsHeader:
        """The header for a file in that dialect which comes from one in the other.

        The version each Darknet writes tells them apart, and with the transposed mark the width.
        """
        header = self
        if (self.major, self.minor) == (0, 2) and self.revision in (0, 5):
            header = replace(header, revision=WeightsHeader.written_by(dialect).revision)
        if _has_disputed_width(self.major, self.minor):
            header = replace(header, wide=dialect == "alexeyab")
        return header

    def to_bytes(self) -> bytes:
        """The header as it stands in the file.

        Raises:
            WeightsError: `seen` does not fit into 32 bits.
        """
        if not self.wide and self.seen >= 2**32:
            raise WeightsError(
                f"{self.seen} images seen do not fit into the 32 bits of a version "
                f"{self.major}.{self.minor} header\nhelp: write version 0.2 or later"
            )
        version = _VERSION.pack(self.major, self.minor, self.revision)
        return version + struct.pack("<Q" if self.wide else "<I", self.seen)


def read_header(
    path: Path, expected_floats: int | None = None, dialect: WeightsDialect = "alexeyab"
) -> WeightsHeader:
    """The header of a `.weights` file.

    Darknets disagree on the width of `seen` in files with the transposed mark: the width that
    makes the file's size right is taken, that of `dialect` otherwise.

    Raises:
        WeightsError: the file cannot be read or is no weights file.
    """
    start, size = read_start(path)
    check_is_weights(path, start)
    major, minor, revision = _VERSION.unpack_from(start)
    wide = major * 10 + minor >= 2
    if _has_disputed_width(major, minor):
        wide = _marked_width(size, expected_floats, dialect)
    if len(start) < _VERSION.size + (8 if wide else 4):
        raise WeightsError(f"{path} ends inside its header, after {len(start)} bytes")
    (seen,) = struct.unpack_from("<Q" if wide else "<I", start, _VERSION.size)
    return WeightsHeader(major, minor, revision, seen, wide)


def _has_disputed_width(major: int, minor: int) -> bool:
    return major >= _TRANSPOSED_MARK or minor >= _TRANSPOSED_MARK


def _marked_width(size: int, expected_floats: int | None, dialect: WeightsDialect) -> bool:
    """Whether `seen` takes 64 bits in a file that pjreddie's Darknet reads with 32."""
    if expected_floats is not None:
        for wide in (False, True):
            if size == _VERSION.size + (8 if wide else 4) + expected_floats * FLOAT_BYTES:
                return wide
    return dialect == "alexeyab"


def read_start(path: Path) -> tuple[bytes, int]:
    """The first 512 bytes of a weights file of whatever format, and its size.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(512), path.stat().st_size
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {os_reason(error)}") from error


def check_is_weights(path: Path, start: bytes) -> None:
    """Refuse what, by its first bytes, is no Darknet `.weights` file.

    Raises:
        WeightsError: it is something else, which the message names.
    """
    if len(start) < _VERSION.size + 4:
        raise WeightsError(
            f"{path} has {len(start)} bytes, which is no weights file\n"
            "expected: a header of 16 or 20 bytes, then 32-bit floats\n"
            "help: fetch the file again"
        )
    _check_is_no_web_page(path, start)
    text = start[:64].lower()
    if text.startswith(b"pk\x03\x04") or text.startswith(b"\x80\x02"):
        raise WeightsError(
            f"{path} is a torch checkpoint, not a Darknet .weights file\n"
            "help: pass the .weights file the cfg was published with"
        )
    major, minor, revision = _VERSION.unpack_from(start)
    if not all(0 <= number <= 100_000 for number in (major, minor, revision)):
        raise WeightsError(
            f"{path} starts with version {major}.{minor}.{revision}, so it is no weights file\n"
            "expected: a Darknet version such as 0.2.5 in the first 12 bytes"
        )


def _check_is_no_web_page(path: Path, start: bytes) -> None:
    """Refuse what a failed download leaves behind.

    Raises:
        WeightsError: the first bytes are those of a web page.
    """
    text = start.lstrip()[:64].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            f"{path} is a web page, not a weights file\n"
            "help: the download failed (many old links do); fetch the file from another address"
        )
