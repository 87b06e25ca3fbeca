"""Shapes of feature maps and the integer formulas of their sizes. Sizes are (height, width)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """The shape of one image's feature map, (C, H, W)."""

    channels: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        return (self.height, self.width)

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width

    @property
    def partial(self) -> PartialShape:
        """The same shape, where one that may be partly unknown is asked for."""
        return PartialShape(self.channels, self.height, self.width)

    def __str__(self) -> str:
        return f"{self.channels} x {self.height} x {self.width}"


@dataclass(frozen=True, slots=True)
class PartialShape:
    """A feature shape of which some numbers are unknown (None) after an error further up.

    What is unknown is not reported again; what is known is still checked.
    """

    channels: int | None = None
    height: int | None = None
    width: int | None = None

    @property
    def complete(self) -> FeatureShape | None:
        """The shape, if all three numbers are known."""
        if self.channels is None or self.height is None or self.width is None:
            return None
        return FeatureShape(self.channels, self.height, self.width)

    def __str__(self) -> str:
        lengths = (self.channels, self.height, self.width)
        return " x ".join("?" if length is None else str(length) for length in lengths)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width), if both are known."""
        return None if self.height is None or self.width is None else (self.height, self.width)


def format_size(size: tuple[int, int]) -> str:
    """A (height, width) as messages show it."""
    return f"{size[0]}x{size[1]}"


def window_output(length: int | None, kernel: int, stride: int, padding: int) -> int | None:
    """How often a window fits: (length + padding - kernel) // stride + 1, padding in total.

    Darknet's formula for convolutions and pools alike (darknet.md 2.2, 2.3); dilation is absent.
    """
    return None if length is None else (length + padding - kernel) // stride + 1


def exact_factor(large: tuple[int, int], small: tuple[int, int]) -> int | None:
    """How many times larger `large` is, equally both ways; None if it is no exact multiple."""
    factor = large[0] // small[0]
    return factor if factor and large == (small[0] * factor, small[1] * factor) else None


def times(length: int | None, factor: int) -> int | None:
    """`length` * `factor`, unknown if the length is."""
    return None if length is None else length * factor


def divided(length: int | None, divisor: int) -> int | None:
    """`length` // `divisor`, unknown if the length is."""
    return None if length is None else length // divisor
