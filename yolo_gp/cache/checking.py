"""Whether what lies in the cache is still what was put there. Loads no torch."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.cache.models import ModelCache, read_digests
from yolo_gp.download import PartFile
from yolo_gp.weights.manifest import ManifestFile, ManifestModel


class FileState(enum.StrEnum):
    """What became of a file in the cache."""

    OK = "ok"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNKNOWN = "unknown"  # no model has such a file, or nothing says what it should hold


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file of the cache, looked at.

    Fields:
        detail: why it is not ok, or "".
    """

    path: Path
    state: FileState
    detail: str


def check_model(cache: ModelCache, model: ManifestModel) -> tuple[CheckedFile, ...]:
    """Every file that a model should have in the cache, read and hashed anew.

    Raises:
        WeightsError: a file cannot be read.
    """
    return tuple(_check_file(cache, model, file) for file in model.files)


def _check_file(cache: ModelCache, model: ManifestModel, file: ManifestFile) -> CheckedFile:
    path = cache.path(model, file)
    if not path.is_file():
        begun = PartFile(path).size
        detail = f"{begun} bytes of it have been fetched" if begun else ""
        return CheckedFile(path, FileState.MISSING, detail)
    found = read_digests(path)
    problem = cache.problem(model, file, path, found)
    if problem is not None:
        return CheckedFile(path, FileState.DAMAGED, problem)
    if not cache.wanted(model, file).is_hashed:
        detail = f"no hash is known; its sha256 is {found.sha256}"
        return CheckedFile(path, FileState.UNKNOWN, detail)
    return CheckedFile(path, FileState.OK, "")


def stray_files(cache: ModelCache, models: Iterable[ManifestModel]) -> tuple[CheckedFile, ...]:
    """Files in the cache's models folder that belong to none of the models."""
    known = {cache.path(model, file) for model in models for file in model.files}
    parts = [PartFile(path) for path in known]
    known |= {own for part in parts for own in (part.path, part.origin_path)}
    return tuple(
        CheckedFile(path, FileState.UNKNOWN, "no model has such a file")
        for path in sorted(cache.models_folder.rglob("*"))
        if path not in known and not path.is_dir()
    )
