"""Puts a file that was fetched by hand where it belongs, once it is recognised. Loads no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from yolo_gp.cache.models import ModelCache, read_digests
from yolo_gp.download import Digests, looks_like_page, mismatch
from yolo_gp.errors import UsageError, WeightsError
from yolo_gp.files import os_reason, replacing
from yolo_gp.weights.manifest import ManifestFile, ManifestModel


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A file that is in its place now.

    Fields:
        path: where it lies in the cache.
    """

    model: ManifestModel
    file: ManifestFile
    path: Path


_Place = tuple[ManifestModel, ManifestFile]


def add_file(cache: ModelCache, source: Path, models: Iterable[ManifestModel]) -> AddedFile:
    """Copy a file into the cache as the one of `models` whose file it is.

    Known by its hash, published or pinned; where there is none, by the exact size that the model's
    cfg asks for, and by its header.

    Raises:
        WeightsError: it is none of theirs, or cannot be read, or the cache cannot be written.
        UsageError: it could be one of several.
    """
    found = read_digests(source)
    places = [(model, file) for model in models for file in model.files]
    fitting = [place for place in places if _fits(cache, place, source, found)]
    hashed = [place for place in fitting if cache.wanted(*place).is_hashed]
    candidates = hashed or fitting
    if not candidates:
        raise WeightsError(_refusal(cache, source, found, places))
    if len(candidates) > 1:
        names = " or ".join(model.name for model, _ in candidates)
        raise UsageError(f"{source} could be of {names}\nexpected: --name with one of them")
    return _put(cache, source, candidates[0], found)


def _fits(cache: ModelCache, place: _Place, source: Path, found: Digests) -> bool:
    """Whether a file is that one; compiles the model's cfg only for files of the right size."""
    model, file = place
    if file.bytes not in (None, found.size):
        return False
    return cache.problem(model, file, source, found) is None


def _refusal(cache: ModelCache, source: Path, found: Digests, places: Iterable[_Place]) -> str:
    with source.open("rb") as opened:
        if looks_like_page(opened.read(512)):
            return (
                f"{source} is a web page, not a model's file\n"
                "help: the download failed (many old links do); fetch it from another address"
            )
    text = (
        f"{source} is no file of the zoo: it has {found.size} bytes, its sha256 is {found.sha256}"
    )
    model, file = min(places, key=lambda place: _distance(place, source, found))
    problem = mismatch(found, cache.wanted(model, file)) or cache.problem(
        model, file, source, found
    )
    return f"{text}\nhelp: it comes closest to {file.name} of {model.name}, but {problem}"


def _distance(place: _Place, source: Path, found: Digests) -> tuple[bool, float]:
    """How far a file is from being that one: the name counts first, then the size."""
    _, file = place
    difference = abs(file.bytes - found.size) if file.bytes is not None else float("inf")
    return file.name.lower() != source.name.lower(), difference


def _put(cache: ModelCache, source: Path, place: _Place, found: Digests) -> AddedFile:
    model, file = place
    path = cache.path(model, file)
    with cache.reserved(model.name):
        try:
            with replacing(path) as target:
                _copy(source, target, found)
        except OSError as error:
            raise WeightsError(f"cannot copy {source} to {path}: {os_reason(error)}") from error
        cache.pin(model, file, found)
    return AddedFile(model, file, path)


def _copy(source: Path, target: IO[bytes], found: Digests) -> None:
    copied = hashlib.sha256()
    with source.open("rb") as original:
        while chunk := original.read(2**20):
            copied.update(chunk)
            target.write(chunk)
    if copied.hexdigest() != found.sha256:
        raise WeightsError(f"{source} has changed while it was copied")
