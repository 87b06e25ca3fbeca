"""Normalisations over batches, channels and pixels (darknet.md 2.8, 2.10, 2.14).

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_NORM = 1e-12  # of a pixel whose channels are all zero, which pjreddie's Darknet makes NaN


class BatchNorm(nn.Module):
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, per channel."""

    def __init__(self, channels: int, epsilon: float, momentum: float = 0.1) -> None:
        super().__init__()
        self.batch_norm = nn.BatchNorm2d(channels, epsilon, momentum)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.batch_norm(x)
        return out


class LocalResponseNorm(nn.Module):
    """x_k n_k^-beta, n_k = kappa + alpha times the squares of neighbouring channels, as Darknet
    keeps count of them.

    The count starts with the first size // 2 channels; then every step adds the square that enters
    the window and takes away the one that leaves it. The start lacks channel size // 2, which
    leaves the window later all the same: trained weights know it no other way. Large alphas make
    n_k negative and the output NaN, as in Darknet.

    Source: Darknet src/normalization_layer.c; darknet.md 2.10.
    """

    def __init__(self, size: int, alpha: float, beta: float, kappa: float) -> None:
        super().__init__()
        self.after = size // 2
        self.before = (size - 1) // 2
        self.alpha = alpha
        self.beta = beta
        self.kappa = kappa

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.kappa + self.alpha * self._counted_squares(x)) ** -self.beta

    def _counted_squares(self, x: Tensor) -> Tensor:
        """What entered up to channel k, less channel size // 2 from k = 0 on, and what left."""
        channels = x.shape[1]
        until = F.pad(x.square().cumsum(1), (0, 0, 0, 0, 1, 0))  # [:, m]: sum over channels < m
        entered = [min(k + self.after + 1, channels) for k in range(channels)]
        left = [max(k - self.before, 0) for k in range(channels)]
        never_added = until[:, [min(self.after + 1, channels)]]
        never_added = never_added - until[:, [min(self.after, channels)]]
        return until[:, entered] - until[:, left] - never_added


class PixelNorm(nn.Module):
    """Each pixel's channels divided by their length; a pixel of zeros stays one."""

    def forward(self, x: Tensor) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return x / length.clamp(min=_LEAST_NORM)
