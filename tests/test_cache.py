"""The folder of pretrained models: pulled, pinned, verified, added by hand, removed."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import random
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from yolo_gp.cache import (
    FileState,
    ModelCache,
    add_file,
    cache_from_environment,
    check_model,
    stray_files,
)
from yolo_gp.download import DownloadSettings, Silent
from yolo_gp.errors import DataError, UsageError, WeightsError
from yolo_gp.weights.manifest import ManifestFile, ManifestModel

from .file_server import FileServer, content, status

# One 1x1 convolution of 3 channels to 2: 2 biases and 2 x 3 weights are 8 floats, 32 bytes.
CFG = b"""[net]
width=8
height=8
channels=3
[convolutional]
filters=2
size=1
activation=linear
"""
HEADER = struct.pack("<iiiq", 0, 2, 5, 64)  # 20 bytes
WEIGHTS = HEADER + struct.pack("<8f", *range(8))
OLD_WEIGHTS = struct.pack("<iiii", 0, 1, 0, 64) + WEIGHTS[20:]  # 16 bytes of header
OTHER_WEIGHTS = HEADER + struct.pack("<8f", *range(8, 16))
PAGE = b"<html>gone</html>"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Notes(Silent):
    """Keeps what the user would be told."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def note(self, message: str) -> None:
        self.kept.append(message)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().running() as running:
        yield running


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def cache(tmp_path: Path, notes: Notes) -> ModelCache:
    """An empty cache, and cfg/tiny.cfg beside it."""
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg/tiny.cfg").write_bytes(CFG)
    return ModelCache(
        home=tmp_path / "home",
        cfg_folder=tmp_path / "cfg",
        progress=notes,
        settings=DownloadSettings(sleep=lambda seconds: None),
    )


def changed(cache: ModelCache, **how: object) -> ModelCache:
    return dataclasses.replace(cache, **how)  # type: ignore[arg-type]


def a_file(
    name: str,
    url: str,
    *,
    sha256: str | None = None,
    sha1: str | None = None,
    size: int | None = None,
) -> ManifestFile:
    kind = "cfg" if name.endswith(".cfg") else "darknet"
    return ManifestFile(
        name,
        kind,
        (url,),
        size,
        sha256,
        sha1,
        "MIT",
        "https://example.org",  # type: ignore[arg-type]
    )


def a_model(*files: ManifestFile, name: str = "tiny", cfg: str = "tiny.cfg") -> ManifestModel:
    return ManifestModel(name, cfg, None, (8, 8), "one", ("thing",), (), files)


def hashed(server: FileServer, name: str = "tiny") -> ManifestModel:
    """A model with a cfg of its own and published hashes; served."""
    cfg_url = server.serve(f"/{name}.cfg", content(CFG))
    url = server.serve(f"/{name}.weights", content(WEIGHTS))
    return a_model(
        a_file(f"{name}.weights", url, sha256=sha256(WEIGHTS), size=len(WEIGHTS)),
        a_file(f"{name}.cfg", cfg_url, sha256=sha256(CFG), size=len(CFG)),
        name=name,
        cfg=f"{name}.cfg",
    )


def unhashed(server: FileServer, body: bytes = WEIGHTS, name: str = "tiny") -> ManifestModel:
    """A model of the packaged cfg whose publisher gives neither size nor hash; served."""
    url = server.serve(f"/{name}.weights", content(body))
    return a_model(a_file(f"{name}.weights", url), name=name)


def stored(cache: ModelCache) -> dict[str, bytes]:
    """What has a final name in the cache."""
    found = [path for path in cache.models_folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(cache.models_folder)): path.read_bytes()
        for path in found
        if ".part" not in path.name
    }


# -- pulling ---------------------------------------------------------------------------------------


def test_a_model_and_its_cfg_are_pulled_into_one_folder(
    cache: ModelCache, server: FileServer, notes: Notes
) -> None:
    model = hashed(server)
    assert not cache.holds_all(model)
    paths = cache.pull(model)
    assert [path.relative_to(cache.home).as_posix() for path in paths] == [
        "models/tiny/tiny.cfg",
        "models/tiny/tiny.weights",
    ]
    assert stored(cache) == {"tiny/tiny.cfg": CFG, "tiny/tiny.weights": WEIGHTS}
    assert cache.holds_all(model)
    assert notes.kept == []


