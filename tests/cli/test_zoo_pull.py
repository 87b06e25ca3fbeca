"""`yolo-gp zoo pull | verify | path | rm | add`, with the real manifest and the models at hand."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest

from yolo_gp import zoo
from yolo_gp.cache import ModelCache
from yolo_gp.download import DownloadSettings

from ..file_server import FileServer, content
from .conftest import Run

FACE, FAST = "yoloface-50k", "yolo-fastest-1.1"
LICENCE = "YOLO LICENSE version 2, https://github.com/dog-qiuqiu/"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, without a network: the proxy is not there."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("YOLO_GP_HOME", str(folder))
    monkeypatch.delenv("YOLO_GP_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("YOLO_GP_MIRROR", raising=False)
    return folder


@pytest.fixture
def mirror(
    shared: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with two of the models at hand."""
    folder = tmp_path_factory.mktemp("mirror")
    for name in (FACE, FAST):
        (folder / name).mkdir()
        for suffix in (".cfg", ".weights"):
            shutil.copy(shared / f"data/models/{name}{suffix}", folder / name)
    monkeypatch.setenv("YOLO_GP_MIRROR", folder.as_uri())
    return folder


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads do not wait before they try again."""
    opened = zoo.open_cache

    def open_impatient(**how: bool) -> ModelCache:
        settings = DownloadSettings(sleep=lambda seconds: None)
        return dataclasses.replace(opened(**how), settings=settings)

    monkeypatch.setattr(zoo, "open_cache", open_impatient)


def test_pull_prints_the_licence_and_where_the_files_are(
    yolo_gp: Run, mirror: Path, home: Path
) -> None:
    result = yolo_gp("zoo", "pull", FACE, FAST, FACE)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"{FACE}: licence: {LICENCE}MobileNet-Yolo",
        f"{home}/models/{FACE}/{FACE}.cfg",
        f"{home}/models/{FACE}/{FACE}.weights",
        f"{FAST}: licence: {LICENCE}Yolo-Fastest",
        f"{home}/models/{FAST}/{FAST}.cfg",
        f"{home}/models/{FAST}/{FAST}.weights",
    ]
    assert (home / f"models/{FACE}/{FACE}.cfg").read_bytes() == (
        mirror / f"{FACE}/{FACE}.cfg"
    ).read_bytes()


def test_pull_by_http_shows_a_bar_only_on_a_terminal(
    yolo_gp: Run, mirror: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer().running() as server:
        for suffix in ("cfg", "weights"):
            file = f"{FACE}/{FACE}.{suffix}"
            server.serve(f"/{file}", content((mirror / file).read_bytes()))
        monkeypatch.setenv("YOLO_GP_MIRROR", server.url)
        assert yolo_gp("zoo", "pull", FACE).stderr == ""
        yolo_gp("zoo", "rm", FACE)
        monkeypatch.setattr(sys.stderr.__class__, "isatty", lambda stream: True, raising=False)
        assert f"{FACE}.weights: 100%" in yolo_gp("zoo", "pull", FACE).stderr


def test_pull_of_a_card_pulls_the_weights_it_names(yolo_gp: Run) -> None:
    result = yolo_gp("zoo", "pull", "elan", "--offline")
    assert result.returncode == 4
    assert result.stderr.startswith("error: yolov7.weights of yolov7 is not in the cache, and")


def test_pull_of_an_unknown_model_is_a_usage_error(yolo_gp: Run) -> None:
    result = yolo_gp("zoo", "pull", "yolo-fastest-1.2")
    assert result.returncode == 2
    assert result.stderr == (
        "error: there is no model yolo-fastest-1.2 in the zoo\n"
        "expected: a name that `yolo-gp zoo list` prints\n"
        "help: did you mean yolo-fastest-1.1?\n"
    )


def test_pull_offline_says_what_to_fetch_by_hand(yolo_gp: Run, mirror: Path, home: Path) -> None:
    result = yolo_gp("zoo", "pull", FACE, "--offline")
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr == (
        f"error: {FACE}.cfg of {FACE} is not in the cache, and nothing is fetched offline\n"
        "help: fetch by hand\n"
        f"  {FACE}.cfg: 2913 bytes, "
        "sha256 5b66f9bebf994dc87d75b67f93ae91496fa006c03f5af50ddbce10b57a9a88f4\n"
        "  https://raw.githubusercontent.com/dog-qiuqiu/MobileNet-Yolo/"
        "86c05bfc4e508d54a459a469faecc35a113454c1/yoloface-50k/yoloface-50k.cfg\n"
        f"  {FACE}.weights: 45012 bytes, "
        "sha256 7372441aa4e9b5ed90fa4e2c78a0a609c36e8837d43827324e4ce1f292af7b58\n"
        "  https://raw.githubusercontent.com/dog-qiuqiu/MobileNet-Yolo/"
        "86c05bfc4e508d54a459a469faecc35a113454c1/yoloface-50k/yoloface-50k.weights\n"
        "and run `yolo-gp zoo add FILE` on each: it is checked and put into "
        f"{home}/models/{FACE}\n"
    )


def test_the_environment_makes_pull_work_offline(
    yolo_gp: Run, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yolo_gp("zoo", "pull", FACE)
    monkeypatch.setenv("YOLO_GP_OFFLINE", "1")
    assert yolo_gp("zoo", "pull", FACE).returncode == 0
    assert yolo_gp("zoo", "pull", FAST).returncode == 4


def test_pull_without_a_network_tells_the_reason_and_what_to_do(
    yolo_gp: Run, home: Path, impatient: None
) -> None:
    result = yolo_gp("zoo", "pull", FACE)
    assert result.returncode == 4
    assert f"error: cannot fetch {FACE}.cfg\n  https://raw.githubusercontent.com/" in result.stderr
    assert "    no connection to the proxy: connection refused (4 times in a row)" in result.stderr
    assert "help: fetch by hand\n" in result.stderr
    assert not list((home / "models").rglob("*.cfg"))


def test_pull_of_several_models_goes_on_after_one_that_fails(
    yolo_gp: Run, mirror: Path, home: Path
) -> None:
    yolo_gp("zoo", "pull", FACE)
    result = yolo_gp("zoo", "pull", FAST, FACE, "--offline")
    assert result.returncode == 1
    assert result.stdout.startswith(f"{FACE}: licence: ")
    assert result.stderr.startswith(f"error: {FAST}.cfg of {FAST} is not in the cache")
    assert result.stderr.endswith("1 of 2 models failed\n")
    assert yolo_gp("zoo", "pull", FAST, "yolov7", "--offline").returncode == 4


def test_verify_finds_damage_and_pull_mends_it(yolo_gp: Run, mirror: Path, home: Path) -> None:
    yolo_gp("zoo", "pull", FACE)
    folder = home / "models" / FACE
    result = yolo_gp("zoo", "verify")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [["ok", f"{folder}/{FACE}.cfg"], ["ok", f"{folder}/{FACE}.weights"]]
    data = bytearray((folder / f"{FACE}.weights").read_bytes())
    data[30_000] ^= 1
    (folder / f"{FACE}.weights").write_bytes(data)
    (folder / f"{FACE}.cfg").unlink()
    (folder / "mine.txt").write_text("")
    result = yolo_gp("zoo", "verify", FACE)
    assert result.returncode == 1
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["missing", "damaged"]
    assert lines[1][2].startswith("its sha256 is ")
    result = yolo_gp("zoo", "verify", "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["schema_version"] == 1
    assert [file["state"] for file in found["files"]] == ["missing", "damaged", "unknown"]
    assert found["files"][2] == {
        "path": f"{folder}/mine.txt",
        "state": "unknown",
        "detail": "no model has such a file",
    }
    result = yolo_gp("zoo", "pull", FACE)
    assert f"{FACE}.weights is damaged: its sha256 is " in result.stderr
    assert yolo_gp("zoo", "verify", FACE).returncode == 0


def test_verify_of_an_empty_cache_says_so(yolo_gp: Run, home: Path) -> None:
    result = yolo_gp("zoo", "verify")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == f"there is nothing in {home}/models\n"


def test_path_prints_where_files_are(yolo_gp: Run, mirror: Path, home: Path) -> None:
    assert yolo_gp("zoo", "path").stdout == f"{home}/models\n"
    result = yolo_gp("zoo", "path", FACE)
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr == (
        f"error: {FACE}.cfg and {FACE}.weights of {FACE} are not in the cache\n"
        f"help: `yolo-gp zoo pull {FACE}`\n"
    )
    yolo_gp("zoo", "pull", FACE)
    assert yolo_gp("zoo", "path", FACE).stdout.splitlines() == [
        f"{home}/models/{FACE}/{FACE}.cfg",
        f"{home}/models/{FACE}/{FACE}.weights",
    ]


def test_rm_deletes_a_model(yolo_gp: Run, mirror: Path, home: Path) -> None:
    yolo_gp("zoo", "pull", FACE, FAST)
    (home / "models/of-old").mkdir()
    result = yolo_gp("zoo", "rm", FACE, "of-old")
    assert result.stdout.splitlines() == [
        f"removed {home}/models/{FACE}/{FACE}.cfg",
        f"removed {home}/models/{FACE}/{FACE}.weights",
    ]
    assert [path.name for path in (home / "models").iterdir()] == [FAST]
    result = yolo_gp("zoo", "rm", FACE)
    assert result.returncode == 2
    assert result.stderr == f"error: nothing of {FACE} is in the cache, {home}/models\n"
    assert yolo_gp("zoo", "rm", "../models").returncode == 2
    assert yolo_gp("zoo", "rm", "yolofase-50k").stderr.endswith("did you mean yoloface-50k?\n")


def test_add_puts_a_file_that_was_fetched_by_hand_in_its_place(
    yolo_gp: Run, mirror: Path, home: Path, tmp_path: Path
) -> None:
    shutil.copy(mirror / f"{FACE}/{FACE}.weights", tmp_path / "fetched")
    result = yolo_gp("zoo", "add", "fetched")
    assert result.returncode == 0
    assert result.stdout == (
        f"fetched is {FACE}.weights of {FACE}; licence: YOLO LICENSE version 2\n"
        f"{home}/models/{FACE}/{FACE}.weights\n"
    )
    assert result.stderr == f"{FACE}.cfg of {FACE} is still missing\n"
    assert yolo_gp("zoo", "add", mirror / f"{FACE}/{FACE}.cfg").stderr == ""
    assert yolo_gp("zoo", "pull", FACE, "--offline").returncode == 0


def test_add_of_a_file_of_another_model_is_refused(
    yolo_gp: Run, mirror: Path, home: Path, tmp_path: Path
) -> None:
    result = yolo_gp("zoo", "add", mirror / f"{FACE}/{FACE}.weights", "--name", FAST)
    assert result.returncode == 4
    assert result.stderr.endswith(
        f"help: it comes closest to {FAST}.cfg of {FAST}, but it has 45012 bytes, not 9685\n"
    )
    (tmp_path / "cut.weights").write_bytes((mirror / f"{FACE}/{FACE}.weights").read_bytes()[:-4])
    result = yolo_gp("zoo", "add", "cut.weights")
    assert result.returncode == 4
    assert "error: cut.weights is no file of the zoo: it has 45008 bytes, its" in result.stderr
    assert result.stderr.endswith(
        f"closest to {FACE}.weights of {FACE}, but it has 45008 bytes, not 45012\n"
    )
    assert not (home / "models").exists()


# One 1x1 convolution of 3 channels to 2: 2 biases and 2 x 3 weights are 8 floats, 32 bytes.
CFG = """[net]
width=8
height=8
channels=3
[convolutional]
filters=2
size=1
activation=linear
"""


@pytest.fixture
def twins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of two models of one cfg, whose publisher gives no hash."""
    root = tmp_path_factory.mktemp("data")
    (root / "cfg").mkdir()
    (root / "cfg/twin.cfg").write_text(CFG)
    models = [
        {
            "name": name,
            "cfg": "twin.cfg",
            "fingerprint": None,
            "input_size": None,
            "classes": "one",
            "published": [],
            "files": [
                {
                    "name": f"{name}.weights",
                    "format": "darknet",
                    "urls": [f"https://example.invalid/{name}.weights"],
                    "bytes": 52,
                    "sha256": None,
                    "licence": "MIT",
                    "source": "https://example.invalid",
                }
            ],
        }
        for name in ("castor", "pollux")
    ]
    manifest = {"schema_version": 2, "class_lists": {"one": ["star"]}, "models": models}
    (root / "weights_manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(zoo, "data_root", lambda: root)


def test_add_asks_for_the_name_where_a_size_fits_two_models(
    yolo_gp: Run, home: Path, tmp_path: Path, twins: None
) -> None:
    (tmp_path / "star.weights").write_bytes(bytes((0, 0, 0, 0, 2, 0, 0, 0, 5)) + bytes(43))
    result = yolo_gp("zoo", "add", "star.weights")
    assert result.returncode == 2
    assert result.stderr == (
        "error: star.weights could be of castor or pollux\nexpected: --name with one of them\n"
    )
    result = yolo_gp("zoo", "add", "star.weights", "--name", "pollux")
    assert result.returncode == 0
    assert "its publisher gives no sha256; from now on it must have the one it" in result.stderr
    assert "pollux/pollux.weights" in (home / "pins.json").read_text()
    assert yolo_gp("zoo", "path", "pollux").stdout == f"{home}/models/pollux/pollux.weights\n"


def test_compare_pulls_a_model_unless_offline(yolo_gp: Run, mirror: Path, home: Path) -> None:
    result = yolo_gp("compare", FACE, FACE, "--offline")
    assert (result.returncode, result.stdout) == (4, "")
    assert "is not in the cache, and nothing is fetched offline\n" in result.stderr
    assert yolo_gp("compare", FACE, FACE).returncode == 0
    assert yolo_gp("compare", FACE, FACE, "--offline").returncode == 0


def test_names_of_pretrained_models_work_as_cfgs(yolo_gp: Run, mirror: Path) -> None:
    result = yolo_gp("info", FACE)
    assert (result.returncode, result.stderr) == (0, "")
    assert "input 56x56" in result.stdout
    result = yolo_gp("info", "yoloface-50")
    assert result.returncode == 2
    assert result.stderr.endswith("help: did you mean yoloface-50k?\n")
