"""The README's commands are the ones that CI runs, and what it shows is true."""

from __future__ import annotations

import re
from pathlib import Path

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tables import Analysis, comparison_table
from yolo_gp.families import FamilySettings, family_cfg
from yolo_gp.graph import compile_text
from yolo_gp.presets import PRESETS, VAL_PRESETS

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


def shown_table(name: str) -> list[list[str]]:
    """The cells of the Markdown table between the markers of that name."""
    part = README.split(f"<!-- {name}")[1].split("<!-- end of")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [cells[0], *cells[2:]]


def analysed(text: str, file: str) -> Analysis:
    graph = compile_text(text, file)
    return Analysis(file, graph, gradient_paths(graph))


def test_the_claims_of_the_paper_stand_beside_what_analyze_prints() -> None:
    header, *rows = shown_table("claims")
    cfgs = [PROJECT / "cfg" / name for name in header[1:]]
    printed = comparison_table([analysed(path.read_text(), path.name) for path in cfgs])
    lines = [re.split(r"  +", line.strip()) for line in printed.splitlines()[1:]]
    assert rows == lines


def test_the_table_of_families_is_what_analyze_says_of_them() -> None:
    header, *rows = shown_table("families")
    for family, *cells in rows:
        for layers, cell in zip(header[1:], cells, strict=True):
            text = family_cfg(family, FamilySettings(layers=int(layers), channels=64))
            assert str(analysed(text, family).paths.longest_shortest) == cell, (family, layers)


def test_the_table_of_val_presets_names_every_preset_with_its_thresholds() -> None:
    part = README.split("| preset in val |")[1]
    rows = re.findall(r"^\| `(\w+)`.*?\|.*?\| (\.\d+), (\.\d+)", part, flags=re.MULTILINE)
    shown = {name: (float(confidence), float(iou)) for name, confidence, iou in rows}
    assert shown == {p.name: (p.confidence, p.iou_threshold) for p in VAL_PRESETS.values()}
