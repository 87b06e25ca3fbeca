"""What a weights file of ours says about itself. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason
from yolo_gp.graph import Graph
from yolo_gp.weights.header import WeightsHeader

SCHEMA_VERSION = 1
METADATA_KEY = "yolo-gp"
"""The one entry of a safetensors file's metadata: several would be written in random order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """What a file of ours holds beside its tensors: enough to run them.

    Fields:
        cfg: the cfg's text.
        cfg_name: the cfg's file name without suffix.
        fingerprint: of the network that `cfg` describes.
        class_names: by id; empty if none are known.
        darknet_header: of the `.weights` file that the tensors came from, if they did.
        cutoff: the tensors are those of the sections before this number; None for all.
    """

    cfg: str
    cfg_name: str
    fingerprint: str
    class_names: tuple[str, ...] = ()
    darknet_header: WeightsHeader | None = None
    cutoff: int | None = None

    def to_entries(self) -> dict[str, object]:
        """The fields as plain strings, numbers, lists and dicts."""
        entries = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        return {**entries, "class_names": list(self.class_names)}


@dataclass(frozen=True, slots=True)
class StoredShape:
    """A tensor in a safetensors file: its name there, its shape, and how numbers are stored."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def describe(
    graph: Graph,
    *,
    cfg_name: str | None = None,
    class_names: tuple[str, ...] = (),
    header: WeightsHeader | None = None,
    cutoff: int | None = None,
) -> CheckpointInfo:
    """What is to be said of a network's weights; the cfg's file gives its name by default."""
    return CheckpointInfo(
        cfg=graph.cfg_text.rstrip("\n") + "\n",  # else each conversion would add a line
        cfg_name=cfg_name or Path(graph.spec.net.span.file).stem,
        fingerprint=graph.fingerprint,
        class_names=class_names,
        darknet_header=header,
        cutoff=cutoff,
    )


def read_info(path: Path) -> CheckpointInfo:
    """What a safetensors file of ours says about itself.

    Raises:
        WeightsError: the file cannot be read, is damaged, or is not ours.
    """
    metadata, _ = _read_head(path)
    if METADATA_KEY not in metadata:
        raise WeightsError(
            f"{path} was not written by yolo-gp: its metadata does not say what network it is for\n"
            "expected: a safetensors file that `yolo-gp convert` wrote\n"
            "help: convert the Darknet or torch weights that it was made from"
        )
    try:
        entries = json.loads(metadata[METADATA_KEY])
    except ValueError as error:
        raise _damaged(path) from error
    return info_of_entries(path, entries if isinstance(entries, dict) else {})


def read_shapes(path: Path) -> tuple[StoredShape, ...]:
    """The tensors of a safetensors file, without their numbers.

    Raises:
        WeightsError: the file cannot be read or is damaged.
    """
    return _read_head(path)[1]


def _read_head(path: Path) -> tuple[Mapping[str, str], tuple[StoredShape, ...]]:
    try:
        with safe_open(path, framework="np") as file:
            slices = ((name, file.get_slice(name)) for name in file.keys())  # noqa: SIM118
            shapes = tuple(
                StoredShape(name, tuple(part.get_shape()), part.get_dtype())
                for name, part in slices
            )
            return file.metadata() or {}, shapes
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError | SafetensorError) -> WeightsError:
    """The error for a safetensors file that cannot be opened."""
    if isinstance(error, OSError):
        return WeightsError(f"cannot read weights {path}: {os_reason(error)}")
    reason = str(error).partition("header: ")[2] or str(error)
    return WeightsError(
        f"{path} is no whole safetensors file: {reason}\n"
        "help: it was cut off or damaged; fetch or convert it again"
    )


def info_of_entries(path: Path, entries: Mapping[str, object]) -> CheckpointInfo:
    """The inverse of `CheckpointInfo.to_entries`; entries it does not know are skipped.

    Raises:
        WeightsError: an entry is missing or of another type, or the file's version is newer.
    """
    version = entries.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise WeightsError(
            f"{path} has schema version {version}, this yolo-gp knows {SCHEMA_VERSION}\n"
            "help: update yolo-gp"
        )
    cfg, name, fingerprint = (entries.get(key) for key in ("cfg", "cfg_name", "fingerprint"))
    names, cutoff = entries.get("class_names"), entries.get("cutoff")
    if not (
        isinstance(cfg, str)
        and isinstance(name, str)
        and isinstance(fingerprint, str)
        and isinstance(names, list)
        and all(isinstance(each, str) for each in names)
        and (cutoff is None or (isinstance(cutoff, int) and cutoff > 0))
    ):
        raise _damaged(path)
    return CheckpointInfo(
        cfg=cfg,
        cfg_name=name,
        fingerprint=fingerprint,
        class_names=tuple(names),
        darknet_header=_header(path, entries.get("darknet_header")),
        cutoff=cutoff,
    )


def _header(path: Path, entry: object) -> WeightsHeader | None:
    if entry is None:
        return None
    numbers = ("major", "minor", "revision", "seen")
    if not isinstance(entry, dict) or not all(type(entry.get(key)) is int for key in numbers):
        raise _damaged(path)
    major, minor, revision, seen = (entry[key] for key in numbers)
    return WeightsHeader(major, minor, revision, seen, entry.get("wide") is not False)


def _damaged(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} says about itself what yolo-gp cannot read: an entry is missing or of another "
        "type\nexpected: what `yolo-gp convert` writes: cfg, cfg_name, fingerprint, class_names"
    )
