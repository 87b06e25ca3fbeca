"""What instance masks train with: every cell of a mask inside its box, in or out.

Legend: P positives, M prototypes of h x w cells that cover the network input, T objects.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from yolo_gp.losses.targets import Targets


def mask_loss(
    coefficients: Tensor, prototypes: Tensor, image: Tensor, truth: Tensor, targets: Targets
) -> Tensor:
    """Binary cross-entropy of coefficients x prototypes, as a mean over positives.

    Of each mask the cells count whose centres lie in the object's box; their sum is divided by the
    box's area, in cells, but by 1 at least. 0 if the targets have no masks.

    Args:
        coefficients: (P, M).
        prototypes: (N, M, h, w).
        image, truth: (P,) of each positive, the image of the batch and the number of its object.

    Source: the mask branch of YOLACT (Bolya et al., ICCV 2019, section 3), with the crop's
    loss divided by the box as there.
    """
    # Sums over nothing keep a head without positives in the graph: its gradient is zero, not None.
    total = coefficients[:0].sum() + prototypes[:0].sum()
    if targets.masks is None or not len(truth):
        return total
    height, width = prototypes.shape[2:]
    masks = _resized(targets.masks, (height, width))
    inside, area = _boxes_in_cells(targets.boxes_cxcywh_norm, (height, width))
    for number in sorted(set(image.tolist())):
        own = (image == number).nonzero().flatten()
        logits = coefficients[own] @ prototypes[number].flatten(1)
        wanted = masks[truth[own]].flatten(1).to(logits.dtype)
        errors = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        cropped = (errors * inside[truth[own]].flatten(1)).sum(1)
        total = total + (cropped / area[truth[own]]).sum()
    return total / len(truth)


def _resized(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (T, h, w) at another resolution: the value at each new cell's centre."""
    if masks.shape[1:] == size or not len(masks):
        return masks
    return F.interpolate(masks[:, None].float(), size, mode="nearest-exact")[:, 0]


def _boxes_in_cells(boxes_cxcywh_norm: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Which of h x w cells have their centre in each box (T, h, w), and areas in cells (T,)."""
    height, width = size
    scaled = boxes_cxcywh_norm * boxes_cxcywh_norm.new_tensor((width, height, width, height))
    low, high = scaled[:, :2] - scaled[:, 2:] / 2, scaled[:, :2] + scaled[:, 2:] / 2
    rows = torch.arange(height, device=scaled.device) + 0.5
    columns = torch.arange(width, device=scaled.device) + 0.5
    across = (columns >= low[:, :1]) & (columns < high[:, :1])
    down = (rows >= low[:, 1:]) & (rows < high[:, 1:])
    return down[:, :, None] & across[:, None], scaled[:, 2:].prod(1).clamp(min=1)
