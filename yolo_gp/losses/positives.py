"""Which cells and anchors are told to hold which objects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Positives:
    """Cells told to hold an object, each (P,) int64.

    Fields:
        image, slot, row, column: where; `slot` counts the head's own anchors.
        truth: the number of the object.
    """

    image: Tensor
    slot: Tensor
    row: Tensor
    column: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return int(self.truth.shape[0])

    @property
    def place(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """An index into a map (N, A, H, W, ...)."""
        return self.image, self.slot, self.row, self.column

    def only(self, chosen: Tensor) -> Positives:
        """Those that `chosen` picks, a mask (P,) or numbers (k,)."""
        parts = (*self.place, self.truth)
        return Positives(*(part[chosen] for part in parts))

    def rank(self, slots: int, grid: tuple[int, int]) -> Tensor:
        """How many earlier ones stand at the same place: (P,).

        Args:
            slots: A.
            grid: (H, W).
        """
        height, width = grid
        place = ((self.image * slots + self.slot) * height + self.row) * width + self.column
        order = place.argsort(stable=True)
        sorted_place = place[order]
        position = torch.arange(len(place), device=place.device)
        starts = torch.ones_like(sorted_place, dtype=torch.bool)
        starts[1:] = sorted_place[1:] != sorted_place[:-1]
        first = torch.where(starts, position, 0).cummax(0).values
        rank = torch.empty_like(position)
        rank[order] = position - first
        return rank
