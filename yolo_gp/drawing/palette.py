"""Colours that stay apart for colour-blind eyes, and on grey prints by their lightness."""

from __future__ import annotations

import math
from collections.abc import Mapping

_STOPS = (
    (0xE8, 0x6A, 0x00),  # orange
    (0xD1, 0x3B, 0x3F),
    (0xA6, 0x1E, 0x72),
    (0x66, 0x1B, 0x8C),
    (0x1F, 0x1A, 0x6E),  # navy
)
"""From the first timestamp to the last; each darker than the one before."""

SOURCE = "#00856f"
FEATURE = "#0072b2"
NETWORKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")
"""Of the networks that a plot compares; after Okabe and Ito."""

ROLES: Mapping[str, tuple[str, str]] = {
    "end": ("#fdf6d8", "#b59a00"),
    "learned": ("#dfeaf6", "#0072b2"),
    "sum": ("#fdeacb", "#e08a00"),
    "join": ("#d9f0e6", "#009e73"),
    "resize": ("#f4e2ed", "#b4558f"),
    "plain": ("#ffffff", "#8a8f98"),
    "macro": ("#cfe9fa", "#2f9bd8"),
    "head": ("#33383f", "#000000"),
    "outside": ("#f3f3f1", "#c9c9c4"),
}
"""(fill, bar) of boxes by what they do; after Okabe and Ito. The words on a box say it too."""

SKIPS = ("#c24d00", "#5b2a86", "#1f6feb", "#7a5b00", "#b5387d", "#222222")
"""Of edges that go round other layers, by turns: each dark enough for a thin line on paper."""


def timestamp_colour(timestamp: int, last: int) -> str:
    """The colour of a timestamp from 1 to `last`, as "#rrggbb"; early ones light and warm.

    On a logarithmic scale: most of what is to be seen happens early.
    """
    return _colour(math.log(timestamp) / math.log(max(2, last)))


def length_colour(length: int, longest: int) -> str:
    """The colour of a path's length from 1 to `longest`, on a linear scale."""
    return _colour((length - 1) / max(1, longest - 1))


def _colour(share: float) -> str:
    """The colour at a place from 0, the first of the stops, to 1, the last."""
    place = share * (len(_STOPS) - 1)
    low = min(int(place), len(_STOPS) - 2)
    rest = place - low
    mixed = (round(a + (b - a) * rest) for a, b in zip(_STOPS[low], _STOPS[low + 1], strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


_LEGEND = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_FEW = 12


def legend_timestamps(last: int) -> list[int]:
    """Timestamps from 1 to `last` that a legend shows: all if they are few, else some."""
    if last <= _FEW:
        return list(range(1, last + 1))
    return [timestamp for timestamp in _LEGEND if timestamp < last] + [last]


def tint(colour: str) -> str:
    """A colour "#rrggbb" so pale that dark words are legible on it."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * _TINT):02x}" for part in parts)


_TINT = 0.3  # of the colour; the rest is white
