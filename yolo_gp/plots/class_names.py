"""Class names as figures can show them."""

from __future__ import annotations

from matplotlib.font_manager import FontProperties, findfont, get_font

_LONGEST = 24


def readable(name: str, class_id: int) -> str:
    """A class name cut to a length that fits beside a figure, as text that is no formula.

    A name in letters that matplotlib's font lacks becomes the class number.
    """
    font = get_font(findfont(FontProperties()))
    if not all(font.get_char_index(ord(letter)) for letter in name):
        return f"class {class_id}"
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    return short.replace("$", r"\$")
