"""The command as a whole: help, version, exit codes, no tracebacks, torch-free start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from yolo_gp import __version__

from .conftest import Run


def test_help_names_every_command(yolo_gp: Run) -> None:
    result = yolo_gp("--help")
    assert result.returncode == 0
    commands = result.stdout.partition("Commands:\n")[2]
    named = set(re.findall(r"^  (\w+) ", commands, flags=re.MULTILINE))
    assert named >= {"detect", "expand", "info", "zoo"}


def test_version_is_the_packages(yolo_gp: Run) -> None:
    assert yolo_gp("--version").stdout == f"yolo-gp {__version__}\n"


def test_an_unknown_command_is_a_usage_error(yolo_gp: Run) -> None:
    result = yolo_gp("detekt")
    assert result.returncode == 2
    assert "detekt" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["info", "elan-nano"]])
def test_help_and_info_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "from yolo_gp.cli.main import run; run()"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stderr.splitlines()[-1] == "False"


def test_output_into_a_closed_pipe_ends_quietly() -> None:
    script = (
        f"{sys.executable} -c 'from yolo_gp.cli.main import run; run()' info elan-nano | head -1"
    )
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stderr == ""


def test_a_missing_cfg_is_a_usage_error_that_names_the_packaged_ones(yolo_gp: Run) -> None:
    result = yolo_gp("info", "elan-nona")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: there is no cfg elan-nona\n")
    assert "elan-nano.cfg" in result.stderr
    assert "did you mean elan-nano?" in result.stderr


def test_a_wrong_cfg_exits_with_3_and_all_its_findings(yolo_gp: Run, tmp_path: Path) -> None:
    cfg = tmp_path / "wrong.cfg"
    cfg.write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutionl]\n[maxpool]\nsize=x\n")
    result = yolo_gp("info", "wrong.cfg")
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
    assert re.findall(r"^wrong.cfg:(\d+):(\d+): error: ", result.stderr, flags=re.MULTILINE) == [
        ("5", "1"),
        ("7", "6"),
    ]
