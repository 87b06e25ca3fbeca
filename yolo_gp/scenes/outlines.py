"""Silhouettes: the six classes, clutter that is none of them, and the pixels they cover.

Legend: P points of an outline, each x, y.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from yolo_gp.scenes.recipe import ARMS, HOLES, STAR_WAISTS

Points = NDArray[np.float64]

_ROUND = 96  # corners of a circle: at 300 pixels 0.1 pixels off
_LONG = 160  # pixels: longer silhouettes are drawn at 3 times their size, others at 5 times, which
# are odd so that no pixel is exactly half covered


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Fields: edge: (P, 2) float64. hole: likewise, what is left out of it; None if nothing is."""

    edge: Points
    hole: Points | None = None


def _arc(start: float, stop: float, radius: float = 1.0, count: int = _ROUND) -> Points:
    angles = np.linspace(start, stop, count)
    return radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)


def _corners(count: int, radius: float = 1.0, turn: float = 0.0) -> Points:
    return _arc(turn, turn + 2 * math.pi * (count - 1) / count, radius, count)


def _circle(rng: np.random.Generator) -> Outline:
    return Outline(_corners(_ROUND))


def _square(rng: np.random.Generator) -> Outline:
    return Outline(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64))


def _triangle(rng: np.random.Generator) -> Outline:
    return Outline(_corners(3))


def _star(rng: np.random.Generator) -> Outline:
    tips, waists = _corners(5), _corners(5, rng.uniform(*STAR_WAISTS), math.pi / 5)
    return Outline(np.stack((tips, waists), axis=1).reshape(10, 2))


def _ring(rng: np.random.Generator) -> Outline:
    return Outline(_corners(_ROUND), _corners(_ROUND, rng.uniform(*HOLES)))


def _cross(rng: np.random.Generator) -> Outline:
    a = rng.uniform(*ARMS)
    arm = [(1, -a), (1, a), (a, a)]  # the arm to the right, and the corner after it
    turned = [[(x, y), (-y, x), (-x, -y), (y, -x)] for x, y in arm]
    return Outline(np.array([turned[point][turn] for turn in range(4) for point in range(3)]))


def _bar(rng: np.random.Generator) -> Outline:
    thin = rng.uniform(0.05, 0.2)
    return Outline(np.array([(-1, -thin), (1, -thin), (1, thin), (-1, thin)]))


def _bow(rng: np.random.Generator) -> Outline:
    """A piece of a thin ring, too short to be taken for one that is half hidden."""
    half, inner = rng.uniform(0.4, 1.0), rng.uniform(0.8, 0.95)
    return Outline(np.concatenate((_arc(-half, half, count=24), _arc(half, -half, inner, 24))))


def _wave(rng: np.random.Generator) -> Outline:
    along = np.linspace(-1, 1, 48)
    across = rng.uniform(0.1, 0.3) * np.sin(rng.uniform(4, 11) * along)
    thin = rng.uniform(0.03, 0.09)
    there, back = np.stack((along, across - thin), 1), np.stack((along, across + thin), 1)
    return Outline(np.concatenate((there, back[::-1])))


def _crescent(rng: np.random.Generator) -> Outline:
    bulge = rng.uniform(0.2, 0.6)
    outer = _arc(-math.pi / 2, math.pi / 2, count=32)
    return Outline(np.concatenate((outer, outer[::-1] * (bulge, 1))))


def _blob(rng: np.random.Generator) -> Outline:
    angles = np.linspace(0, 2 * math.pi, _ROUND, endpoint=False)
    waves = np.arange(2, 6)
    phases = rng.uniform(0, 2 * math.pi, 4)
    heights = rng.uniform(0.4, 1, 4) * (0.3, 0.22, 0.15, 0.1)
    radii = 1 + np.cos(np.outer(angles, waves) + phases) @ heights
    return Outline(radii[:, None] * _corners(_ROUND))


CLASSES: dict[str, Callable[[np.random.Generator], Outline]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
}
CLASS_NAMES = tuple(CLASSES)
CLUTTER_KINDS = (_bar, _bow, _wave, _crescent, _blob)


def posed(outline: Outline, side: float, stretch: float, angle: float) -> Outline:
    """The outline made `stretch` times wider, turned, and scaled to a box of longer side `side`.

    Args:
        side: in pixels.
        angle: in radians, clockwise as seen in the image.

    Returns:
        An outline whose box begins at 0, 0.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([(stretch, 0), (0, 1)]) @ np.array([(cos, sin), (-sin, cos)])
    edge = outline.edge @ matrix
    low = edge.min(axis=0)
    scale = side / (edge.max(axis=0) - low).max()
    hole = None if outline.hole is None else (outline.hole @ matrix - low) * scale
    return Outline((edge - low) * scale, hole)


def coverage(outline: Outline) -> NDArray[np.uint8]:
    """How much of each pixel lies inside, 0 to 255, from pixel 0, 0 to the outline's last."""
    width, height = np.ceil(outline.edge.max(axis=0)).astype(int).tolist()
    fine = 3 if max(width, height) > _LONG else 5
    canvas = Image.new("L", (width * fine, height * fine))
    draw = ImageDraw.Draw(canvas)
    for points, value in ((outline.edge, 255), (outline.hole, 0)):
        if points is not None:
            draw.polygon((points * fine - 0.5).ravel().tolist(), fill=value)
    return np.asarray(canvas.reduce(fine))
