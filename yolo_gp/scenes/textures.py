"""Procedural textures: a field of one number a pixel, coloured by a palette of a few stops.

Sizes are (height, width).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo_gp.scenes.recipe import PERIODS

_Size = tuple[int, int]
_Field = NDArray[np.float32]  # (H, W), about 0 to 1


def texture(rng: np.random.Generator, size: _Size, weights: Mapping[str, float]) -> Image.Image:
    """A grey texture (mode L) of one of the kinds, as often as its weight says."""
    shares = np.array(list(weights.values()), np.float64)
    kind = list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    field = _KINDS[kind](rng, size)
    return Image.fromarray((field.clip(0, 1) * 255).astype(np.uint8))


def coloured(grey: Image.Image, stops: NDArray[np.float64]) -> Image.Image:
    """The texture with its values mapped to colours; `stops` is (S, 3), from 0 to 255."""
    at = np.linspace(0, 255, len(stops))
    channels = [np.interp(np.arange(256), at, stops[:, channel]) for channel in range(3)]
    palette = np.stack(channels, axis=1).clip(0, 255).astype(np.uint8)
    painted = grey.copy()
    painted.putpalette(palette.tobytes())
    return painted.convert("RGB")


def _period(rng: np.random.Generator) -> float:
    low, high = PERIODS
    return float(low * (high / low) ** rng.random())


def _ramp(rng: np.random.Generator, size: _Size) -> _Field:
    """Pixels along a random direction."""
    angle = rng.uniform(0, 2 * math.pi)
    down = np.arange(size[0], dtype=np.float32) * np.float32(math.sin(angle))
    across = np.arange(size[1], dtype=np.float32) * np.float32(math.cos(angle))
    return down[:, None] + across


def _waves(rng: np.random.Generator, along: _Field) -> _Field:
    """-1 to 1 along the given positions: soft, or with sharp edges."""
    sharpness = (1, 2, 8)[int(rng.integers(3))]
    waves: _Field = np.sin(along * (2 * math.pi / _period(rng))) * sharpness
    return waves.clip(-1, 1)


def _halved(waves: _Field) -> _Field:
    """From -1 to 1 to 0 to 1."""
    field: _Field = (waves + 1) * np.float32(0.5)
    return field


def _plain(rng: np.random.Generator, size: _Size) -> _Field:
    return np.full(size, 0.5, np.float32)


def _gradient(rng: np.random.Generator, size: _Size) -> _Field:
    ramp = _ramp(rng, size)
    low, high = float(ramp.min()), float(ramp.max())
    field: _Field = (ramp - low) / max(high - low, 1e-6)
    return field


def _stripes(rng: np.random.Generator, size: _Size) -> _Field:
    return _halved(_waves(rng, _ramp(rng, size)))


def _checker(rng: np.random.Generator, size: _Size) -> _Field:
    return _halved(_waves(rng, _ramp(rng, size)) * _waves(rng, _ramp(rng, size)))


def _noise(rng: np.random.Generator, size: _Size) -> _Field:
    """Random values on three grids, each finer than the last, interpolated and added up."""
    cell, total = 2 * _period(rng), np.zeros(size, np.float32)
    for share in (0.6, 0.3, 0.1):
        grid = [math.ceil(extent / cell) + 1 for extent in size]
        values = Image.fromarray(rng.integers(0, 256, grid, np.uint8))
        smooth = values.resize(size[::-1], Image.Resampling.BICUBIC)
        total += np.asarray(smooth, np.float32) * (share / 255)
        cell = max(2.0, cell / 3)
    field: _Field = total * 1.6 - 0.3  # the sum of three keeps to the middle: spread it
    return field


def _marble(rng: np.random.Generator, size: _Size) -> _Field:
    """Stripes that noise has bent."""
    bent = _ramp(rng, size) + _noise(rng, size) * float(rng.uniform(10, 60))
    return _halved(_waves(rng, bent))


_KINDS: dict[str, Callable[[np.random.Generator, _Size], _Field]] = {
    "plain": _plain,
    "gradient": _gradient,
    "stripes": _stripes,
    "checker": _checker,
    "noise": _noise,
    "marble": _marble,
}