def test_what_is_here_is_not_fetched_again(cache: ModelCache, server: FileServer) -> None:
    model = hashed(server)
    cache.pull(model)
    server.asked.clear()
    cache.pull(model)
    assert cache.weights(model).read_bytes() == WEIGHTS
    assert cache.cfg(model).read_bytes() == CFG
    assert server.asked == []


def test_a_damaged_file_is_pulled_again_and_the_user_is_told(
    cache: ModelCache, server: FileServer, notes: Notes
) -> None:
    model = hashed(server)
    cache.pull(model)
    path = cache.path(model, model.weights)
    path.write_bytes(OTHER_WEIGHTS)
    cache.pull(model)
    assert path.read_bytes() == WEIGHTS
    assert notes.kept == [
        f"{path} is damaged: its sha256 is {sha256(OTHER_WEIGHTS)}, not {sha256(WEIGHTS)}"
    ]


def test_a_damaged_file_does_not_keep_its_name_if_it_cannot_be_replaced(
    cache: ModelCache, server: FileServer
) -> None:
    model = hashed(server)
    cache.pull(model)
    cache.path(model, model.weights).write_bytes(OTHER_WEIGHTS)
    server.serve("/tiny.weights", status(404))
    with pytest.raises(WeightsError):
        cache.pull(model)
    assert stored(cache) == {"tiny/tiny.cfg": CFG}


def test_a_file_of_the_wrong_length_is_not_taken_for_the_weights(
    cache: ModelCache, server: FileServer
) -> None:
    model = hashed(server)
    path = cache.path(model, model.weights)
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS[:-1])
    assert cache.weights(model).read_bytes() == WEIGHTS


def test_a_failure_says_what_to_fetch_by_hand_and_where_it_goes(
    cache: ModelCache, server: FileServer
) -> None:
    model = hashed(server)
    url = server.serve("/tiny.weights", status(404))
    with pytest.raises(WeightsError) as caught:
        cache.pull(model)
    assert str(caught.value) == (
        f"cannot fetch tiny.weights\n  {url}\n    it answers 404 Not Found\n"
        f"help: fetch by hand\n  tiny.weights: 52 bytes, sha256 {sha256(WEIGHTS)}\n  {url}\n"
        "and run `yolo-gp zoo add FILE`: it is checked and put into "
        f"{cache.home}/models/tiny"
    )


def test_a_failure_names_every_file_that_is_still_missing(
    cache: ModelCache, server: FileServer
) -> None:
    model = hashed(server)
    url = server.serve("/tiny.cfg", status(404))
    with pytest.raises(WeightsError) as caught:
        cache.pull(model)
    assert str(caught.value).endswith(
        f"help: fetch by hand\n  tiny.cfg: {len(CFG)} bytes, sha256 {sha256(CFG)}\n  {url}\n"
        f"  tiny.weights: 52 bytes, sha256 {sha256(WEIGHTS)}\n  {model.weights.urls[0]}\n"
        "and run `yolo-gp zoo add FILE` on each: it is checked and put into "
        f"{cache.home}/models/tiny"
    )


def test_offline_nothing_is_fetched(cache: ModelCache, server: FileServer) -> None:
    model = hashed(server)
    offline = changed(cache, offline=True, mirror=f"{server.url}/mirror")
    with pytest.raises(WeightsError) as caught:
        offline.weights(model)
    assert str(caught.value) == (
        "tiny.weights of tiny is not in the cache, and nothing is fetched offline\n"
        f"help: fetch by hand\n  tiny.weights: 52 bytes, sha256 {sha256(WEIGHTS)}\n"
        f"  {model.weights.urls[0]}\n"
        "and run `yolo-gp zoo add FILE`: it is checked and put into "
        f"{cache.home}/models/tiny"
    )
    assert server.asked == []
    cache.pull(model)
    server.asked.clear()
    assert offline.weights(model).read_bytes() == WEIGHTS
    assert server.asked == []


def test_a_mirror_is_asked_first(cache: ModelCache, server: FileServer) -> None:
    model = hashed(server)
    server.serve("/mirror/tiny/tiny.weights", content(WEIGHTS))
    cache = changed(cache, mirror=f"{server.url}/mirror/")
    assert cache.weights(model).read_bytes() == WEIGHTS
    assert [path for path, _ in server.asked] == ["/mirror/tiny/tiny.weights"]


