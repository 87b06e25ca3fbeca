"""Dropout of squares (darknet.md 6.9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_GROWN_AT = 0.85  # of a training


class DropBlock(nn.Module):
    """In training, zeroes one square of a channel with `probability`, and scales up the rest.

    A square of b x b lies in a channel if any of its numbers draws less than probability / b^2, at
    the place of the smallest draw, moved inside the map. What is left of an image is divided by its
    share. Probability and b grow from 0 with `progress`; b is at least 1.

    Source: Darknet src/dropout_layer_kernels.cu; darknet.md 6.9.

    Attributes:
        progress: how far the two have grown, 0 to 1; `follow` sets it.
    """

    def __init__(self, probability: float, sides: tuple[float, float]) -> None:
        """Blocks as large as the smaller of `sides`, (height, width) in cells."""
        super().__init__()
        self.probability = probability
        self.side = min(sides)
        self.progress = 1.0

    def follow(self, done: float) -> None:
        """Grow as far as a training has come of which so large a share is done."""
        self.progress = min(1.0, done / _GROWN_AT)

    def forward(self, x: Tensor) -> Tensor:
        probability = self.probability * self.progress
        if not self.training or probability == 0:
            return x
        kept = self._kept(x, probability)
        share = kept.mean((1, 2, 3), keepdim=True).clamp(min=1 / x[0].numel())
        return x * (kept / share)

    def _kept(self, x: Tensor, probability: float) -> Tensor:
        """(N, C, H, W): 1 for what stays, 0 for what is dropped."""
        n, c, h, w = x.shape
        side = int(min(max(self.side * self.progress, 1), h, w))
        smallest, place = torch.rand(n, c, h * w, dtype=torch.float32, device=x.device).min(2)
        rows = (place // w).clamp(max=h - side)[:, :, None]
        columns = (place % w).clamp(max=w - side)[:, :, None]
        in_rows = _within(torch.arange(h, device=x.device), rows, side)
        in_columns = _within(torch.arange(w, device=x.device), columns, side)
        hit = smallest < probability / side**2
        dropped = hit[:, :, None, None] & in_rows[:, :, :, None] & in_columns[:, :, None, :]
        return (~dropped).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.probability:g}, side={self.side:g}"


def _within(positions: Tensor, first: Tensor, count: int) -> Tensor:
    return (positions >= first) & (positions < first + count)
