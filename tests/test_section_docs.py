"""docs/sections.md names the keys that our sections take, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from yolo_gp.errors import CfgError
from yolo_gp.graph import compile_text

PAGE = (Path(__file__).parent.parent / "docs/sections.md").read_text(encoding="utf-8")
NET = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=8\nactivation=linear\n"
SECTIONS = {
    "partial_shortcut": "from=-1\n",
    "csp": "filters=8\n",
    "elan": "hidden=8\n",
    "anchor_free": "from=-1\n",
}


def known_keys(kind: str) -> set[str]:
    """What the message about an unknown key lists."""
    with pytest.raises(CfgError) as caught:
        compile_text(f"{NET}[{kind}]\n{SECTIONS[kind]}nonsense=1\n", "x.cfg")
    (unknown,) = (d for d in caught.value.diagnostics if "nonsense" in d.message)
    assert unknown.expected is not None
    return set(unknown.expected.removeprefix("one of ").split(", "))


def documented_keys(kind: str) -> set[str]:
    section = PAGE.partition(f"\n## [{kind}]\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("kind", SECTIONS)
def test_the_page_lists_exactly_the_keys_of_a_section(kind: str) -> None:
    assert documented_keys(kind) == known_keys(kind) - {"name"}
