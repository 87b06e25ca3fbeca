"""Reads weights_manifest.json: where pretrained models lie and how to know them. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from yolo_gp.download import is_safe_name
from yolo_gp.errors import DataError, did_you_mean, shown
from yolo_gp.files import os_reason

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
    record = _Record(content, "", problems)
    version = record.number("schema_version")
    if version not in (None, SCHEMA_VERSION):
        record.problem(f"schema_version = {version} will not do", str(SCHEMA_VERSION))
        return []
    record.text("$schema", required=False)
    class_lists = _read_class_lists(record)
    models = [_read_model(model, class_lists) for model in record.records("models", "name")]
    record.finish()
    _check_unique(record, "models", [model.name for model in models])
    return models


def _read_class_lists(record: _Record) -> dict[str, tuple[str, ...]]:
    lists = record.record("class_lists")
    return {key: lists.texts(key) for key in lists.keys}


def _read_model(record: _Record, class_lists: Mapping[str, tuple[str, ...]]) -> ManifestModel:
    classes = record.choice("classes", class_lists) or ""
    model = ManifestModel(
        name=record.file_name("name") or "",
        cfg=record.file_name("cfg") or "",
        fingerprint=record.hexadecimal("fingerprint", 64),
        input_size=record.size("input_size"),
        classes=classes,
        class_names=class_lists.get(classes, ()),
        published=tuple(_read_figure(figure) for figure in record.records("published", "figure")),
        files=tuple(_read_file(file) for file in record.records("files", "name")),
    )
    record.finish()
    if model.name != model.name.lower():
        record.problem(f'name = "{model.name}" has capitals', "lowercase: names are typed")
    _check_files(record, model)
    return model


def _check_files(record: _Record, model: ManifestModel) -> None:
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


def _check_unique(record: _Record, key: str, names: list[str]) -> None:
    """Two names that differ in case only would be one file on some disks."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            record.problem(f"{key} names {name} twice", "each name once, in whatever case")
        seen.add(name.lower())


def _read_figure(record: _Record) -> PublishedFigure:
    found = PublishedFigure(
        figure=record.text("figure") or "",
        value=record.decimal("value") or Decimal(0),
        unit=record.text("unit") or "",
        data=record.text("data") or "",
        size=record.size("size"),
        source=record.text("source") or "",
    )
    record.finish()
    return found


def _read_file(record: _Record) -> ManifestFile:
    kind = record.choice("format", ("cfg", "darknet"))
    found = ManifestFile(
        name=record.file_name("name") or "",
        format="cfg" if kind == "cfg" else "darknet",
        urls=record.texts("urls"),
        bytes=record.number("bytes", required=False),
        sha256=record.hexadecimal("sha256", 64),
        sha1=record.hexadecimal("sha1", 40),
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


_T = TypeVar("_T")


class _Record:
    """A JSON object, read key by key. All that is wrong with it goes into `problems`."""

    def __init__(self, content: Mapping[str, Any], name: str, problems: list[str]) -> None:
        self._content = content
        self._name = name
        self._problems = problems
        self._read: list[str] = []

    @property
    def keys(self) -> Collection[str]:
        return self._content.keys()

    def problem(self, message: str, expected: str) -> None:
        self._problems.append(f"{self._name}{message}\nexpected: {expected}")

    def _get(
        self, key: str, convert: Callable[[Any], _T | None], expected: str, *, required: bool
    ) -> _T | None:
        self._read.append(key)
        value = self._content.get(key)
        if value is None:
            if required:
                self.problem(f"{key} is missing", expected)
            return None
        found = convert(value)
        if found is None:
            self.problem(f"{key} = {shown(json.dumps(value, default=str))} will not do", expected)
        return found

    def text(self, key: str, *, required: bool = True) -> str | None:
        return self._get(key, _to_text, "a text of at least one letter", required=required)

    def texts(self, key: str) -> tuple[str, ...]:
        return self._get(key, _to_texts, "a list of at least one text", required=True) or ()

    def number(self, key: str, *, required: bool = True) -> int | None:
        return self._get(key, _to_count, "a whole number above 0", required=required)

    def size(self, key: str) -> tuple[int, int] | None:
        return self._get(key, _to_size, "[height, width] in pixels", required=False)

    def decimal(self, key: str) -> Decimal | None:
        return self._get(key, _to_decimal, "a number", required=True)

    def file_name(self, key: str) -> str | None:
        expected = "letters, digits, '.', '_', '-'; no folder, no '..'"
        return self._get(key, _to_file_name, expected, required=True)

    def hexadecimal(self, key: str, digits: int) -> str | None:
        def convert(value: object) -> str | None:
            match = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value)
            return match[0] if match else None

        expected = f"{digits} hexadecimal digits in lowercase, or null"
        return self._get(key, convert, expected, required=False)

    def choice(self, key: str, choices: Collection[str]) -> str | None:
        def convert(value: object) -> str | None:
            return value if isinstance(value, str) and value in choices else None

        expected = "one of " + ", ".join(f'"{choice}"' for choice in choices)
        return self._get(key, convert, expected, required=True)

    def record(self, key: str) -> _Record:
        content = self._get(key, _to_object, "an object", required=True)
        return _Record(content or {}, f"{self._name}{key}: ", self._problems)

    def records(self, key: str, title: str) -> list[_Record]:
        """A list of objects; messages call each by its `title`, or else by its number."""
        contents = self._get(key, _to_objects, "a list of objects", required=True) or []
        return [
            _Record(
                content,
                f"{self._name}{key} {shown(str(content.get(title, number)))}: ",
                self._problems,
            )
            for number, content in enumerate(contents, start=1)
        ]

    def finish(self) -> None:
        """Report the keys that nobody read."""
        for key in [key for key in self._content if key not in self._read]:
            suggestion = did_you_mean(key, self._read)
            hint = f"\nhelp: {suggestion}" if suggestion else ""
            self.problem(f"{shown(key)} is no key here", ", ".join(self._read) + hint)


def _to_text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _to_texts(value: object) -> tuple[str, ...] | None:
    texts = [_to_text(item) for item in value] if isinstance(value, list) else []
    found = tuple(text for text in texts if text is not None)
    return found if found and len(found) == len(texts) else None


def _to_count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and value > 0 else None


def _to_size(value: object) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    height, width = (_to_count(length) for length in value)
    return None if height is None or width is None else (height, width)


def _to_decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value) if Decimal(value).is_finite() else None


def _to_file_name(value: object) -> str | None:
    return value if isinstance(value, str) and is_safe_name(value) else None


def _to_object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _to_objects(value: object) -> list[dict[str, Any]] | None:
    objects = [_to_object(item) for item in value] if isinstance(value, list) else None
    found = [item for item in objects or [] if item is not None]
    return found if objects is not None and len(found) == len(objects) else None
