"""Poolings of the cfg language that torch lacks: over channels, and the blur of antialiasing.

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Blur(nn.Module):
    """Each channel's [1 2 1] x [1 2 1] / 16, padded by a zero, or its 2 x 2 mean; then the stride.

    [1 2 1] / 4 is two means of two in a row, which spares the kernel a place among the weights.
    """

    def __init__(self, kernel_size: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == 3:
            x = F.avg_pool2d(x, 2, stride=1, padding=1)
        return F.avg_pool2d(x, 2, self.stride)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}"


class ChannelMaxPool(nn.Module):
    """Output channel g is the largest of the channels g, g + outputs, g + 2 outputs ...

    (N, C, H, W) -> (N, outputs, H, W); `outputs` is at most C and need not divide it.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        short = -c % self.outputs
        if short:
            x = F.pad(x, (0, 0, 0, 0, 0, short), value=float("-inf"))
        return x.reshape(n, (c + short) // self.outputs, self.outputs, h, w).amax(1)

    def extra_repr(self) -> str:
        return f"{self.outputs}"
