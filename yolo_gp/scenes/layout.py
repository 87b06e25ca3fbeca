"""What stands where in a scene, and what of it can be seen, before anything has a colour.

No shape is hidden by more than the recipe allows: what would hide it more is put elsewhere, or
left out. So every object of a scene is in its ground truth, and none is there that cannot be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.scenes.outlines import (
    CLASS_NAMES,
    CLASSES,
    CLUTTER_KINDS,
    Outline,
    coverage,
    posed,
)
from yolo_gp.scenes.recipe import (
    BANDS,
    CLUTTER,
    CLUTTER_SIDES,
    DEPTH_NOISE,
    LEAST_VISIBLE,
    SMALLEST_SIDE,
    SPILL,
    STRETCH,
    TRIES,
)

HALF = 128  # of 255: a pixel belongs to a shape that covers at least half of it


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A silhouette at its place.

    Fields:
        class_id: None for clutter.
        covered: (h, w) uint8; 255 where it covers the whole pixel.
        top, left: the image's pixel where `covered` begins; may be negative.
    """

    class_id: int | None
    covered: NDArray[np.uint8]
    top: int
    left: int

    def inside(self, size: tuple[int, int]) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """The part of an image that the piece can reach, and which of its pixels are its own."""
        height, width = self.covered.shape
        rows = slice(max(0, self.top), min(size[0], self.top + height))
        columns = slice(max(0, self.left), min(size[1], self.left + width))
        own = self.covered[
            rows.start - self.top : rows.stop - self.top,
            columns.start - self.left : columns.stop - self.left,
        ]
        return (rows, columns), own >= HALF


class Layout:
    """Pieces, the undermost first, and which of them shows at each pixel.

    Fields:
        pieces: in the order they were put down.
        owners: (H, W) int16; the number of the uppermost piece, -1 where there is none.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.pieces: list[Piece] = []
        self.owners = np.full(size, -1, np.int16)
        self._visible = np.zeros(0, np.int64)  # pixels, by piece
        self._least = np.zeros(0, np.float64)

    def put(self, piece: Piece) -> bool:
        """Put a piece on top, unless it or one beneath would be hidden too far."""
        size = self.owners.shape
        region, own = piece.inside((size[0], size[1]))
        hidden = np.bincount(self.owners[region][own] + 1, minlength=len(self.pieces) + 1)[1:]
        shown = np.append(self._visible - hidden, np.count_nonzero(own))
        whole = np.count_nonzero(piece.covered >= HALF)
        least = np.append(self._least, 0 if piece.class_id is None else LEAST_VISIBLE * whole)
        if (shown < least).any():
            return False
        self.owners[region][own] = len(self.pieces)
        self.pieces.append(piece)
        self._visible, self._least = shown, least
        return True


@dataclass(frozen=True, slots=True)
class _Wish:
    """A shape that is to find a place. Fields: side: in pixels. depth: higher lies lower."""

    class_id: int | None
    side: float
    depth: float


def lay_out(rng: np.random.Generator, size: tuple[int, int]) -> Layout:
    """Draw the shapes of a scene of (height, width) and find places for them."""
    layout = Layout(size)
    for wish in sorted(_wishes(rng, min(size)), key=lambda wish: -wish.depth):
        covered = _silhouette(rng, wish)
        for _ in range(TRIES):
            top = _start(rng, covered.shape[0], size[0])
            left = _start(rng, covered.shape[1], size[1])
            if layout.put(Piece(wish.class_id, covered, top, left)):
                break
    return layout


def _wishes(rng: np.random.Generator, extent: int) -> list[_Wish]:
    """The objects and the clutter of a scene whose shorter side is `extent` pixels."""
    found = []
    for band in BANDS:
        shares = np.array(band.counts) / sum(band.counts)
        for _ in range(int(rng.choice(len(shares), p=shares))):
            found.append(_wish(rng, int(rng.integers(len(CLASS_NAMES))), band.sides, extent))
    for _ in range(int(rng.integers(CLUTTER[0], CLUTTER[1] + 1))):
        found.append(_wish(rng, None, CLUTTER_SIDES, extent))
    return found


def _wish(
    rng: np.random.Generator, class_id: int | None, shares: tuple[float, float], extent: int
) -> _Wish:
    low, high = (max(SMALLEST_SIDE, share * extent) for share in shares)
    side = low * (high / low) ** rng.random()
    return _Wish(class_id, side, side * math.exp(DEPTH_NOISE * rng.standard_normal()))


def _silhouette(rng: np.random.Generator, wish: _Wish) -> NDArray[np.uint8]:
    """The pixels of a shape of that size: of random proportions, turned and moved at random."""
    if wish.class_id is None:
        outline = CLUTTER_KINDS[int(rng.integers(len(CLUTTER_KINDS)))](rng)
    else:
        outline = CLASSES[CLASS_NAMES[wish.class_id]](rng)
    stretch = STRETCH ** rng.uniform(-1, 1)
    shape = posed(outline, wish.side, stretch, rng.uniform(0, 2 * math.pi))
    shift = rng.random(2)  # so that edges fall between pixels too
    hole = None if shape.hole is None else shape.hole + shift
    return coverage(Outline(shape.edge + shift, hole))


def _start(rng: np.random.Generator, extent: int, limit: int) -> int:
    """Where a shape of `extent` pixels begins along an axis of `limit`."""
    low, high = -SPILL * extent, limit - extent + SPILL * extent
    return round(rng.uniform(min(low, high), max(low, high)))
