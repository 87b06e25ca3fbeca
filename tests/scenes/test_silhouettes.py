"""The six silhouettes against their areas in geometry, and who hides whom."""

from __future__ import annotations

import math

import numpy as np
import pytest

from yolo_gp.scenes.layout import HALF, Layout, Piece, lay_out
from yolo_gp.scenes.outlines import CLASS_NAMES, CLASSES, CLUTTER_KINDS, coverage, posed
from yolo_gp.scenes.recipe import ARMS, BANDS, HOLES, LEAST_VISIBLE, STAR_WAISTS

SIDE = 200.0
# Areas for a box of longer side 1, at angle 0 (a corner or a tip points right).
# Triangle: its side is the box's height. Star: ten triangles between radii R and wR, 36 degrees
# apart; its tips at +-72 degrees make the box 2 sin(72) R high. Cross: the square less 4 corners.
AREAS = {
    "circle": lambda _: math.pi / 4,
    "square": lambda _: 1.0,
    "triangle": lambda _: math.sqrt(3) / 4,
    "star": lambda waist: 5 * waist * math.sin(math.pi / 5) / (2 * math.sin(0.4 * math.pi)) ** 2,
    "ring": lambda hole: math.pi / 4 * (1 - hole**2),
    "cross": lambda arm: 1 - (1 - arm) ** 2,
}
FREE = {"star": STAR_WAISTS, "ring": HOLES, "cross": ARMS}


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_a_class_covers_the_area_of_its_figure(name: str) -> None:
    outline = posed(CLASSES[name](np.random.default_rng(1)), SIDE, 1.0, 0.0)
    # the first number that the same generator gives is the figure's free proportion
    free = np.random.default_rng(1).uniform(*FREE.get(name, (0, 1)))
    covered = coverage(outline)
    expected = AREAS[name](free) * SIDE**2
    assert covered.sum() / 255 == pytest.approx(expected, rel=0.01)
    assert np.count_nonzero(covered >= HALF) == pytest.approx(expected, rel=0.01)


def test_a_square_on_its_corner_has_half_the_area_of_its_box() -> None:
    outline = posed(CLASSES["square"](np.random.default_rng(0)), SIDE, 1.0, math.pi / 4)
    assert coverage(outline).sum() / 255 == pytest.approx(SIDE**2 / 2, rel=0.01)


@pytest.mark.parametrize("kind", [*CLASSES.values(), *CLUTTER_KINDS])
@pytest.mark.parametrize("side", [12.0, 250.0])
def test_the_longer_side_of_the_box_is_what_was_asked_for(kind: object, side: float) -> None:
    rng = np.random.default_rng(2)
    assert callable(kind)
    for angle in (0.0, 0.7, 2.0):
        outline = posed(kind(rng), side, 1.2, angle)
        assert outline.edge.min(axis=0) == pytest.approx((0, 0), abs=1e-9)
        assert outline.edge.max() == pytest.approx(side)
        rows = np.flatnonzero(coverage(outline).any(axis=1))
        columns = np.flatnonzero(coverage(outline).any(axis=0))
        assert abs(max(np.ptp(rows), np.ptp(columns)) + 1 - side) <= 1


def block(rows: int, *, top: int, class_id: int | None = 0) -> Piece:
    """A full rectangle, 10 pixels wide."""
    return Piece(class_id, np.full((rows, 10), 255, np.uint8), top, 0)


def test_an_object_may_be_hidden_as_far_as_the_recipe_says_and_no_further() -> None:
    hideable = math.floor(100 * (1 - LEAST_VISIBLE) + 1e-9)  # of 100 rows
    layout = Layout((200, 10))
    assert layout.put(block(100, top=0))
    assert not layout.put(block(hideable + 1, top=0))
    assert layout.put(block(hideable, top=0))
    assert not layout.put(block(1, top=hideable, class_id=None))  # clutter hides too
    assert [np.count_nonzero(layout.owners == n) for n in (0, 1)] == [
        10 * (100 - hideable),
        10 * hideable,
    ]


def test_what_lies_beyond_the_image_counts_as_hidden_but_not_for_clutter() -> None:
    hideable = math.floor(100 * (1 - LEAST_VISIBLE) + 1e-9)
    layout = Layout((200, 10))
    assert not layout.put(block(100, top=-hideable - 1))
    assert layout.put(block(100, top=-hideable))
    assert layout.put(block(100, top=190, class_id=None))


def test_classes_and_sizes_come_as_often_as_the_recipe_says() -> None:
    counts = np.zeros(len(CLASS_NAMES), int)
    sides = []
    for seed in range(600):
        for piece in lay_out(np.random.default_rng(seed), (320, 320)).pieces:
            if piece.class_id is not None:
                counts[piece.class_id] += 1
                sides.append(max(piece.covered.shape) / 320)
    # Of each band an image gets the mean of its counts: .3 x 0 + .45 x 1 + .2 x 2 ...
    means = [np.average(range(len(band.counts)), weights=band.counts) for band in BANDS]
    assert counts.sum() == pytest.approx(600 * sum(means), rel=0.05)
    # Six equally likely classes: chi-square of 5 degrees of freedom exceeds 20.5 once in 1000.
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 20.5
    for band, mean in zip(BANDS, means, strict=True):
        low, high = band.sides
        # silhouettes lie between pixels, so they touch up to two more than their side
        inside = [side for side in sides if low <= side <= high + 2 / 320]
        assert len(inside) == pytest.approx(600 * mean, rel=0.1)
        assert np.mean(np.less(inside, math.sqrt(low * high) + 1 / 320)) == pytest.approx(
            0.5, abs=0.07
        )
