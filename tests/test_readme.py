"""The README's commands are the ones that CI runs, and what it shows is true."""

from __future__ import annotations

import re
from pathlib import Path

from yolo_gp.presets import PRESETS

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)


def test_ci_runs_exactly_the_install_and_the_test_command_of_the_readme() -> None:
    commands = [block for block in shell_blocks() if ".venv/bin" in block]
    ci = (PROJECT / ".ci/run").read_text(encoding="utf-8")
    assert len(commands) == 2
    assert [line for line in ci.splitlines() if ".venv/bin" in line] == commands


def test_the_preset_table_names_every_preset_with_its_thresholds() -> None:
    rows = re.findall(r"^\| `(\w+)`.*? \|.*? \| (\.\d+).*? \| (\.\d+)", README, flags=re.MULTILINE)
    shown = {name: (float(confidence), float(iou)) for name, confidence, iou in rows}
    assert shown == {p.name: (p.confidence, p.iou_threshold) for p in PRESETS.values()}
