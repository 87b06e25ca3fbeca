"""The words on a box, and how much room they take."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_gp.macros.base import Macro
from yolo_gp.nodes import Node
from yolo_gp.shapes import FeatureShape

_HANGING = ("per", "of", "p", "=")  # say nothing without what follows
_WIDTH = 0.56  # of a character, in ems: the mean over Helvetica's digits and small letters


def text_width(text: str, size: float) -> float:
    """About how wide a text of that font size is."""
    return len(text) * _WIDTH * size


def fit_words(text: str, size: float, room: float) -> str:
    """The text, or as much of its beginning as fits into the room: parts before commas, or words.

    At least one word.
    """
    while "," in text and text_width(text, size) > room:
        text = text.rpartition(",")[0]
    words = text.split()
    while len(words) > 1 and (text_width(" ".join(words), size) > room or words[-1] in _HANGING):
        words.pop()
    return " ".join(words)


def layer_title(node: Node) -> str:
    """What a layer does, such as "conv 3x3/2 leaky"."""
    kind = node.layer.kind.replace("convolutional", "conv").replace("_", " ")
    return f"{kind} {node.layer.label()}".rstrip()


def layer_tip(node: Node) -> str:
    """A layer in one line, such as "layer 5 [convolutional] 3x3/2 leaky: 64 x 208 x 208"."""
    return f"layer {node.written} [{node.layer.kind}] {node.layer.label()}".rstrip() + (
        f": {node.output_shape}"
    )


def macro_title(macro: Macro) -> str:
    """What a macro is, such as "elan, blocks=2"."""
    return f"{macro.kind}, {macro.depth_key}={macro.depth}"


def macro_tip(macro: Macro, members: Sequence[Node]) -> str:
    """A macro in one line, such as "section 4 [elan], blocks=2, 9 layers: 64 x 208 x 208"."""
    last = members[-1]
    return (
        f"section {last.written} [{macro.kind}], {macro.depth_key}={macro.depth}, "
        f"{len(members)} layers: {last.output_shape}"
    )


def channels_title(shape: FeatureShape, band: tuple[int, int]) -> str:
    """The channels of a map; with its size where that is not the band's."""
    height, width = shape.size
    return f"{shape.channels}" if shape.size == band else f"{shape.channels} @ {height}x{width}"


def timestamp_runs(timestamps: Sequence[int]) -> list[str]:
    """Ascending timestamps as runs of neighbours, such as "1", "3-5" and "8"."""
    runs: list[list[int]] = []
    for timestamp in timestamps:
        if runs and runs[-1][-1] + 1 == timestamp:
            runs[-1][1:] = [timestamp]
        else:
            runs.append([timestamp])
    return ["-".join(map(str, run)) for run in runs]


def fit_timestamps(timestamps: Sequence[int], size: float, room: float) -> str:
    """ "1, 3-5, 8"; runs in the middle are left out if room is short."""
    runs = timestamp_runs(timestamps)
    words = ", ".join(runs)
    while len(runs) > 2 and text_width(words, size) > room:
        del runs[len(runs) // 2]
        middle = (len(runs) + 1) // 2
        words = ", ".join([*runs[:middle], "..", *runs[middle:]])
    return words
