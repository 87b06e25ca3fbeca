"""Which format a weights file has, by its first bytes. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yolo_gp.errors import WeightsError
from yolo_gp.weights.header import check_is_weights, read_start
from yolo_gp.weights.sniffing import foreign_content

WeightsFormat = Literal["darknet", "safetensors", "torch", "onnx"]

_SUFFIXES: dict[str, WeightsFormat] = {
    ".weights": "darknet",
    ".safetensors": "safetensors",
    ".pt": "torch",
    ".pth": "torch",
    ".onnx": "onnx",
}
_ZIP = b"PK\x03\x04"
_PICKLE_PROTOCOLS = range(2, 6)
# The length of its header is a 64-bit number, then comes JSON.
_MAX_SAFETENSORS_HEADER = 100_000_000
# protobuf tags: ir_version is a varint; then come a string, a number or a message of the model.
_ONNX_IR_VERSION = 0x08
_ONNX_SECOND_TAGS = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42\x72")


def detect_format(path: Path) -> WeightsFormat:
    """The format of a weights file. Its content tells, whatever its name is.

    Raises:
        WeightsError: the file cannot be read, or is of none of these formats.
    """
    start, size = read_start(path)
    if start.startswith(_ZIP) or _is_pickle(start):
        return "torch"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _MAX_SAFETENSORS_HEADER:
        return "safetensors"
    if _is_onnx(start):
        return "onnx"
    foreign = foreign_content(path, start, size) if size else None
    if foreign is not None:
        raise WeightsError(f"{path} is {foreign.what}, not a weights file\nhelp: {foreign.help}")
    _check_suffix_agrees(path, start)
    check_is_weights(path, start)
    return "darknet"


def format_of_suffix(path: Path) -> WeightsFormat | None:
    """The format that a file of this name would have; None if the name does not tell."""
    return _SUFFIXES.get(path.suffix.lower())


def _is_pickle(start: bytes) -> bool:
    return start[:1] == b"\x80" and len(start) > 1 and start[1] in _PICKLE_PROTOCOLS


def _is_onnx(start: bytes) -> bool:
    return (
        len(start) > 2
        and start[0] == _ONNX_IR_VERSION
        and 0 < start[1] < 0x80
        and start[2] in _ONNX_SECOND_TAGS
    )


def _check_suffix_agrees(path: Path, start: bytes) -> None:
    """Refuse a file that is named as one of the other formats but has none of their beginnings."""
    named = format_of_suffix(path)
    if named in (None, "darknet") or not start:
        return
    try:
        check_is_weights(path, start)
    except WeightsError:
        raise WeightsError(
            f"{path} does not start as a {named} file does, nor as any other weights file\n"
            "help: the file is damaged, or something else; fetch or write it again"
        ) from None
