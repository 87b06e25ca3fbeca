"""Reads weights_manifest.json: where pretrained models lie and how to know them. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from yolo_gp.download import is_safe_name
from yolo_gp.errors import DataError, shown
from yolo_gp.files import os_reason
from yolo_gp.records import Record, to_decimal

SCHEMA_VERSION = 2
FileFormat = Literal["cfg", "darknet"]


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file of a model.

    Fields:
        name: in the cache's folder of the model.
        urls: addresses in the order in which they are tried.
        bytes, sha256, sha1: None where none is known for certain.
        source: where the publisher describes it.
    """

    name: str
    format: FileFormat
    urls: tuple[str, ...]
    bytes: int | None
    sha256: str | None
    sha1: str | None
    licence: str
    source: str


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure that the publisher prints, such as AP50 = 24.4 % on COCO val2017.

    Fields:
        size: (height, width) of the input it was measured at; None if that is not said.
        source: where it was read.
    """

    figure: str
    value: Decimal
    unit: str
    data: str
    size: tuple[int, int] | None
    source: str


@dataclass(frozen=True, slots=True)
class ManifestModel:
    """A pretrained model.

    Fields:
        cfg: a packaged cfg file, or the one among `files`.
        fingerprint: of the network that its cfg describes; None if that is not known.
        input_size: (height, width) as published.
        classes: name of the list of classes; `class_names` is the list.
        files: exactly one of format "darknet", at most one of format "cfg".
    """

    name: str
    cfg: str
    fingerprint: str | None
    input_size: tuple[int, int] | None
    classes: str
    class_names: tuple[str, ...]
    published: tuple[PublishedFigure, ...]
    files: tuple[ManifestFile, ...]

    @property
    def weights(self) -> ManifestFile:
        return next(file for file in self.files if file.format == "darknet")

    @property
    def cfg_file(self) -> ManifestFile | None:
        """The cfg that is fetched with the weights; None if it comes with yolo-gp."""
        return next((file for file in self.files if file.format == "cfg"), None)


def read_manifest(path: Path) -> tuple[ManifestModel, ...]:
    """Every model of a manifest, in file order.

    Raises:
        DataError: with everything that is wrong with it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise DataError(f"cannot read weights manifest {path}: {os_reason(error)}") from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise DataError(f"{path} is no JSON file: {error}") from error
    problems: list[str] = []
    models = _read_models(content, problems)
    if problems:
        raise DataError("\n".join(f"{path}: {problem}" for problem in problems))
    return tuple(models)


def _read_models(content: object, problems: list[str]) -> list[ManifestModel]:
    if not isinstance(content, dict):
        problems.append('the whole is no object\nexpected: {"schema_version": 2, ...}')
        return []
    record = Record(content, "", problems, _spelt)
    version = record.count("schema_version")
    if version not in (None, SCHEMA_VERSION):
        record.problem(f"schema_version = {version} will not do", str(SCHEMA_VERSION))
        return []
    record.text("$schema", required=False)
    class_lists = _read_class_lists(record)
    models = [
        _read_model(model, class_lists)
        for model in record.records("models", _titled("models", "name"), "a list of objects")
    ]
    record.finish()
    _check_unique(record, "models", [model.name for model in models])
    return models


def _read_class_lists(record: Record) -> dict[str, tuple[str, ...]]:
    lists = record.record("class_lists", "class_lists: ", "an object")
    return {key: lists.texts(key) for key in lists.keys}


def _read_model(record: Record, class_lists: Mapping[str, tuple[str, ...]]) -> ManifestModel:
    classes = record.choice("classes", class_lists) or ""
    model = ManifestModel(
        name=_file_name(record, "name"),
        cfg=_file_name(record, "cfg"),
        fingerprint=_hexadecimal(record, "fingerprint", 64),
        input_size=record.size("input_size", required=False),
        classes=classes,
        class_names=class_lists.get(classes, ()),
        published=tuple(
            _read_figure(figure)
            for figure in record.records(
                "published", _titled("published", "figure"), "a list of objects"
            )
        ),
        files=tuple(
            _read_file(file)
            for file in record.records("files", _titled("files", "name"), "a list of objects")
        ),
    )
    record.finish()
    if model.name != model.name.lower():
        record.problem(f'name = "{model.name}" has capitals', "lowercase: names are typed")
    _check_files(record, model)
    return model


def _check_files(record: Record, model: ManifestModel) -> None:
    of_format = {kind: [f for f in model.files if f.format == kind] for kind in ("darknet", "cfg")}
    if len(of_format["darknet"]) != 1:
        count = len(of_format["darknet"])
        record.problem(f'files holds {count} of format "darknet"', "exactly one")
    if len(of_format["cfg"]) > 1:
        record.problem(f'files holds {len(of_format["cfg"])} of format "cfg"', "at most one")
    elif of_format["cfg"] and of_format["cfg"][0].name != model.cfg:
        name = of_format["cfg"][0].name
        record.problem(f'cfg = "{model.cfg}", but the cfg among files is {name}', "one name")
    _check_unique(record, "files", [file.name for file in model.files])


def _check_unique(record: Record, key: str, names: list[str]) -> None:
    """Two names that differ in case only would be one file on some disks."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            record.problem(f"{key} names {name} twice", "each name once, in whatever case")
        seen.add(name.lower())


def _read_figure(record: Record) -> PublishedFigure:
    found = PublishedFigure(
        figure=record.text("figure") or "",
        value=record.get("value", to_decimal, "a number") or Decimal(0),
        unit=record.text("unit") or "",
        data=record.text("data") or "",
        size=record.size("size", required=False),
        source=record.text("source") or "",
    )
    record.finish()
    return found


def _read_file(record: Record) -> ManifestFile:
    kind = record.choice("format", ("cfg", "darknet"))
    found = ManifestFile(
        name=_file_name(record, "name"),
        format="cfg" if kind == "cfg" else "darknet",
        urls=record.texts("urls"),
        bytes=record.count("bytes", required=False),
        sha256=_hexadecimal(record, "sha256", 64),
        sha1=_hexadecimal(record, "sha1", 40),
        licence=record.text("licence") or "",
        source=record.text("source") or "",
    )
    if kind == "cfg" and found.sha256 is None:
        record.problem("sha256 is missing", "one: nothing else vouches for a cfg")
    for url in found.urls:
        if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
            record.problem(f'urls holds "{shown(url)}"', "addresses that begin with https://")
    record.finish()
    return found


def _titled(key: str, title: str) -> Callable[[Mapping[str, Any], int], str]:
    """Messages call a record by its `title`, or else by its number."""
    return lambda content, number: f"{key} {shown(str(content.get(title, number)))}: "


def _file_name(record: Record, key: str) -> str:
    expected = "letters, digits, '.', '_', '-'; no folder, no '..'"
    return record.get(key, _to_file_name, expected) or ""


def _hexadecimal(record: Record, key: str, digits: int) -> str | None:
    def convert(value: object) -> str | None:
        match = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value)
        return match[0] if match else None

    expected = f"{digits} hexadecimal digits in lowercase, or null"
    return record.get(key, convert, expected, required=False)


def _to_file_name(value: object) -> str | None:
    return value if isinstance(value, str) and is_safe_name(value) else None


def _spelt(value: object) -> str:
    return json.dumps(value, default=str)
