"""The wheel holds what the command needs, and works the same as the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    target = folder / "site"
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(target)
    return target


def info(path: Path) -> str:
    """What `yolo-gp info elan-nano` prints with the package taken from `path`."""
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import yolo_gp\n"
        f"assert yolo_gp.__file__.startswith({str(path)!r}), yolo_gp.__file__\n"
        "sys.argv = ['yolo-gp', 'info', 'elan-nano.cfg', '--json']\n"
        "from yolo_gp.cli.main import run; run()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True
    )
    return result.stdout


def test_the_wheel_finds_its_cfgs_as_the_checkout_does(unpacked_wheel: Path) -> None:
    assert info(unpacked_wheel) == info(PROJECT)


@pytest.mark.parametrize("path", ["cfg", "zoo", "weights_manifest.json"])
def test_every_data_file_is_in_the_wheel(unpacked_wheel: Path, path: str) -> None:
    def content(root: Path) -> dict[str, bytes]:
        top = root / path
        files = [top] if top.is_file() else [p for p in top.rglob("*") if p.is_file()]
        return {str(file.relative_to(root)): file.read_bytes() for file in files}

    assert content(PROJECT)
    assert content(unpacked_wheel / "yolo_gp/_data") == content(PROJECT)


def test_the_wheel_brings_type_information_and_the_licence(unpacked_wheel: Path) -> None:
    assert (unpacked_wheel / "yolo_gp/py.typed").exists()
    assert list(unpacked_wheel.glob("*.dist-info/licenses/LICENSE"))
