"""The reader of weights_manifest.json: what it gives, and everything it finds wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from yolo_gp.errors import DataError
from yolo_gp.weights.manifest import ManifestFile, ManifestModel, PublishedFigure, read_manifest

MANIFEST: dict[str, Any] = {
    "$schema": "docs/weights_manifest.schema.json",
    "schema_version": 2,
    "class_lists": {"two": ["cat", "dog"]},
    "models": [
        {
            "name": "tiny-1.1",
            "cfg": "tiny-1.1.cfg",
            "fingerprint": "a" * 64,
            "input_size": [320, 416],
            "classes": "two",
            "published": [
                {
                    "figure": "AP50",
                    "value": 24.40,
                    "unit": "%",
                    "data": "COCO",
                    "size": None,
                    "source": "README",
                }
            ],
            "files": [
                {
                    "name": "tiny-1.1.cfg",
                    "format": "cfg",
                    "urls": ["https://a.example/tiny.cfg"],
                    "bytes": None,
                    "sha256": "b" * 64,
                    "licence": "MIT",
                    "source": "https://a.example",
                },
                {
                    "name": "tiny-1.1.weights",
                    "format": "darknet",
                    "urls": ["https://a.example/tiny.weights", "https://b.example/tiny.weights"],
                    "bytes": 52,
                    "sha256": None,
                    "sha1": "c" * 40,
                    "licence": "none stated",
                    "source": "https://b.example",
                },
            ],
        }
    ],
}
Edit = Callable[[dict[str, Any]], object]


def read(tmp_path: Path, *edits: Edit) -> tuple[ManifestModel, ...]:
    content = copy.deepcopy(MANIFEST)
    for edit in edits:
        edit(content)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    return read_manifest(path)


def problems(tmp_path: Path, *edits: Edit) -> list[str]:
    """What is said about each mistake, without the file's name and what was expected."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, *edits)
    lead = f"{tmp_path / 'manifest.json'}: "
    lines = str(caught.value).splitlines()
    return [line.removeprefix(lead) for line in lines if line.startswith(lead)]


def model(**changes: object) -> Edit:
    return lambda manifest: manifest["models"][0].update(changes)


def file(number: int, **changes: object) -> Edit:
    return lambda manifest: manifest["models"][0]["files"][number].update(changes)


def test_a_manifest_is_read_with_all_it_says(tmp_path: Path) -> None:
    cfg = ManifestFile(
        name="tiny-1.1.cfg",
        format="cfg",
        urls=("https://a.example/tiny.cfg",),
        bytes=None,
        sha256="b" * 64,
        sha1=None,
        licence="MIT",
        source="https://a.example",
    )
    weights = ManifestFile(
        name="tiny-1.1.weights",
        format="darknet",
        urls=("https://a.example/tiny.weights", "https://b.example/tiny.weights"),
        bytes=52,
        sha256=None,
        sha1="c" * 40,
        licence="none stated",
        source="https://b.example",
    )
    (found,) = read(tmp_path)
    assert found == ManifestModel(
        name="tiny-1.1",
        cfg="tiny-1.1.cfg",
        fingerprint="a" * 64,
        input_size=(320, 416),
        classes="two",
        class_names=("cat", "dog"),
        published=(PublishedFigure("AP50", Decimal("24.4"), "%", "COCO", None, "README"),),
        files=(cfg, weights),
    )
    assert (found.weights, found.cfg_file) == (weights, cfg)


def test_a_model_of_a_packaged_cfg_has_one_file(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path,
        model(cfg="packaged.cfg", fingerprint=None, input_size=None),
        lambda manifest: manifest["models"][0]["files"].pop(0),
    )
    assert (found.cfg, found.cfg_file) == ("packaged.cfg", None)
    assert (found.fingerprint, found.input_size) == (None, None)


def test_a_figure_keeps_the_digits_that_were_printed(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(MANIFEST).replace("24.4", "24.40"))
    assert str(read_manifest(path)[0].published[0].value) == "24.40"


