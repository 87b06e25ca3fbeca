"""Anchors for a data set: k-means over box sizes, with 1 - IoU as the distance.

Legend: T boxes, K anchors, (width, height) in pixels of the network input. Boxes and anchors are
compared as if they had the same centre.  Source: Darknet `detector calc_anchors`, darknet.md 7.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo_gp.analysis.tables import SCHEMA_VERSION
from yolo_gp.data.annotations import AnnotatedDataset, to_ground_truth
from yolo_gp.data.headers import upright_size
from yolo_gp.errors import DataError
from yolo_gp.shapes import format_size

_RESTARTS = 12
_ROUNDS = 100  # of one k-means; it has settled long before
_SAMPLE = 5_000  # boxes that the restarts look at; the best one is then fitted to all
_LIMIT = 200_000  # boxes that even the last fit looks at: more change no digit that is printed
_STEPS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # of a side, for the last fit
_DECIMALS = 1
_GOOD = 0.5  # IoU from which Darknet calls a box recalled

Sizes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AnchorScore:
    """How well anchors fit boxes.

    Fields:
        mean_iou: over the boxes, of each one's best IoU with an anchor.
        recall: share of the boxes whose best IoU exceeds .5.
    """

    mean_iou: float
    recall: float


def box_sizes(
    dataset: AnnotatedDataset,
    size: tuple[int, int],
    *,
    letter_box: bool = False,
    advance: Callable[[int], object] | None = None,
) -> Sizes:
    """(T, 2) of all boxes, their images resized to (height, width) = `size`.

    Crowds, difficult objects and boxes without area are left out.

    Args:
        letter_box: images keep their aspect ratio.

    Raises:
        DataError: annotations, or the size of an image, cannot be read.
    """
    found = [np.zeros((0, 2))]
    for index in range(len(dataset.samples)):
        sample = dataset.samples[index]
        image = sample.size or upright_size(sample.path)
        truth = to_ground_truth(dataset.annotations(index, image), image, masks=False)
        wh = truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2]
        wanted = ~truth.ignored & (wh > 0).all(axis=1)
        factors = size[1] / image[1], size[0] / image[0]
        found.append(wh[wanted] * ((min(factors),) * 2 if letter_box else factors))
        if advance:
            advance(1)
    return np.concatenate(found)


def score_anchors(boxes: Sizes, anchors: Sizes) -> AnchorScore:
    """Args: boxes: (T, 2), at least one. anchors: (K, 2), at least one."""
    best = _ious(boxes, anchors).max(axis=1)
    return AnchorScore(float(best.mean()), float((best > _GOOD).mean()))


def fit_anchors(boxes: Sizes, num: int, *, seed: int = 0) -> Sizes:
    """(num, 2) anchors for the boxes, sorted by area, in tenths of a pixel.

    The best of several k-means, each from another start and then moved side by side as long as
    the mean best IoU grows: the mean of a cluster is not yet what its boxes overlap most.

    Raises:
        DataError: fewer different boxes than anchors.
    """
    different = len(np.unique(boxes, axis=0))
    if different < num:
        raise DataError(f"the data has {different} different box sizes, too few for {num} anchors")
    rng = np.random.default_rng(seed)
    sample = _some(boxes, _SAMPLE, rng)
    if len(np.unique(sample, axis=0)) < num:
        sample = np.unique(boxes, axis=0)
    starts = (_spread_start(sample, num, rng) for _ in range(_RESTARTS))
    tried = [_climb(sample, _k_means(sample, start)) for start in starts]
    best = max(tried, key=lambda anchors: score_anchors(sample, anchors).mean_iou)
    if len(sample) < len(boxes):
        all_boxes = _some(boxes, _LIMIT, rng)
        best = _climb(all_boxes, _k_means(all_boxes, best))
    best = np.maximum(best.round(_DECIMALS), 10.0**-_DECIMALS)
    return best[np.lexsort((best[:, 0], best.prod(axis=1)))]


def _ious(boxes: Sizes, anchors: Sizes) -> NDArray[np.float64]:
    """(T, K) IoU of boxes with a common centre."""
    width = np.minimum(boxes[:, None, 0], anchors[None, :, 0])
    height = np.minimum(boxes[:, None, 1], anchors[None, :, 1])
    shared = width * height
    both = boxes[:, 0] * boxes[:, 1], anchors[:, 0] * anchors[:, 1]
    return np.asarray(shared / (both[0][:, None] + both[1][None] - shared), np.float64)


def _some(boxes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    if len(boxes) <= count:
        return boxes
    return boxes[rng.choice(len(boxes), count, replace=False)]


def _spread_start(boxes: Sizes, num: int, rng: np.random.Generator) -> Sizes:
    """Boxes drawn one after the other, likelier the worse those before them fit (k-means++)."""
    chosen = [boxes[rng.integers(len(boxes))]]
    distance = 1 - _ious(boxes, np.array(chosen))[:, 0]
    while len(chosen) < num:
        distance = np.maximum(distance, 0)
        chosen.append(boxes[rng.choice(len(boxes), p=distance / distance.sum())])
        distance = np.minimum(distance, 1 - _ious(boxes, chosen[-1][None])[:, 0])
    return np.array(chosen)


def _k_means(boxes: Sizes, start: Sizes) -> Sizes:
    """The best anchors met: with this distance a round may lose what the one before had won."""
    anchors = best = start
    best_score, nearest = -1.0, np.zeros(0)
    for _ in range(_ROUNDS):
        ious = _ious(boxes, anchors)
        score = float(ious.max(axis=1).mean())
        if score > best_score:
            best, best_score = anchors, score
        now = ious.argmax(axis=1)
        if np.array_equal(now, nearest):
            break
        nearest = now
        anchors = np.array(
            [
                boxes[nearest == k].mean(axis=0) if (nearest == k).any() else anchors[k]
                for k in range(len(anchors))
            ]
        )
    return best


def _climb(boxes: Sizes, anchors: Sizes) -> Sizes:
    """Move one side of one anchor at a time, by ever smaller steps, while that helps."""
    anchors = anchors.copy()
    ious = _ious(boxes, anchors)
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for k in range(len(anchors)):
                improved |= _improve(boxes, anchors, ious, k, step)
    return anchors


def _improve(boxes: Sizes, anchors: Sizes, ious: NDArray[np.float64], k: int, step: float) -> bool:
    """Try both sides of anchor `k`, longer and shorter; changes `anchors` and `ious`."""
    others = np.delete(ious, k, axis=1).max(axis=1, initial=0)
    score = float(np.maximum(others, ious[:, k]).mean())
    improved = False
    for factors in ((1 + step, 1), (1 / (1 + step), 1), (1, 1 + step), (1, 1 / (1 + step))):
        moved = anchors[k] * factors
        column = _ious(boxes, moved[None])[:, 0]
        new = float(np.maximum(others, column).mean())
        if new > score + 1e-9:
            anchors[k], ious[:, k] = moved, column
            score, improved = new, True
    return improved


@dataclass(frozen=True, slots=True)
class AnchorComparison:
    """Fields:
    boxes: how many boxes were looked at.
    size: (height, width) of the network input.
    anchors_wh: the fitted ones, by area.
    own_wh, own_score: those of a cfg; empty and None without one.
    """

    boxes: int
    size: tuple[int, int]
    anchors_wh: tuple[tuple[float, float], ...]
    score: AnchorScore
    own_wh: tuple[tuple[float, float], ...]
    own_score: AnchorScore | None


def compare_anchors(
    boxes: Sizes, num: int, size: tuple[int, int], own_wh: tuple[tuple[float, float], ...] = ()
) -> AnchorComparison:
    """Fit anchors, and score those of a cfg on the same boxes.

    Raises:
        DataError: fewer different boxes than anchors.
    """
    fitted = fit_anchors(boxes, num)
    own = score_anchors(boxes, np.array(own_wh, np.float64)) if own_wh else None
    pairs = tuple((width, height) for width, height in fitted.tolist())
    return AnchorComparison(len(boxes), size, pairs, score_anchors(boxes, fitted), own_wh, own)


def anchors_report(found: AnchorComparison, cfg: str | None) -> str:
    """A line for a cfg, and comment lines that may stand beside it there."""
    pairs = (f"{width:g},{height:g}" for width, height in found.anchors_wh)
    lines = [
        f"# {found.boxes:,} boxes at {format_size(found.size)}: {_score_text(found.score)}",
        f"anchors = {',  '.join(pairs)}",
    ]
    if found.own_score is not None:
        own = f"the {len(found.own_wh)} anchors of {cfg}: {_score_text(found.own_score)}"
        lines.append(f"# {own}")
    return "\n".join(lines)


def _score_text(score: AnchorScore) -> str:
    return f"mean best IoU {score.mean_iou:.4f}, {100 * score.recall:.2f} % above .5"


def anchors_data(found: AnchorComparison) -> dict[str, object]:
    """The comparison for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "boxes": found.boxes,
        "input_size": list(found.size),
        "anchors_wh": [list(wh) for wh in found.anchors_wh],
        "mean_iou": found.score.mean_iou,
        "recall": found.score.recall,
        "cfg": found.own_score
        and {
            "anchors_wh": [list(wh) for wh in found.own_wh],
            "mean_iou": found.own_score.mean_iou,
            "recall": found.own_score.recall,
        },
    }
