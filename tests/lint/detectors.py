"""A small detector with two heads, and what lint says of variants of it."""

from __future__ import annotations

from yolo_gp.errors import Diagnostic
from yolo_gp.lint.linting import LintSettings, lint_content

# 64 -> 32 -> 16 -> 8 -> 4 (layer 3) -> 2 (layer 4): heads of 2x2 cells (stride 32, the large
# anchors) and, from layer 3, of 4x4 cells (stride 16, the small ones). (1 + 5) * 2 = 12 filters.
DETECTOR = """\
[net]
width=64
height=64
channels=3
batch=64
subdivisions=8
learning_rate=0.001
policy=steps
max_batches=6000
steps=4800,5400
scales=.1,.1
burn_in=100

[convolutional]
filters=4
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[maxpool]
size=2
stride=2

[maxpool]
size=2
stride=2

[maxpool]
size=2
stride=2

[convolutional]
filters=12
activation=linear

[yolo]
mask=2,3
anchors=4,6, 8,9, 20,22, 40,44
classes=1
num=4
jitter=.3

[route]
layers=3

[convolutional]
filters=12
activation=linear

[yolo]
mask=0,1
anchors=4,6, 8,9, 20,22, 40,44
classes=1
num=4
jitter=.3
"""


def found(text: str, settings: LintSettings | None = None) -> list[Diagnostic]:
    return list(lint_content(text.encode(), "a.cfg", settings or LintSettings()).findings)


def said(text: str, settings: LintSettings | None = None) -> list[str]:
    """Each finding's line, code and message."""
    return [f"{d.span.line} {d.rule.code} {d.message}" for d in found(text, settings)]


def changed(*changes: tuple[str, str], text: str = DETECTOR) -> str:
    """The detector with each first text, which it must have, replaced by the second, once."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def swapped_last(old: str, new: str) -> str:
    """The detector with the last occurrence of a text replaced."""
    head, middle, tail = DETECTOR.rpartition(old)
    assert middle
    return head + new + tail
