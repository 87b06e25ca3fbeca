"""The pictures of a val run: curves, confusion of classes, worst misses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo_gp.data.dataset import Dataset
from yolo_gp.metrics.confusion import confusion_matrix
from yolo_gp.metrics.curves import Curves
from yolo_gp.metrics.misses import worst_misses
from yolo_gp.plots.confusion import write_confusion
from yolo_gp.plots.curves import write_curves
from yolo_gp.tasks.inference import as_array
from yolo_gp.tasks.val_pictures import write_misses
from yolo_gp.tasks.val_results import EvaluatedImages, ImageResult, ground_truths


def write_plots(
    folder: Path, dataset: Dataset, results: Sequence[ImageResult], curves: Curves
) -> None:
    """Write curves.png, confusion.png and misses.png; images that cannot be used are not shown.

    Raises:
        DataError: a file cannot be written, or an image can no longer be read.
    """
    names = dataset.class_names
    usable = [result for result in results if result.problem is None]
    images = EvaluatedImages(ground_truths(dataset, usable), usable, "coco")
    paths = {result.coco.image_id: dataset.samples[result.index].path for result in usable}

    def read(image_id: int) -> NDArray[np.uint8]:
        return as_array(paths[image_id], 3)

    write_curves(folder / "curves.png", curves, names)
    write_confusion(folder / "confusion.png", confusion_matrix(images, len(names)), names)
    write_misses(folder / "misses.png", images, worst_misses(images), names, read)
