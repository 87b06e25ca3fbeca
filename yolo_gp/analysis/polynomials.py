"""Path polynomials and sets of layers, the two things that run along channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Sum over n of (number of gradient paths of length n) z^n, with exact counts.

    Fields:
        least: the lowest exponent.
        counts: the coefficients from z^least on; the first and the last are not 0. Of the zero
            polynomial there is none.
    """

    least: int
    counts: tuple[int, ...]

    def __add__(self, other: Polynomial) -> Polynomial:
        if self.least > other.least:
            return other + self
        shift = other.least - self.least
        short = len(self.counts) - shift  # coefficients that meet
        if short <= 0:
            between = (0,) * -short
            return Polynomial(self.least, self.counts + between + other.counts)
        met = tuple(map(int.__add__, self.counts[shift:], other.counts))
        rest = self.counts[shift + len(other.counts) :] or other.counts[short:]
        return Polynomial(self.least, self.counts[:shift] + met + rest)

    def times(self, count: int) -> Polynomial:
        if count == 1:
            return self
        return Polynomial(self.least, tuple([count * n for n in self.counts]))

    def shifted(self) -> Polynomial:
        """Times z: every path is longer by one."""
        return Polynomial(self.least + 1, self.counts)

    @property
    def exponents(self) -> int:
        """The lengths that occur, as bits: 2^n is set if there is a path of length n."""
        bits = sum(1 << n for n, count in enumerate(self.counts) if count)
        return bits << self.least

    @property
    def greatest(self) -> int:
        """The highest exponent."""
        return self.least + len(self.counts) - 1

    def coefficient(self, exponent: int) -> int:
        """The number of paths of that length."""
        place = exponent - self.least
        return self.counts[place] if 0 <= place < len(self.counts) else 0


@dataclass(frozen=True, slots=True)
class LayerSet:
    """A set of layers, as bits: 2^n is set if layer n belongs to it."""

    bits: int

    def __add__(self, other: LayerSet) -> LayerSet:
        return LayerSet(self.bits | other.bits)

    def times(self, count: int) -> LayerSet:
        return self

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __iter__(self) -> Iterator[int]:
        return members(self.bits)


def members(bits: int) -> Iterator[int]:
    """The places of the bits that are set, from the lowest on."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
