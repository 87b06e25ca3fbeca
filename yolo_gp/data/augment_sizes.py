"""Multi-scale training: the size of the network input as a function of the iteration."""

from __future__ import annotations

import math

import numpy as np

from yolo_gp.data.augmentation import Augmentation, DarknetAugmentation, ModernAugmentation

_PERIOD = 10  # iterations between two sizes
_LAST = 100  # iterations at the end that Darknet trains at the largest size
_STREAM = 2  # keeps these draws apart from those of the loader, which has streams 0 and 1


def input_size(
    augmentation: Augmentation,
    size: tuple[int, int],
    *,
    stride: int,
    seed: int,
    iteration: int,
    iterations_total: int | None = None,
) -> tuple[int, int]:
    """(height, width) of the network input at an iteration, counted from 0.

    It changes every ten iterations and depends on nothing but the arguments.

    Args:
        size: as in the cfg.
        stride: modern sizes are multiples of it.
        iterations_total: Darknet trains the last 100 at the largest size.
    """
    group = iteration // _PERIOD
    rng = np.random.default_rng((seed, _STREAM, group))
    match augmentation:
        case DarknetAugmentation() if augmentation.random:
            first = group * _PERIOD
            ending = iterations_total is not None and first >= iterations_total - _LAST
            return _darknet(augmentation, size, rng, largest=group == 0 or ending)
        case ModernAugmentation() if augmentation.multi_scale:
            factor = 1 + augmentation.multi_scale * rng.uniform(-1, 1)
            return _modern(size[0], factor, stride), _modern(size[1], factor, stride)
    return size


def largest_size(augmentation: Augmentation, size: tuple[int, int]) -> tuple[int, int]:
    """What pictures are loaded for: the largest (height, width) of Darknet's multi-scale.

    The modern recipe enlarges pictures that were loaded for `size`, as YOLOv5 does.
    """
    if isinstance(augmentation, DarknetAugmentation) and augmentation.random:
        step, spread = augmentation.resize_step, max(1.0, augmentation.spread)
        return _darknet_side(size[0], spread, step), _darknet_side(size[1], spread, step)
    return size


def _darknet(
    settings: DarknetAugmentation, size: tuple[int, int], rng: np.random.Generator, *, largest: bool
) -> tuple[int, int]:
    """Source: darknet.md 6.5."""
    step = settings.resize_step
    if largest:
        factor = settings.spread
    else:
        factor = 1 + (settings.spread - 1) * rng.random()
        factor = 1 / factor if rng.random() < 0.5 else factor
    sides = _darknet_side(size[0], factor, step), _darknet_side(size[1], factor, step)
    if factor < 1 and (sides[0] > size[0] or sides[1] > size[1]):
        return size
    return sides


def _darknet_side(side: int, factor: float, step: int) -> int:
    return max(1, math.floor(factor * side / step + 1.5)) * step  # halves go up


def _modern(side: int, factor: float, stride: int) -> int:
    return max(1, round(side * factor / stride)) * stride
