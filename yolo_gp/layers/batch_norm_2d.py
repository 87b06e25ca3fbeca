"""[BatchNorm2d]: the YOLOR dialect's batch normalisation in a section of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from yolo_gp.layers.answers import WeightBlock
from yolo_gp.layers.batchnorm import BatchNormSection
from yolo_gp.layers.meanings import Reader
from yolo_gp.shapes import FeatureShape


class BatchNorm2d(BatchNormSection):
    """[BatchNorm2d]: as [batchnorm], with epsilon 1e-4.  (C, H, W) -> the same.

    Source: yolor-dialect.md.
    """

    kind: ClassVar[str] = "BatchNorm2d"
    reader: ClassVar[Reader] = "YOLOR"

    def pjreddies_weight_order(self, inputs: Sequence[FeatureShape]) -> tuple[WeightBlock, ...]:
        return self.weight_order(inputs)
