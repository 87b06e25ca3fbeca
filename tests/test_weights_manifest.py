"""What weights_manifest.json says: against its schema, the cfgs, and the files that are at hand."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from yolo_gp.graph import Graph, read_graph
from yolo_gp.weights.layout import float_count
from yolo_gp.zoo import model_cards, packaged_cfgs

PROJECT = Path(__file__).parent.parent
SCHEMA = json.loads((PROJECT / "docs/weights_manifest.schema.json").read_text(encoding="utf-8"))
MANIFEST = json.loads((PROJECT / "weights_manifest.json").read_text(encoding="utf-8"))
MODELS: dict[str, dict[str, Any]] = {model["name"]: model for model in MANIFEST["models"]}
PULLED = {name for name, model in MODELS.items() if len(model["files"]) == 2}
"""Models whose cfg is another project's, and comes with their weights."""

RELEASED_BYTES = {
    # darknet.md section 8: as Darknet writes the networks of its own cfg files
    "yolov3": 248007048,
    "yolov3-tiny": 35434956,
    "yolov3-spp": 252209544,
    "yolov4": 257717640,
    "yolov4-tiny": 24251276,
    "yolov4-csp": 211944840,
    "yolov4-csp-swish": 211944840,
    "yolov4x-mish": 399388168,
    "yolov7-tiny": 24967560,
    "yolov7": 147898248,
    "yolov7x": 285638760,
    "yolov3-tiny-prn": 19759052,
}
HEADER = 20  # bytes: three int32 of version, an int64 of images seen


def file_of(name: str, suffix: str) -> dict[str, Any]:
    """The entry for `name`.cfg or `name`.weights."""
    (found,) = [file for file in MODELS[name]["files"] if file["name"].endswith(suffix)]
    return dict(found)


def packaged_graph(name: str) -> Graph:
    return read_graph(packaged_cfgs()[Path(MODELS[name]["cfg"]).stem])


# -- the schema ------------------------------------------------------------------------------------


def test_the_manifest_keeps_to_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(MANIFEST, SCHEMA, jsonschema.Draft202012Validator)
    assert (PROJECT / MANIFEST["$schema"]).is_file()


Edit = Callable[[dict[str, Any]], object]
LEAST: dict[str, Any] = {
    "schema_version": 2,
    "class_lists": {"coco": ["person", "traffic light"]},
    "models": [
        {
            "name": "tiny",
            "cfg": "tiny.cfg",
            "fingerprint": None,
            "input_size": None,
            "classes": "coco",
            "published": [
                {"figure": "AP", "value": 1, "unit": "%", "data": "d", "size": None, "source": "s"}
            ],
            "files": [
                {
                    "name": "tiny.cfg",
                    "format": "cfg",
                    "urls": ["https://example.org/tiny.cfg"],
                    "bytes": None,
                    "sha256": "0" * 64,
                    "licence": "MIT",
                    "source": "https://example.org",
                },
                {
                    "name": "tiny.weights",
                    "format": "darknet",
                    "urls": ["https://example.org/tiny.weights"],
                    "bytes": 20,
                    "sha256": None,
                    "licence": "MIT",
                    "source": "https://example.org",
                },
            ],
        }
    ],
}


def model(**changes: object) -> Edit:
    return lambda manifest: manifest["models"][0].update(changes)


def cfg(**changes: object) -> Edit:
    return lambda manifest: manifest["models"][0]["files"][0].update(changes)


def weights(**changes: object) -> Edit:
    return lambda manifest: manifest["models"][0]["files"][1].update(changes)


def figure(**changes: object) -> Edit:
    return lambda manifest: manifest["models"][0]["published"][0].update(changes)


def without(key: str) -> Edit:
    return lambda manifest: manifest["models"][0]["files"][1].pop(key)


def twice(position: int) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        files = manifest["models"][0]["files"]
        files.append(copy.deepcopy(files[position]))

    return edit


