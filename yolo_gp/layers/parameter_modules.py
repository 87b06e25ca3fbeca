"""Modules with parameters that none of torch's own modules holds, and how they start.

Shapes: N images, C channels, H rows, W columns; all maps are (N, C, H, W).
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolo_gp.layers.activation_modules import Activation


@runtime_checkable
class Initialised(Protocol):
    """A module that fills its own parameters."""

    def initialise(self, generator: torch.Generator) -> None:
        """Fill them as Darknet does before training, drawing from `generator`."""
        ...


def fill_uniformly(tensor: Tensor, mean: float, bound: float, generator: torch.Generator) -> None:
    """Uniform within mean +- bound, drawn where the generator is."""
    drawn = torch.empty(tensor.shape).uniform_(mean - bound, mean + bound, generator=generator)
    tensor.copy_(drawn)


class Local(nn.Module):
    """A convolution with filters and biases of its own for every place of the output.

    `weight` is (H' W', filters, C k k), `bias` (filters, H', W'): the order of a weights file.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        output: tuple[int, int, int],
        kernel_size: int,
        stride: int,
        padding: int,
        activation: str,
    ) -> None:
        super().__init__()
        filters, height, width = output
        self.output = output
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        inputs = in_channels * kernel_size**2
        self.weight = nn.Parameter(torch.empty(height * width, filters, inputs))
        self.bias = nn.Parameter(torch.empty(output))
        self.activation = Activation(activation, owns_input=True)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        bound = math.sqrt(2.0 / self.weight.shape[2])
        fill_uniformly(self.weight, 0.0, bound, generator)
        self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(x, self.kernel_size, padding=self.padding, stride=self.stride)
        sums = self.weight @ patches.permute(2, 1, 0)  # (H' W', filters, N)
        out: Tensor = self.activation(sums.permute(2, 1, 0).reshape(-1, *self.output) + self.bias)
        return out


class Implicit(nn.Module):
    """A learned map that reads nothing, (1, filters, atoms, 1)."""

    def __init__(self, filters: int, atoms: int, mean: float, deviation: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, atoms))
        self.mean = mean
        self.deviation = deviation

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        fill_uniformly(self.weight, self.mean, self.deviation, generator)

    def forward(self) -> Tensor:
        return self.weight[None, :, :, None]