def test_a_mirror_that_has_not_the_file_is_passed_over(
    cache: ModelCache, server: FileServer, notes: Notes, tmp_path: Path
) -> None:
    model = hashed(server)
    cache = changed(cache, mirror=(tmp_path / "mirror").as_uri())
    assert cache.weights(model).read_bytes() == WEIGHTS
    assert notes.kept == [
        f"{(tmp_path / 'mirror').as_uri()}/tiny/tiny.weights: no such file or directory; "
        f"trying {model.weights.urls[0]}"
    ]


def test_a_folder_is_a_mirror(cache: ModelCache, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "mirror/tiny").mkdir(parents=True)
    (tmp_path / "mirror/tiny/tiny.weights").write_bytes(WEIGHTS)
    model = hashed(server)
    assert changed(cache, mirror=(tmp_path / "mirror").as_uri()).weights(model).exists()
    assert server.asked == []


@pytest.mark.parametrize("name", ["..", "../tiny", "a/b", "/etc"])
def test_a_model_or_file_whose_name_leads_elsewhere_is_refused(
    cache: ModelCache, server: FileServer, name: str
) -> None:
    with pytest.raises(UsageError, match=f'"{re.escape(name)}" is no model\'s name\nexpected: '):
        cache.pull(a_model(a_file("tiny.weights", server.url), name=name))
    with pytest.raises(UsageError, match=f'"{re.escape(name)}" is no name for a file of tiny'):
        cache.pull(a_model(a_file(name, server.url)))
    with pytest.raises(UsageError):
        cache.remove(name)
    assert not cache.home.exists()


def test_a_cfg_that_is_not_packaged_is_an_error(cache: ModelCache, server: FileServer) -> None:
    model = a_model(a_file("tiny.weights", server.url), cfg="gone.cfg")
    with pytest.raises(DataError) as caught:
        cache.cfg(model)
    assert str(caught.value) == (
        'the weights manifest says cfg = "gone.cfg" for tiny, which cfg/ has not'
    )


PULL = """
import sys
from pathlib import Path
from yolo_gp.cache import ModelCache
from yolo_gp.download import Silent
from yolo_gp.weights.manifest import ManifestFile, ManifestModel
class Printed(Silent):
    def note(self, message):
        print(message, flush=True)
home, url, sha256, size = sys.argv[1:]
file = ManifestFile("big.weights", "darknet", (url,), int(size), sha256, None, "MIT", "here")
model = ManifestModel("big", "big.cfg", None, None, "one", ("thing",), (), (file,))
cache = ModelCache(home=Path(home), cfg_folder=Path(home), progress=Printed())
print(cache.pull(model)[0].stat().st_size)
"""


def test_two_processes_that_pull_the_same_file_fetch_it_once(
    cache: ModelCache, server: FileServer
) -> None:
    body = random.Random(0).randbytes(300_000)
    half_sent, both_run = threading.Event(), threading.Event()

    def pause() -> None:
        half_sent.set()
        both_run.wait()

    url = server.serve("/big.weights", content(body, pause=pause))
    command = [sys.executable, "-c", PULL, str(cache.home), url, sha256(body), str(len(body))]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(both_run.set)
        assert half_sent.wait(60)
        second = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(both_run.set)  # before anybody waits for the second
        assert second.stdout is not None and first.stdout is not None
        assert second.stdout.readline() == "another process is busy with big; waiting\n"
        assert stored(cache) == {}
        both_run.set()
        assert (first.stdout.read(), second.stdout.read()) == ("300000\n", "300000\n")
    assert stored(cache) == {"big/big.weights": body}
    assert server.sent["/big.weights"] == 300_000


def test_who_waits_for_another_process_is_told(cache: ModelCache, notes: Notes) -> None:
    code = (
        "import sys, filelock\n"
        "lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True)\n"
        "sys.stdin.readline(); lock.release()"
    )
    lock = cache.home / "locks/tiny.lock"
    lock.parent.mkdir(parents=True)
    command = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        release = holder.stdin

        def let_go(message: str) -> None:
            Notes.note(notes, message)
            release.write(b"\n")
            release.flush()

        notes.note = let_go  # type: ignore[method-assign]
        with cache.reserved("tiny"):
            pass
    assert notes.kept == ["another process is busy with tiny; waiting"]


def test_a_cache_that_cannot_be_made_is_an_error(cache: ModelCache, server: FileServer) -> None:
    cache.home.write_text("a file stands where the cache should be")
    with pytest.raises(WeightsError) as caught:
        cache.pull(hashed(server))
    assert str(caught.value) == (
        f"cannot use the cache in {cache.home}/models/tiny: not a directory\n"
        "help: set YOLO_GP_HOME to a folder that can be written"
    )