MISTAKES: list[tuple[Edit, str]] = [
    (lambda m: m.update(schema_version=1), "schema_version = 1 will not do"),
    (lambda m: m.pop("schema_version"), "schema_version is missing"),
    (lambda m: m.update(modells=[]), "modells is no key here"),
    (lambda m: m.pop("models"), "models is missing"),
    (lambda m: m.update(models=[3]), "models = [3] will not do"),
    (lambda m: m["models"].append(m["models"][0]), "models names tiny-1.1 twice"),
    (lambda m: m["class_lists"].update(two=[]), "class_lists: two = [] will not do"),
    (lambda m: m["class_lists"].update(two=["a", 3]), 'class_lists: two = ["a", 3] will not do'),
    (model(name="../tiny"), 'models ../tiny: name = "../tiny" will not do'),
    (model(name="a/b"), 'models a/b: name = "a/b" will not do'),
    (model(name="/a"), 'models /a: name = "/a" will not do'),
    (model(name="Tiny"), 'models Tiny: name = "Tiny" has capitals'),
    (model(cfg="other.cfg"), 'cfg = "other.cfg", but the cfg among files is tiny-1.1.cfg'),
    (model(fingerprint="A" * 64), f'fingerprint = "{"A" * 36}... will not do'),
    (model(input_size=[416]), "input_size = [416] will not do"),
    (model(input_size=[416, 0]), "input_size = [416, 0] will not do"),
    (model(classes="three"), 'classes = "three" will not do'),
    (model(author="me"), "author is no key here"),
    (model(files=[]), 'files holds 0 of format "darknet"'),
    (lambda m: m["models"][0].pop("published"), "published is missing"),
    (
        lambda m: m["models"][0]["published"][0].update(value="24"),
        'published AP50: value = "24" will not do',
    ),
    (
        lambda m: m["models"][0]["published"][0].update(value=float("nan")),
        "published AP50: value = NaN will not do",
    ),
    (file(0, sha256=None), "files tiny-1.1.cfg: sha256 is missing"),
    (file(0, format="onnx"), 'files tiny-1.1.cfg: format = "onnx" will not do'),
    (file(0, format="darknet"), 'files holds 2 of format "darknet"'),
    (file(1, name=".."), 'files ..: name = ".." will not do'),
    (file(1, name="TINY-1.1.cfg"), "files names TINY-1.1.cfg twice"),
    (file(1, urls=[]), "files tiny-1.1.weights: urls = [] will not do"),
    (
        file(1, urls=["http://a.example/x"]),
        'files tiny-1.1.weights: urls holds "http://a.example/x"',
    ),
    (
        file(1, urls=["https:///x"]),
        'files tiny-1.1.weights: urls holds "https:///x"',
    ),
    (file(1, bytes=0), "files tiny-1.1.weights: bytes = 0 will not do"),
    (file(1, bytes=True), "files tiny-1.1.weights: bytes = true will not do"),
    (file(1, sha1="c" * 39), f'files tiny-1.1.weights: sha1 = "{"c" * 36}... will not do'),
    (file(1, licence=" "), 'files tiny-1.1.weights: licence = " " will not do'),
    (file(1, source=None), "files tiny-1.1.weights: source is missing"),
]


@pytest.mark.parametrize(("edit", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_named_with_its_place(tmp_path: Path, edit: Edit, message: str) -> None:
    found = problems(tmp_path, edit)
    lead = "" if message.startswith(("models ", "schema", "class_lists")) else "models tiny-1.1: "
    assert message in found or lead + message in found, found


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    assert problems(tmp_path, model(classes="x"), file(0, bytes=-1), file(1, licence=3)) == [
        'models tiny-1.1: classes = "x" will not do',
        "models tiny-1.1: files tiny-1.1.cfg: bytes = -1 will not do",
        "models tiny-1.1: files tiny-1.1.weights: licence = 3 will not do",
    ]


def test_a_mistake_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, file(1, licenc="MIT"))
    assert str(caught.value) == (
        f"{tmp_path / 'manifest.json'}: models tiny-1.1: files tiny-1.1.weights: licenc is no key "
        "here\nexpected: format, name, urls, bytes, sha256, sha1, licence, source\n"
        "help: did you mean licence?"
    )


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b""])
def test_a_file_that_is_no_manifest_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is no JSON file: |the whole is no object\nexpected: "):
        read_manifest(path)


def test_a_manifest_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot read weights manifest .*no such file or directory"
    ):
        read_manifest(tmp_path / "manifest.json")
