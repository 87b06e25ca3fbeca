"""Task-aligned assignment once more: object by object, in Python's floats, from its description."""

from __future__ import annotations

import math

import numpy as np

from .darknet_by_hand import Box, Truth, overlap


def slow_alignment(
    boxes: list[Box], scores: np.ndarray, centres: np.ndarray, truths: list[Truth]
) -> dict[int, tuple[int, float]]:
    """For each cell that answers for an object: the object and the weight. In pixels.

    Args:
        scores: (K, C).
        centres: (K, 2).
    """
    chosen: dict[int, list[tuple[float, int, float]]] = {}
    for number, truth in enumerate(truths):
        x, y, w, h = truth.box
        ranked = []
        for cell, (cx, cy) in enumerate(centres.tolist()):
            if not (x - w / 2 < cx < x + w / 2 and y - h / 2 < cy < y + h / 2):
                continue
            u = overlap("iou", boxes[cell], truth.box)
            t = math.sqrt(scores[cell, truth.class_id]) * u**6
            if t > 0:
                ranked.append((t, cell, u))
        for t, cell, u in sorted(ranked, reverse=True)[:10]:
            chosen.setdefault(cell, []).append((u, number, t))
    final = {cell: max(options) for cell, options in chosen.items()}
    result = {}
    for cell, (_, number, t) in final.items():
        own = [(other_u, other_t) for other_u, n, other_t in final.values() if n == number]
        scale = max(u for u, _ in own) / max(t for _, t in own)
        result[cell] = (number, t * scale)
    return result
