"""Names to files, weights to networks, and what every file in cfg/ must be."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from yolo_gp import zoo
from yolo_gp.adjusting.classes import with_classes
from yolo_gp.analysis.conventions import counts
from yolo_gp.cache import ModelCache
from yolo_gp.errors import DataError, UsageError, WeightsError
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.weights.checkpoint_info import read_info
from yolo_gp.weights.manifest import ManifestFile, ManifestModel
from yolo_gp.zoo import (
    DEFAULT_WEIGHTS,
    cfg_of,
    find_card,
    find_cfg,
    find_listed,
    find_pretrained,
    find_weights,
    model_cards,
    open_cache,
    packaged_cfgs,
    packaged_weights,
    pretrained_models,
)


@pytest.mark.parametrize("name", packaged_cfgs())
def test_a_packaged_cfg_compiles_without_one_diagnostic(name: str) -> None:
    assert read_graph(packaged_cfgs()[name], strict=True).warnings == ()


@pytest.mark.parametrize("name", model_cards())
def test_a_model_comes_out_as_its_card_says(name: str) -> None:
    card = model_cards()[name]
    graph = read_graph(cfg_of(card))
    found = {**dataclasses.asdict(counts(graph)), "params": graph.total.params}
    found["macs"] = graph.total.macs
    for key, expected in dataclasses.asdict(card.expected).items():
        assert expected in (None, found[key]), key
    assert graph.input_shape.size == card.input_size
    heads = {head.num_classes for _, head in graph.heads}
    assert (heads or {graph.nodes[-1].output_shape.elements}) == {card.classes}
    assert card.weights is None or card.weights in pretrained_models()


@pytest.mark.parametrize("name", packaged_weights())
def test_packaged_weights_are_small_and_know_what_their_card_says(name: str) -> None:
    weights = packaged_weights()[name]
    assert weights.path.stat().st_size < 2_000_000
    info = read_info(weights.path)
    with safe_open(weights.path, "numpy") as file:
        dtypes = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
    assert dtypes == {"F16"}
    path = cfg_of(weights.card)
    own = with_classes(path.read_bytes(), read_graph(path).spec, len(info.class_names))
    assert compile_text(own, path.name).fingerprint == info.fingerprint
    assert all(class_name in weights.knows for class_name in info.class_names)


def test_the_default_weights_are_packaged() -> None:
    assert DEFAULT_WEIGHTS in packaged_weights()


def test_every_packaged_cfg_has_a_card() -> None:
    assert {Path(card.cfg).stem for card in model_cards().values()} == set(packaged_cfgs())


def test_a_path_goes_before_a_packaged_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_cfg("elan-nano.cfg") == packaged_cfgs()["elan-nano"]
    (tmp_path / "elan-nano.cfg").write_text("[net]")
    assert find_cfg("elan-nano.cfg") == Path("elan-nano.cfg")


def test_a_packaged_name_with_a_folder_in_front_is_not_the_packaged_file() -> None:
    with pytest.raises(UsageError, match=r"there is no cfg other/elan-nano.cfg"):
        find_cfg("other/elan-nano.cfg")


# -- pretrained models -----------------------------------------------------------------------------

# A 1x1 convolution of 3 channels to 7, and a head of 2 classes: 7 + 3 x 7 = 28 floats, 132 bytes.
NET = """[net]
width=8
height=8
channels=3
[convolutional]
filters=7
size=1
activation=linear
[yolo]
mask=0
anchors=4,4
num=1
classes=2
"""
WEIGHTS = bytes((0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0)) + bytes(8 + 4 * 28)


def a_file(name: str, data: bytes) -> ManifestFile:
    return ManifestFile(
        name=name,
        format="cfg" if name.endswith(".cfg") else "darknet",
        urls=(f"https://example.invalid/{name}",),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        sha1=None,
        licence="MIT",
        source="https://example.invalid",
    )


def a_model(name: str, *files: ManifestFile, fingerprint: str | None = None) -> ManifestModel:
    return ManifestModel(name, f"{name}.cfg", fingerprint, None, "two", ("a", "b"), (), files)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCache:
    """A zoo of two models, net with a cfg of its own and far of a packaged one; and a mirror."""
    files = {"net/net.cfg": NET.encode(), "net/net.weights": WEIGHTS, "far/far.weights": WEIGHTS}
    for name, data in files.items():
        path = tmp_path / "mirror" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    net = a_model("net", a_file("net.cfg", NET.encode()), a_file("net.weights", WEIGHTS))
    far_cfg = NET.replace("anchors=4,4", "anchors=8,8")
    print_of_far = compile_text(far_cfg, "far.cfg").fingerprint
    far = a_model("far", a_file("far.weights", WEIGHTS), fingerprint=print_of_far)
    monkeypatch.setattr(zoo, "pretrained_models", lambda: {"net": net, "far": far})
    mirror = (tmp_path / "mirror").as_uri()
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg/far.cfg").write_text(far_cfg)
    return ModelCache(home=tmp_path / "home", cfg_folder=tmp_path / "cfg", mirror=mirror)


@pytest.mark.parametrize("name", ["net", "net.cfg", "NET"])
def test_a_pretrained_models_own_cfg_is_pulled_by_its_name(cache: ModelCache, name: str) -> None:
    path = find_cfg(name, cache)
    assert path == cache.home / "models/net/net.cfg"
    assert path.read_text() == NET
    assert [file.name for file in path.parent.iterdir()] == ["net.cfg"]


def test_a_cached_cfg_is_found_offline(cache: ModelCache) -> None:
    offline = dataclasses.replace(cache, offline=True)
    with pytest.raises(WeightsError, match=r"^net\.cfg of net is not in the cache, and nothing is"):
        find_cfg("net", offline)
    path = find_cfg("net", cache)
    assert find_cfg("net", offline) == path


def test_a_pretrained_model_may_have_a_packaged_cfg(cache: ModelCache, tmp_path: Path) -> None:
    assert find_cfg("far", cache) == tmp_path / "cfg/far.cfg"


def test_a_path_and_a_packaged_name_need_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise AssertionError("the manifest was read")

    monkeypatch.setattr(zoo, "pretrained_models", broken)
    monkeypatch.setattr(zoo, "open_cache", broken)
    assert find_cfg("elan") == packaged_cfgs()["elan"]
    (tmp_path / "own.cfg").write_text(NET)
    assert find_cfg(str(tmp_path / "own.cfg")) == tmp_path / "own.cfg"


def test_an_unknown_cfg_is_told_the_close_names_of_pretrained_models_too(
    cache: ModelCache,
) -> None:
    with pytest.raises(UsageError) as caught:
        find_cfg("nett", cache)
    text = str(caught.value)
    assert text.startswith("there is no cfg nett\nexpected: the path of a cfg file, or one that")
    assert text.endswith("; or a pretrained model: net, far\nhelp: did you mean net?")


def test_a_folder_is_no_cfg(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder\nexpected: a cfg file$"):
        find_cfg(str(tmp_path))


def test_weights_of_the_cfgs_name_are_taken_first(cache: ModelCache) -> None:
    # The same network as far's, by its anchors; but called net, and net's weights fit it too.
    graph = read_graph(find_cfg("far", cache))
    found = find_weights(graph, Path("elsewhere/Net.cfg"), cache)
    assert (found.model.name, found.reason) == ("net", "same name")
    assert found.path == cache.home / "models/net/net.weights"
    assert found.path.read_bytes() == WEIGHTS


def test_the_network_decides_where_the_namesakes_is_known_to_be_another(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = zoo.pretrained_models()
    known = dataclasses.replace(models["net"], fingerprint=compile_text(NET, "").fingerprint)
    monkeypatch.setattr(zoo, "pretrained_models", lambda: {**models, "net": known})
    found = find_weights(read_graph(find_cfg("far", cache)), Path("net.cfg"), cache)
    assert (found.model.name, found.reason) == ("far", "same network")
    other_anchors = compile_text(NET.replace("anchors=4,4", "anchors=5,5"), "net.cfg")
    found = find_weights(other_anchors, Path("net.cfg"), cache)
    assert (found.model.name, found.reason) == ("net", "same name")


def test_weights_of_the_same_network_are_taken_under_another_name(cache: ModelCache) -> None:
    text = NET.replace("anchors=4,4", "anchors=8,8").replace("width=8", "width=16")
    found = find_weights(compile_text(text, "mine.cfg"), Path("mine.cfg"), cache)
    assert (found.model.name, found.reason) == ("far", "same network")
    assert found.path.read_bytes() == WEIGHTS


def test_cached_weights_are_found_offline(cache: ModelCache) -> None:
    graph, offline = compile_text(NET, "net.cfg"), dataclasses.replace(cache, offline=True)
    with pytest.raises(
        WeightsError, match=r"^net\.weights of net is not in the cache, and nothing"
    ):
        find_weights(graph, Path("net.cfg"), offline)
    path = find_weights(graph, Path("net.cfg"), cache).path
    assert find_weights(graph, Path("net.cfg"), offline).path == path


def test_a_network_without_pretrained_weights_is_an_error(cache: ModelCache) -> None:
    graph = compile_text(NET.replace("activation=linear", "activation=mish"), "mine.cfg")
    with pytest.raises(WeightsError) as caught:
        find_weights(graph, Path("mine.cfg"), cache)
    assert str(caught.value) == (
        "there are no pretrained weights for mine.cfg\n"
        "expected: --weights FILE with weights that were made for this cfg\n"
        "help: `yolo-gp zoo list` names what can be had; --random-weights tries a network out "
        "untrained"
    )


def test_a_namesake_of_another_network_is_not_taken_and_the_difference_told(
    cache: ModelCache,
) -> None:
    # 3 classes: 8 filters, so 8 + 3 x 8 = 32 floats, 20 + 128 bytes.
    text = NET.replace("filters=7", "filters=8").replace("classes=2", "classes=3")
    with pytest.raises(WeightsError) as caught:
        find_weights(compile_text(text, "net.cfg"), Path("net.cfg"), cache)
    assert (
        "the pretrained net is another network: its weights file has 132 bytes, one for this cfg "
        "148; it tells 2 classes apart, this cfg 3\nexpected: --weights FILE"
    ) in str(caught.value)


def test_yolov7s_weights_belong_to_elan() -> None:
    models = pretrained_models()
    for cfg, name in (("elan", "yolov7"), ("elan-tiny", "yolov7-tiny")):
        fingerprint = read_graph(packaged_cfgs()[cfg]).fingerprint
        assert [m.name for m in models.values() if m.fingerprint == fingerprint] == [name]


def test_a_pretrained_model_is_found_by_its_name_or_by_its_cards() -> None:
    assert find_pretrained("YOLOv7").name == find_pretrained("elan").name == "yolov7"
    assert find_listed("yolov7").card is None
    with pytest.raises(
        UsageError, match=r"^there are no pretrained weights of elan-nano\nexpected"
    ):
        find_pretrained("elan-nano")
    with pytest.raises(
        UsageError, match=r"there is no model yolov77 .*\n.*\nhelp: did you mean yolov7"
    ):
        find_pretrained("yolov77")


def test_real_models_are_pulled_from_a_mirror_and_found_by_the_environment(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "yolo-fastest-1.1"
    (tmp_path / "mirror" / name).mkdir(parents=True)
    for suffix in (".cfg", ".weights"):
        shutil.copy(shared / f"data/models/{name}{suffix}", tmp_path / "mirror" / name)
    monkeypatch.setenv("YOLO_GP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("YOLO_GP_MIRROR", (tmp_path / "mirror").as_uri())
    cfg = find_cfg(name)
    found = find_weights(read_graph(cfg), cfg)
    assert (found.model.name, found.reason) == (name, "same name")
    assert found.path.read_bytes() == (shared / f"data/models/{name}.weights").read_bytes()
    assert len(found.model.class_names) == 80
    monkeypatch.setenv("YOLO_GP_OFFLINE", "1")
    assert open_cache().offline
    assert find_cfg(name) == cfg


def test_names_are_looked_up_without_loading_what_only_downloads_need() -> None:
    code = (
        "import sys, yolo_gp.zoo; print([m for m in ('requests', 'filelock') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n"


# -- cards -----------------------------------------------------------------------------------------

CARD = """name = "NAME"
cfg = "CFG"
description = "a model"
classes = 1
input_size = [8, 8]
status = "exact"
recipe = "none"
[expected]
params = 1
macs = 1
"""


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of our own: the folder for its cards."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "cfg").mkdir()
    monkeypatch.setattr(zoo, "data_root", lambda: tmp_path)
    return tmp_path / "zoo"


def test_two_cards_of_one_name_are_an_error(cards: Path) -> None:
    for file in ("a.toml", "b.toml"):
        (cards / file).write_text(CARD.replace("NAME", "tiny"))
    with pytest.raises(DataError, match=r"b\.toml: name = \"tiny\" is another card's name too$"):
        model_cards()


def test_an_unknown_model_is_a_usage_error_with_a_suggestion(cards: Path) -> None:
    (cards / "tiny.toml").write_text(CARD.replace("NAME", "tiny-net"))
    with pytest.raises(UsageError) as caught:
        find_card("tiny-nett")
    assert str(caught.value) == (
        "there is no model tiny-nett in the zoo\n"
        "expected: a name that `yolo-gp zoo list` prints\nhelp: did you mean tiny-net?"
    )


def test_a_card_whose_cfg_is_not_there_is_an_error_once_it_is_needed(cards: Path) -> None:
    (cards / "tiny.toml").write_text(CARD.replace("NAME", "tiny").replace("CFG", "gone.cfg"))
    card = find_card("tiny")
    with pytest.raises(DataError) as caught:
        cfg_of(card)
    assert str(caught.value) == 'the card of tiny says cfg = "gone.cfg", which cfg/ has not'