FILE, FILES, FIGURE = "$.models[0].files[1]", "$.models[0].files", "$.models[0].published[0]"
REJECTED: list[tuple[str, Edit]] = [
    ("$.schema_version", lambda manifest: manifest.update(schema_version=1)),
    ("$", lambda manifest: manifest.update(mirrors=[])),
    ("$.class_lists", lambda manifest: manifest["class_lists"].update({"CO CO": ["person"]})),
    ("$.class_lists.coco", lambda manifest: manifest["class_lists"].update(coco=[])),
    ("$.class_lists.coco[0]", lambda manifest: manifest["class_lists"].update(coco=["person "])),
    ("$.class_lists.coco", lambda manifest: manifest["class_lists"].update(coco=["a", "a"])),
    ("$.models", lambda manifest: manifest.update(models=[])),
    ("$.models[0]", model(licence="MIT")),
    ("$.models[0]", lambda manifest: manifest["models"][0].pop("fingerprint")),
    ("$.models[0].name", model(name="Tiny")),
    ("$.models[0].name", model(name="ti..ny")),
    ("$.models[0].name", model(name="../tiny")),
    ("$.models[0].name", model(name=".tiny")),
    ("$.models[0].name", model(name="a" * 101)),
    ("$.models[0].cfg", model(cfg="cfg/tiny.cfg")),
    ("$.models[0].cfg", model(cfg="tiny.txt")),
    ("$.models[0].fingerprint", model(fingerprint="0" * 63)),
    ("$.models[0].input_size", model(input_size=[416])),
    ("$.models[0].input_size[1]", model(input_size=[416, 0])),
    ("$.models[0].classes", model(classes="")),
    (FILES, twice(0)),
    (FILES, twice(1)),
    (FILES, lambda manifest: manifest["models"][0]["files"].pop()),
    (FILE, weights(size=20)),
    (FILE, without("licence")),
    (FILE, without("sha256")),
    (f"{FILE}.name", weights(name="a\\b.weights")),
    (f"{FILE}.name", weights(name="tiny.pt")),
    (f"{FILE}.format", weights(format="onnx")),
    (f"{FILE}.urls", weights(urls=[])),
    (f"{FILE}.urls[0]", weights(urls=["http://example.org/tiny.weights"])),
    (f"{FILE}.urls[0]", weights(urls=["https://example.org/tiny weights"])),
    (f"{FILE}.urls[0]", weights(urls=["https://example.org/tiny.weights?token=1"])),
    (f"{FILE}.urls[0]", weights(urls=["https://user@example.org/tiny.weights"])),
    (f"{FILE}.urls", weights(urls=["https://example.org/a", "https://example.org/a"])),
    (f"{FILE}.bytes", weights(bytes=0)),
    (f"{FILE}.bytes", weights(bytes=None)),
    (f"{FILE}.sha256", weights(sha256="A" * 64)),
    (f"{FILE}.sha1", weights(sha1="0" * 41)),
    (f"{FILE}.licence", weights(licence="")),
    (f"{FILE}.source", weights(source="example.org")),
    ("$.models[0].files[0].sha256", cfg(sha256=None)),
    ("$.models[0].files[0].name", cfg(name="tiny.txt")),
    (FIGURE, figure(note="rounded")),
    (f"{FIGURE}.figure", figure(figure="mAP")),
    (f"{FIGURE}.value", figure(value=100.5)),
    (f"{FIGURE}.value", figure(value=0)),
    (f"{FIGURE}.unit", figure(unit="percent")),
    (f"{FIGURE}.data", figure(data="")),
    (f"{FIGURE}.source", figure(source="")),
]


@pytest.mark.parametrize(("path", "edit"), REJECTED)
def test_the_schema_rejects_a_wrong_manifest_at_its_fault(path: str, edit: Edit) -> None:
    manifest = copy.deepcopy(LEAST)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(manifest)
    edit(manifest)
    assert path in {error.json_path for error in validator.iter_errors(manifest)}


# -- the entries -----------------------------------------------------------------------------------


def test_names_are_unique_and_those_of_their_files() -> None:
    assert len({name.lower() for name in MODELS}) == len(MANIFEST["models"])
    for name, entry in MODELS.items():
        suffixes = (".cfg", ".weights") if name in PULLED else (".weights",)
        assert [file["name"] for file in entry["files"]] == [name + end for end in suffixes]


def test_an_address_names_the_file_that_it_is_for() -> None:
    for entry in MODELS.values():
        for file in entry["files"]:
            for url in map(urlsplit, file["urls"]):
                assert url.scheme == "https"
                assert PurePosixPath(url.path).name.lower() == file["name"]


@pytest.mark.parametrize(
    ("classes", "count"), [("coco", 80), ("voc", 20), ("face", 1), ("body", 1)]
)
def test_a_class_list_is_complete(classes: str, count: int) -> None:
    assert len(MANIFEST["class_lists"][classes]) == count
    assert {entry["classes"] for entry in MODELS.values()} <= set(MANIFEST["class_lists"])


@pytest.mark.parametrize("name", sorted(set(MODELS) - PULLED))
def test_a_release_fits_the_packaged_cfg(name: str) -> None:
    graph = packaged_graph(name)
    assert MODELS[name]["fingerprint"] == graph.fingerprint
    assert file_of(name, ".weights")["bytes"] == HEADER + 4 * float_count(graph)
    classes = {head.num_classes for _, head in graph.heads}
    assert classes == {len(MANIFEST["class_lists"][MODELS[name]["classes"]])}


