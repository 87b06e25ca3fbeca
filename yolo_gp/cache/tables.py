"""Pretrained models in tables: what can be pulled, and what is here. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from yolo_gp.analysis.tables import align
from yolo_gp.cache.checking import CheckedFile
from yolo_gp.cache.models import ModelCache
from yolo_gp.shapes import format_size
from yolo_gp.weights.manifest import ManifestFile, ManifestModel, PublishedFigure


def pretrained_text(models: Iterable[ManifestModel], cache: ModelCache) -> str:
    """One line per model."""
    rows = [
        (
            model.name,
            format_size(model.input_size) if model.input_size else "",
            f"{len(model.class_names)} {model.classes}",
            _bytes_text(model.weights),
            "yes" if cache.holds_all(model) else "no",
            model.weights.licence,
        )
        for model in models
    ]
    header = ("pretrained", "input", "classes", "weights, bytes", "cached", "licence")
    return align([header, *rows], {3})


def _bytes_text(file: ManifestFile) -> str:
    return f"{file.bytes:,}" if file.bytes is not None else "not known"


def model_text(model: ManifestModel, cache: ModelCache) -> str:
    """Everything that the manifest says of a model, and whether it is here."""
    facts = [
        ("cfg", model.cfg + ("" if model.cfg_file else " (comes with yolo-gp)")),
        ("classes", f"{len(model.class_names)} ({model.classes})"),
    ]
    if model.input_size is not None:
        facts.append(("input", f"{format_size(model.input_size)} (height x width)"))
    parts = [f"{model.name}: pretrained weights", align(facts, ())]
    parts += [_file_text(model, file, cache) for file in model.files]
    if model.published:
        parts.append(_published_text(model.published))
    return "\n\n".join(parts)


def _file_text(model: ManifestModel, file: ManifestFile, cache: ModelCache) -> str:
    pinned = cache.wanted(model, file).sha256 if file.sha256 is None else None
    facts = [
        *[("address", url) for url in file.urls],
        ("bytes", _bytes_text(file)),
        ("sha256", file.sha256 or "none known" + (f"; pinned: {pinned}" if pinned else "")),
        *([("sha1", file.sha1)] if file.sha1 else []),
        ("licence", file.licence),
        ("source", file.source),
        ("cached", str(cache.path(model, file)) if cache.holds(model, file) else "no"),
    ]
    return f"{file.name}\n{align(facts, ())}"


def _published_text(figures: Iterable[PublishedFigure]) -> str:
    rows = [
        (
            found.figure,
            f"{found.value} {found.unit}",
            format_size(found.size) if found.size else "",
            found.data,
            found.source,
        )
        for found in figures
    ]
    return align([("published", "", "input", "data", "source"), *rows], {1})


def pretrained_data(models: Iterable[ManifestModel], cache: ModelCache) -> list[dict[str, Any]]:
    """The list for JSON."""
    return [model_data(model, cache) for model in models]


def model_data(model: ManifestModel, cache: ModelCache) -> dict[str, Any]:
    """A model for JSON."""
    return {
        "name": model.name,
        "cfg": model.cfg,
        "fingerprint": model.fingerprint,
        "input_size": list(model.input_size) if model.input_size else None,
        "classes": list(model.class_names),
        "cached": cache.holds_all(model),
        "files": [_file_data(model, file, cache) for file in model.files],
        "published": [_figure_data(figure) for figure in model.published],
    }


def _file_data(model: ManifestModel, file: ManifestFile, cache: ModelCache) -> dict[str, Any]:
    return {
        "name": file.name,
        "format": file.format,
        "urls": list(file.urls),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "sha1": file.sha1,
        "licence": file.licence,
        "source": file.source,
        "path": str(cache.path(model, file)) if cache.holds(model, file) else None,
    }


def _figure_data(figure: PublishedFigure) -> dict[str, Any]:
    return {
        "figure": figure.figure,
        "value": float(figure.value),
        "unit": figure.unit,
        "data": figure.data,
        "size": list(figure.size) if figure.size else None,
        "source": figure.source,
    }


def checked_text(files: Iterable[CheckedFile]) -> str:
    """One line per file."""
    return align([(str(file.state), str(file.path), file.detail) for file in files], ())


def checked_data(files: Iterable[CheckedFile]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {"path": str(file.path), "state": str(file.state), "detail": file.detail} for file in files
    ]