# -- files whose publisher gives no hash -----------------------------------------------------------


@pytest.mark.parametrize("body", [WEIGHTS, OLD_WEIGHTS], ids=["20 bytes", "16 bytes"])
def test_weights_of_the_exact_size_are_taken_and_their_hash_is_pinned(
    cache: ModelCache, server: FileServer, notes: Notes, body: bytes
) -> None:
    cache.pull(unhashed(server, body))
    assert stored(cache) == {"tiny/tiny.weights": body}
    pins = cache.home / "pins.json"
    assert json.loads(pins.read_text()) == {
        "schema_version": 1,
        "pins": {"tiny/tiny.weights": sha256(body)},
    }
    assert notes.kept == [
        "tiny.weights: its publisher gives no sha256; from now on it must have the one it has "
        f"today, {sha256(body)} (pinned in {pins})"
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (WEIGHTS[:-4], "it announces 48 bytes, not 52 or 48"),
        (WEIGHTS + b"\0" * 4, "it announces 56 bytes, not 52 or 48"),
        (PAGE, "it sends a web page, not the file"),
        (OLD_WEIGHTS[:16] + bytes(36), "it has 52 bytes, but its cfg asks for 48"),
        (struct.pack("<iiiq", 0, 11, 5, 0) + bytes(32), "it begins with version 0.11.5, which no"),
        (struct.pack("<iiiq", 1, 0, 0, 0) + bytes(32), "it begins with version 1.0.0, which no"),
        (struct.pack("<iiiq", 0, 2, 5, -1) + bytes(32), "more than anybody has"),
        (b"\xff" * 52, "starts with version -1.-1.-1, so it is no weights file"),
    ],
    ids=["short", "long", "page", "short header", "0.11", "1.0", "seen", "noise"],
)
def test_weights_of_another_size_or_with_a_strange_header_are_refused(
    cache: ModelCache, server: FileServer, body: bytes, reason: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        cache.pull(unhashed(server, body))
    if body == WEIGHTS[:-4]:  # 48 bytes are right for the shorter header, which it has not
        reason = "it has 48 bytes, but its cfg asks for 52"
    assert reason in str(caught.value)
    assert stored(cache) == {}
    assert not (cache.home / "pins.json").exists()


def test_a_pinned_file_must_stay_the_same(
    cache: ModelCache, server: FileServer, notes: Notes
) -> None:
    model = unhashed(server)
    cache.pull(model)
    cache.remove("tiny")
    server.serve("/tiny.weights", content(OTHER_WEIGHTS))
    with pytest.raises(WeightsError) as caught:
        cache.pull(model)
    assert f"its sha256 is {sha256(OTHER_WEIGHTS)}, not {sha256(WEIGHTS)}" in str(caught.value)
    pinned = f"sha256 {sha256(WEIGHTS)}, as first seen: {cache.home}/pins.json\n"
    assert pinned in str(caught.value)
    assert stored(cache) == {}
    server.serve("/tiny.weights", content(WEIGHTS))
    cache.pull(model)
    assert stored(cache) == {"tiny/tiny.weights": WEIGHTS}
    assert len(notes.kept) == 1


def test_a_file_that_somebody_put_there_is_checked_and_pinned(
    cache: ModelCache, server: FileServer
) -> None:
    model = unhashed(server)
    path = cache.path(model, model.weights)
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    cache.pull(model)
    assert cache.pins.get("tiny/tiny.weights") == sha256(WEIGHTS)
    assert server.asked == []


def test_a_published_sha1_is_held_to_and_the_sha256_pinned(
    cache: ModelCache, server: FileServer
) -> None:
    url = server.serve("/tiny.weights", content(OTHER_WEIGHTS))
    right = hashlib.sha1(WEIGHTS).hexdigest()
    model = a_model(a_file("tiny.weights", url, sha1=right))
    with pytest.raises(WeightsError, match=f"its sha1 is [0-9a-f]{{40}}, not {right}"):
        cache.pull(model)
    server.serve("/tiny.weights", content(WEIGHTS))
    cache.pull(model)
    assert cache.pins.get("tiny/tiny.weights") == sha256(WEIGHTS)


def test_weights_without_hash_may_have_a_cfg_that_is_pulled_too(
    cache: ModelCache, server: FileServer
) -> None:
    cfg_url = server.serve("/own.cfg", content(CFG))
    url = server.serve("/tiny.weights", content(WEIGHTS))
    model = a_model(
        a_file("tiny.weights", url), a_file("own.cfg", cfg_url, sha256=sha256(CFG)), cfg="own.cfg"
    )
    assert cache.weights(model).read_bytes() == WEIGHTS
    assert stored(cache) == {"tiny/tiny.weights": WEIGHTS, "tiny/own.cfg": CFG}


@pytest.mark.parametrize("text", ["", "[]", '{"pins": 3}', "{"])
def test_damaged_pins_are_an_error_that_says_what_to_do(
    cache: ModelCache, server: FileServer, text: str
) -> None:
    cache.home.mkdir()
    (cache.home / "pins.json").write_text(text)
    with pytest.raises(DataError) as caught:
        cache.pull(unhashed(server))
    assert str(caught.value) == (
        f"{cache.home}/pins.json holds no pinned hashes\n"
        'expected: {"schema_version": 1, "pins": {"model/file": "sha256"}}\n'
        "help: remove it; files without a published hash are then pinned anew"
    )


# -- verifying, removing ---------------------------------------------------------------------------


def test_verify_tells_what_became_of_each_file(cache: ModelCache, server: FileServer) -> None:
    model, other = hashed(server), unhashed(server, name="other")
    cache.pull(model)
    cache.path(model, model.weights).write_bytes(OTHER_WEIGHTS)
    found = check_model(cache, model)
    assert [(file.path.name, file.state) for file in found] == [
        ("tiny.weights", FileState.DAMAGED),
        ("tiny.cfg", FileState.OK),
    ]
    assert found[0].detail == f"its sha256 is {sha256(OTHER_WEIGHTS)}, not {sha256(WEIGHTS)}"
    (missing,) = check_model(cache, other)
    assert (missing.state, missing.detail) == (FileState.MISSING, "")
    cache.pull(other)
    assert check_model(cache, other)[0].state is FileState.OK
    cache.path(other, other.weights).write_bytes(OTHER_WEIGHTS)
    assert check_model(cache, other)[0].state is FileState.DAMAGED


def test_verify_knows_how_much_of_a_missing_file_has_been_fetched(
    cache: ModelCache, server: FileServer
) -> None:
    model = hashed(server)
    part = cache.path(model, model.weights).with_name("tiny.weights.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:30])
    assert check_model(cache, model)[0].detail == "30 bytes of it have been fetched"
    assert stray_files(cache, [model]) == ()


def test_verify_does_not_vouch_for_a_file_whose_hash_nobody_knows(
    cache: ModelCache, server: FileServer
) -> None:
    model = unhashed(server)
    path = cache.path(model, model.weights)
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    (found,) = check_model(cache, model)
    assert found.state is FileState.UNKNOWN
    assert found.detail == f"no hash is known; its sha256 is {sha256(WEIGHTS)}"
    path.write_bytes(WEIGHTS + b"x")
    assert check_model(cache, model)[0].state is FileState.DAMAGED


def test_verify_finds_files_that_belong_to_no_model(cache: ModelCache, server: FileServer) -> None:
    model = hashed(server)
    cache.pull(model)
    (cache.models_folder / "tiny/notes.txt").write_text("mine")
    (cache.models_folder / "old").mkdir()
    (cache.models_folder / "old/old.weights").write_bytes(WEIGHTS)
    found = stray_files(cache, [model])
    assert [file.path.name for file in found] == ["old.weights", "notes.txt"]
    assert {file.state for file in found} == {FileState.UNKNOWN}


def test_remove_takes_all_of_a_model_and_nothing_else(
    cache: ModelCache, server: FileServer
) -> None:
    cache.pull(hashed(server))
    cache.pull(hashed(server, "other"))
    part = cache.models_folder / "tiny/tiny.weights.part"
    part.write_bytes(b"half")
    assert [path.name for path in cache.remove("tiny")] == [
        "tiny.cfg",
        "tiny.weights",
        "tiny.weights.part",
    ]
    assert {path.name for path in cache.models_folder.iterdir()} == {"other"}
    assert cache.remove("tiny") == ()


# -- files fetched by hand -------------------------------------------------------------------------


def test_a_file_is_recognised_by_its_hash_whatever_its_name(
    cache: ModelCache, server: FileServer, tmp_path: Path
) -> None:
    source = tmp_path / "download(1)"
    source.write_bytes(WEIGHTS)
    model = hashed(server)
    added = add_file(cache, source, [unhashed(server, name="other"), model])
    assert (added.model, added.file) == (model, model.weights)
    assert stored(cache) == {"tiny/tiny.weights": WEIGHTS}
    assert source.exists()
    assert not (cache.home / "pins.json").exists()


def test_a_cfg_is_recognised_too(cache: ModelCache, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_bytes(CFG)
    assert add_file(cache, tmp_path / "x.cfg", [hashed(server)]).path.name == "tiny.cfg"


def test_a_file_without_published_hash_is_recognised_by_its_size_and_pinned(
    cache: ModelCache, server: FileServer, tmp_path: Path, notes: Notes
) -> None:
    (tmp_path / "x").write_bytes(WEIGHTS)
    add_file(cache, tmp_path / "x", [unhashed(server)])
    assert stored(cache) == {"tiny/tiny.weights": WEIGHTS}
    assert cache.pins.get("tiny/tiny.weights") == sha256(WEIGHTS)
    assert "pinned in" in notes.kept[0]
    (tmp_path / "y").write_bytes(OTHER_WEIGHTS)
    with pytest.raises(WeightsError, match=f"not {sha256(WEIGHTS)}$"):
        add_file(cache, tmp_path / "y", [unhashed(server)])


def test_a_file_that_fits_two_models_needs_a_name(
    cache: ModelCache, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(WEIGHTS)
    models = [unhashed(server), unhashed(server, name="twin")]
    with pytest.raises(UsageError) as caught:
        add_file(cache, tmp_path / "x", models)
    assert str(caught.value) == (
        f"{tmp_path / 'x'} could be of tiny or twin\nexpected: --name with one of them"
    )
    assert stored(cache) == {}


def test_a_file_of_no_model_is_refused_with_the_closest_one(
    cache: ModelCache, server: FileServer, tmp_path: Path
) -> None:
    source = tmp_path / "x.weights"
    source.write_bytes(WEIGHTS[:-3])
    far = a_model(a_file("far.weights", "u", sha256="0" * 64, size=4000), name="far")
    with pytest.raises(WeightsError) as caught:
        add_file(cache, source, [far, hashed(server)])
    assert str(caught.value) == (
        f"{source} is no file of the zoo: it has 49 bytes, its sha256 is {sha256(WEIGHTS[:-3])}\n"
        "help: it comes closest to tiny.weights of tiny, but it has 49 bytes, not 52"
    )
    source = source.rename(tmp_path / "far.weights")
    with pytest.raises(WeightsError, match=r"closest to far\.weights of far, but it has 49 bytes"):
        add_file(cache, source, [far, hashed(server)])
    assert stored(cache) == {}


def test_a_web_page_or_a_missing_file_is_not_added(
    cache: ModelCache, server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "tiny.weights").write_bytes(PAGE)
    with pytest.raises(
        WeightsError, match=r"tiny\.weights is a web page, not a model's file\nhelp"
    ):
        add_file(cache, tmp_path / "tiny.weights", [hashed(server)])
    with pytest.raises(WeightsError, match=r"cannot read .*gone: no such file or directory$"):
        add_file(cache, tmp_path / "gone", [hashed(server)])


# -- the environment -------------------------------------------------------------------------------


def test_the_environment_says_where_models_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def home(**variables: str) -> Path:
        return cache_from_environment(variables, tmp_path).home

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert home(YOLO_GP_HOME=str(tmp_path / "here")) == tmp_path / "here"
    assert home(YOLO_GP_HOME="~/there") == tmp_path / "there"
    assert home(YOLO_GP_HOME="relative") == tmp_path / "relative"
    if sys.platform == "linux":
        assert home() == home(YOLO_GP_HOME="") == tmp_path / "cache/yolo-gp"


def test_the_environment_may_forbid_fetching(tmp_path: Path) -> None:
    def is_offline(text: str, offline: bool = False) -> bool:
        variables = {"YOLO_GP_OFFLINE": text}
        return cache_from_environment(variables, tmp_path, offline=offline).offline

    assert (is_offline("1"), is_offline("0"), is_offline("")) == (True, False, False)
    assert is_offline("0", offline=True)
    with pytest.raises(UsageError, match=r"^YOLO_GP_OFFLINE=yes will not do\nexpected: 1 or 0$"):
        is_offline("yes")


def test_a_mirror_must_be_an_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        cache_from_environment({"YOLO_GP_MIRROR": "/srv/models"}, tmp_path)
    assert str(caught.value) == (
        "YOLO_GP_MIRROR=/srv/models is no address\n"
        "expected: http://, https:// or file://, such as file:///srv/models"
    )
