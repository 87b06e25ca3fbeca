"""What a layer costs, in exact integers that add up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one layer for one image.

    Fields:
        params: trainable numbers, as torch counts them (zoo.md A.1, P_train): weights, the bias of
            layers without batch norm, scale and shift of each batch norm.
        macs: multiply-adds of convolutions and connected layers (F0 / 2), nothing else.
        darknet_operations: what AlexeyAB's Darknet counts for its BFLOPs (D2; darknet.md 8).
        activations: elements of the output.
    """

    params: int = 0
    macs: int = 0
    darknet_operations: int = 0
    activations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.params + other.params,
            self.macs + other.macs,
            self.darknet_operations + other.darknet_operations,
            self.activations + other.activations,
        )

    @property
    def flops(self) -> int:
        """Two per multiply-add."""
        return 2 * self.macs

    @property
    def bflops(self) -> float:
        """The figure that Darknet prints, in units of 1e9 operations."""
        return self.darknet_operations / 1e9