def test_a_release_is_as_long_as_darknet_writes_it() -> None:
    found = {name: file_of(name, ".weights")["bytes"] for name in set(MODELS) - PULLED}
    assert found == RELEASED_BYTES


@pytest.mark.parametrize("name", sorted(PULLED))
def test_a_cfg_that_is_pulled_is_no_packaged_one(name: str) -> None:
    assert MODELS[name]["cfg"] == file_of(name, ".cfg")["name"]
    assert Path(MODELS[name]["cfg"]).stem not in packaged_cfgs()


def test_the_card_of_a_release_names_it() -> None:
    named = {card.weights: card.cfg for card in model_cards().values() if card.weights}
    assert named == {name: MODELS[name]["cfg"] for name in set(MODELS) - PULLED}


@pytest.mark.parametrize("name", RELEASED_BYTES)
def test_a_release_is_of_the_network_that_was_published(shared: Path, name: str) -> None:
    published = read_graph(shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg")
    assert tuple(MODELS[name]["input_size"]) == published.input_shape.size
    assert file_of(name, ".weights")["bytes"] == HEADER + 4 * float_count(published)
    # Ours of v3-tiny-PRN has [partial_shortcut], which counts as another kind than [shortcut].
    same = MODELS[name]["fingerprint"] == published.fingerprint
    assert same or name == "yolov3-tiny-prn"


# -- the files at hand -----------------------------------------------------------------------------

_COLUMNS = r"(\S+) \| (\S+) \| (\S+) \| ([^|]+?) \| (\d+) \| ([0-9a-f]{64}) \| ([0-9a-f]{64})"


def test_every_model_of_the_list_of_sources_is_there_as_it_stands(shared: Path) -> None:
    text = (shared / "data/models/SOURCES.md").read_text(encoding="utf-8")
    commits = dict(re.findall(r"^\* (\S+) at `([0-9a-f]{40})`", text, re.MULTILINE))
    rows = re.findall(rf"^\| {_COLUMNS} \|", text, re.MULTILINE)
    assert {row[0] for row in rows} == PULLED
    for name, repository, path, _, length, weights_hash, cfg_hash in rows:
        address = "https://raw.githubusercontent.com/" + "/".join(
            (repository, commits[repository], path)
        )
        for suffix, digest in ((".weights", weights_hash), (".cfg", cfg_hash)):
            file = file_of(name, suffix)
            assert (file["urls"][0], file["sha256"]) == (address + suffix, digest)
            assert file["source"] == f"https://github.com/{repository}"
        assert file_of(name, ".weights")["bytes"] == int(length)


def test_every_release_of_the_list_of_sources_has_the_address_that_stands_there(
    shared: Path,
) -> None:
    text = (shared / "data/models/SOURCES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S[^|]*) \| (https://\S+)[^|]* \| ([^|]*) ?\|$", text, re.MULTILINE)
    assert len(rows) == 8
    for names, address, digest in rows:
        for name in re.sub(r"\(.*\)", "", names).split(","):
            file = file_of(name.strip(), ".weights")
            assert address.replace("NAME", name.strip()) == file["urls"][0]
            assert digest.strip() in ("", f"sha1 {file.get('sha1')}")


AT_HAND = [
    "yolo-fastest-1.1",
    "yolo-fastest-1.1-xl",
    "mobilenetv2-yolov3-nano-coco",
    "mobilenetv2-yolo-fastest-voc",
    "yoloface-50k",
]


@pytest.mark.parametrize("name", AT_HAND)
def test_a_file_at_hand_has_the_bytes_that_the_manifest_says(shared: Path, name: str) -> None:
    for suffix in (".cfg", ".weights"):
        data = (shared / f"data/models/{name}{suffix}").read_bytes()
        file = file_of(name, suffix)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])


@pytest.mark.parametrize("name", AT_HAND)
def test_a_cfg_at_hand_has_the_network_that_the_manifest_says(shared: Path, name: str) -> None:
    graph = read_graph(shared / f"data/models/{name}.cfg")
    entry = MODELS[name]
    assert entry["fingerprint"] == graph.fingerprint
    assert tuple(entry["input_size"]) == graph.input_shape.size
    assert file_of(name, ".weights")["bytes"] == HEADER + 4 * float_count(graph)
    names = (shared / f"data/models/{entry['classes']}.names").read_text().split("\n")
    assert MANIFEST["class_lists"][entry["classes"]] == [line for line in names if line]


def test_a_fingerprint_is_given_for_every_cfg_that_was_seen() -> None:
    unseen = {name for name, entry in MODELS.items() if entry["fingerprint"] is None}
    assert unseen == PULLED - set(AT_HAND)
