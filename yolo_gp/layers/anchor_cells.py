"""How the maps of anchor-based heads are laid out: cells row by row, the anchors inside a cell.

Legend: N images, A anchors, E entries of an anchor, K = A H W places, numbered cell * A + anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def entries_by_place(raw: Tensor, anchors: int) -> Tensor:
    """A map (N, A E, H, W), anchor by anchor, as (N, K, E) in float32."""
    batch, channels, height, width = raw.shape
    entries = channels // anchors
    cells = raw.float().reshape(batch, anchors, entries, height * width)
    return cells.permute(0, 3, 1, 2).reshape(batch, height * width * anchors, entries)


def cell_corners(places: Tensor, anchors: int, width: int) -> Tensor:
    """(column, row) of the cells of places (k,): (k, 2)."""
    import torch

    cell = places // anchors
    return torch.stack((cell % width, cell // width), dim=1)


def anchors_of(places: Tensor, anchors_wh: Sequence[tuple[float, float]]) -> Tensor:
    """Width and height of the anchors (A) of places (k,): (k, 2) float32."""
    import torch

    table = torch.tensor(anchors_wh, dtype=torch.float32, device=places.device).reshape(-1, 2)
    return table[places % len(anchors_wh)]
