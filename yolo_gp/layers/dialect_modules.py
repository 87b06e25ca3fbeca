"""What the kinds of the YOLOR dialect need that torch lacks (yolor-dialect.md).

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_START_DEVIATION = 0.02


class LearnedMap(nn.Module):
    """Learned numbers as one map for all images, (1, C, H, W); it takes no input."""

    def __init__(self, shape: tuple[int, int, int], start_mean: float) -> None:
        super().__init__()
        self.start_mean = start_mean
        self.weight = nn.Parameter(torch.empty(1, *shape))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Normal around `start_mean`, drawn where the generator is."""
        drawn = torch.empty(self.weight.shape)
        drawn.normal_(self.start_mean, _START_DEVIATION, generator=generator)
        self.weight.copy_(drawn)

    def forward(self) -> Tensor:
        return self.weight.view_as(self.weight)  # no parameter itself, which would want a gradient


class LearnedChannels(nn.Module):
    """x with one number per channel added, multiplied, joined or as a gate; see the layer's file.

    `flat`: the numbers are all those of the source, (N, A, B, 1), in order.
    """

    def __init__(self, operation: str, *, flat: bool) -> None:
        super().__init__()
        self.operation = operation
        self.flat = flat

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        if self.flat:
            vector = vector.flatten(1)[:, :, None, None]
        match self.operation:
            case "add":
                return x + vector
            case "multiply":
                return x * vector
            case "gate":
                return x * vector.sigmoid()
            case _:
                return torch.cat((vector.expand_as(x), x), dim=1)

    def extra_repr(self) -> str:
        return self.operation


class SpaceToDepth(nn.Module):
    """Every second pixel: (even row, even column), (odd, even), (even, odd), (odd, odd).

    (N, C, H, W) -> (N, 4 C, H / 2, W / 2).
    """

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return torch.cat(parts, dim=1)


class CornerPaddedMaxPool(nn.Module):
    """The largest of 2 x 2 pixels, stride 1; beyond the last row and column lie zeros, which count.

    Shape of x.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 2, 1)


class ZeroPaddedMean(nn.Module):
    """The mean of each window; what lies beyond the map are zeros, which count.

    `padding` is the total per axis, half of it, rounded down, before.
    """

    def __init__(self, kernel_size: int, stride: tuple[int, int], padding: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.sides = (padding // 2, padding - padding // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, self.sides), self.kernel_size, self.stride)
