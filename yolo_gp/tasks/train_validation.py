"""Accuracy while training: the val task on a copy of the averaged weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from yolo_gp.data.dataset import Dataset
from yolo_gp.graph import Graph
from yolo_gp.tasks.detector import Detector
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.val import ValSettings, detect_batches, val_preset
from yolo_gp.tasks.val_loading import batch_count
from yolo_gp.tasks.val_metrics import evaluate
from yolo_gp.tasks.val_results import ImageResult


@dataclass(frozen=True, slots=True)
class Accuracy:
    """COCO's figures of the boxes."""

    ap: float
    ap50: float
    ap75: float


def usual_interval(training: int, validation: int) -> int:
    """Epochs between measurements: so many that they see a fifth as many images as training."""
    return max(1, round(5 * validation / training))


@dataclass(frozen=True, slots=True)
class Validation:
    """What accuracy is measured on, how and how often.

    Fields:
        every: epochs between measurements.
    """

    dataset: Dataset
    settings: ValSettings
    every: int

    def measure(self, graph: Graph, network: fx.GraphModule, ranks: Ranks) -> Accuracy:
        """How good a network is; each process sees its share of the images, all get the figures.

        Args:
            network: not needed any more: it is folded in place.

        Raises:
            DataError: there are no images.
        """
        device = next(network.parameters()).device
        detector = Detector(graph, network, val_preset(None, graph), device=device)
        count = batch_count(len(self.dataset.samples), self.settings.batch_size)
        found: list[tuple[int, tuple[ImageResult, ...]]] = []
        for batch in detect_batches(
            detector, self.dataset, self.settings, ranks.share_of(list(range(count)))
        ):
            found.append((batch.number, batch.images))
        together = sorted(
            (each for share in ranks.gather(found) for each in share), key=lambda each: each[0]
        )
        results = [result for _, images in together for result in images]
        metrics = evaluate(self.dataset, results, detector.num_classes, detector.preset)
        return Accuracy(metrics.box.ap, metrics.box.ap50, metrics.box.ap75)
