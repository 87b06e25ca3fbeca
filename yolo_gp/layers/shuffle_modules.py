"""The shuffles of [reorg] and [reorg3d]: every number moves, none changes (darknet.md 2.7).

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W); s is the stride.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Reorg(nn.Module):
    """Darknet's `[reorg]` shuffle; see layers/reorg.py."""

    def __init__(self, stride: int, reverse: bool) -> None:
        super().__init__()
        self.stride = stride
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        s = self.stride
        x = x.contiguous()
        if self.reverse:
            return _scattered(x, (c, h, w), s).reshape(n, c // s**2, h * s, w * s)
        shuffled = x.reshape(n, c // s**2, h, s, w, s).permute(0, 3, 5, 1, 2, 4)
        return shuffled.reshape(n, c * s**2, h // s, w // s)


def _scattered(x: Tensor, shape: tuple[int, int, int], s: int) -> Tensor:
    """The inverse of [reorg]'s shuffle of a (C, H, W) map, over the flat numbers of x."""
    c, h, w = shape
    return x.reshape(x.shape[0], s, s, c // s**2, h, w).permute(0, 3, 4, 1, 5, 2)


class Reorg3d(nn.Module):
    """Darknet's `[reorg3d]`; see layers/reorg3d.py."""

    def __init__(self, stride: int, reverse: bool) -> None:
        super().__init__()
        self.stride = stride
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        s = self.stride
        x = x.contiguous()
        if self.reverse:
            shape = (c // s**2, h * s, w * s)
            return _scattered(x, shape, s).reshape(n, *shape)
        shuffled = x.reshape(n, c, h // s, s, w // s, s).permute(0, 3, 5, 1, 2, 4)
        return shuffled.reshape(n, c * s**2, h // s, w // s)


class FlatTranspose(nn.Module):
    """The numbers in the order of pixels, each with all its channels; `reverse` goes back.

    The shape is `shape`, (C, H, W), whatever the order means.
    """

    def __init__(self, shape: tuple[int, int, int], reverse: bool) -> None:
        super().__init__()
        self.shape = shape
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.contiguous()
        parts = x.reshape(n, h * w, c) if self.reverse else x.reshape(n, c, h * w)
        return parts.transpose(1, 2).reshape(n, *self.shape)


class FlatPadding(nn.Module):
    """All numbers, then `extra` zeros.  (N, C, H, W) -> (N, C H W + extra, 1, 1)."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x.flatten(1), (0, self.extra))[:, :, None, None]
