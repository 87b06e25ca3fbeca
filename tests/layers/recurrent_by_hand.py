"""The layers inside recurrent sections in NumPy, their numbers drawn in the order of a file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, read_as_sequences
from yolo_gp.weights.darknet import load_weights, save_weights
from yolo_gp.weights.layout import WeightsDialect

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

HEADER = struct.pack("<iiiQ", 0, 2, 5, 77)


def linear(x: Array) -> Array:
    return x


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.1 * x)


class Drawn:
    """Random layers; each layer asked for comes behind those before it in the file."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._floats: list[NDArray[np.float32]] = []

    def _draw(self, *shape: int, low: float = -1, high: float = 1) -> Array:
        drawn = self._random.uniform(low, high, shape).astype(np.float32)
        self._floats.append(drawn.ravel())
        return drawn.astype(np.float64)

    def _scales(self, count: int) -> tuple[Array, Array, Array]:
        scale, mean = self._draw(count, low=0.5, high=2), self._draw(count)
        return scale, mean, self._draw(count, low=0.5, high=2)

    def connected(
        self, inputs: int, outputs: int, activation: Function = linear, *, batch_norm: bool = False
    ) -> Function:
        """(N, ...) -> (N, outputs): biases, weights, then scales, means and variances."""
        bias, weight = self._draw(outputs), self._draw(outputs, inputs)
        scales = self._scales(outputs) if batch_norm else None

        def compute(x: Array) -> Array:
            y = x.reshape(len(x), -1) @ weight.T
            if scales is not None:
                scale, mean, variance = scales
                y = scale * (y - mean) / np.sqrt(variance + 1e-5)
            return activation(y + bias)

        return compute

    def convolution(
        self,
        channels: int,
        filters: int,
        size: int,
        activation: Function = linear,
        *,
        batch_norm: bool = False,
        groups: int = 1,
    ) -> Function:
        """(N, C, H, W) -> (N, filters, H, W): biases, scales, means, variances, then weights."""
        bias = self._draw(filters)
        scales = self._scales(filters) if batch_norm else None
        weight = self._draw(filters, channels // groups, size, size)

        def compute(x: Array) -> Array:
            y = _slide(x, weight, groups)
            if scales is not None:
                scale, mean, variance = (each[:, None, None] for each in scales)
                y = scale * (y - mean) / np.sqrt(variance + 1e-5)
            return activation(y + bias[:, None, None])

        return compute

    def maps(self, *shape: int) -> Array:
        """Random maps, which no file holds."""
        return self._random.uniform(-1, 1, shape).astype(np.float32).astype(np.float64)

    def write(self, path: Path, header: bytes = HEADER) -> None:
        path.write_bytes(header + np.concatenate(self._floats).astype("<f4").tobytes())


def _slide(x: Array, weight: Array, groups: int) -> Array:
    """The window over the map with zeros around it, tap by tap."""
    filters, depth, size, _ = weight.shape
    count, _, height, width = x.shape
    pad = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.zeros((count, filters, height, width))
    for filter_ in range(filters):
        first = filter_ // (filters // groups) * depth
        for channel in range(depth):
            for row in range(size):
                for column in range(size):
                    part = padded[:, first + channel, row : row + height, column : column + width]
                    y[:, filter_] += weight[filter_, channel, row, column] * part
    return y


def loaded(
    text: str, drawn: Drawn, folder: Path, dialect: WeightsDialect = "alexeyab"
) -> tuple[Graph, fx.GraphModule]:
    """The network of a cfg with these weights; writing them again gives the same bytes."""
    graph = compile_text(text, "recurrent.cfg")
    network = compile_network(graph)
    drawn.write(folder / "in.weights")
    header = load_weights(folder / "in.weights", graph, network, dialect)
    save_weights(folder / "out.weights", graph, network, header, dialect=dialect)
    assert (folder / "out.weights").read_bytes() == (folder / "in.weights").read_bytes()
    return graph, network


@torch.no_grad()
def outputs(network: fx.GraphModule, maps: Array) -> Array:
    """What the network gives for T steps (T, N, C, H, W) in one call, as (T, N, C', H', W')."""
    steps, count = maps.shape[:2]
    read_as_sequences(network, time_steps=steps)
    (result,) = network(torch.from_numpy(maps.reshape(steps * count, *maps.shape[2:])).float())
    found: Array = result.double().numpy().reshape(steps, count, *result.shape[1:])
    return found


def close(found: Array, expected: Array) -> bool:
    """Equal to float32's rounding."""
    return found.size > 0 and bool(np.allclose(found.reshape(expected.shape), expected, atol=2e-5))
