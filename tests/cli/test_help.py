"""What `--help` says: its examples are commands that there are, with flags that they have."""

from __future__ import annotations

import re
import shlex

import pytest

from .conftest import Run

COMMANDS = (
    ("detect",),
    ("classify",),
    ("val",),
    ("convert",),
    ("compare",),
    ("doctor",),
    ("data", "convert"),
    ("data", "anchors"),
    ("zoo", "pull"),
    ("zoo", "add"),
)
GROUPS = ((), ("data",), ("zoo",))
CHECKED = {
    "classify",
    "val",
    "convert",
    "compare",
    "doctor",
    "check",
    "stats",
    "anchors",
    "list",
    "show",
    "table",
    "pull",
    "verify",
    "path",
    "rm",
    "add",
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_examples_in_the_help_are_of_its_command_and_flags(
    yolo_gp: Run, command: tuple[str, ...]
) -> None:
    text = yolo_gp(*command, "--help").stdout
    examples = re.findall(r"^    (yolo-gp .*)$", text, re.MULTILINE)
    known = set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))
    assert examples and known
    for example in map(shlex.split, examples):
        assert tuple(example[1 : 1 + len(command)]) == command
        assert {word for word in example if word.startswith("--")} <= known


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_no_summary_of_a_command_is_cut_short(yolo_gp: Run, group: tuple[str, ...]) -> None:
    _, _, commands = yolo_gp(*group, "--help").stdout.partition("\nCommands:\n")
    lines = commands.splitlines()
    assert len(lines) > 3
    assert [n for n in lines if n.split()[0] in CHECKED and n.endswith("...")] == []
