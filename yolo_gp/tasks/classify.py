"""Classification of many inputs: read, classify in batches, go on past what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from yolo_gp.tasks.classifier import Classifier
from yolo_gp.tasks.classify_report import ClassifyReport
from yolo_gp.tasks.frames import Failure, Frame, in_batches


def classify_all(
    classifier: Classifier,
    sources: Iterable[Frame | Failure],
    *,
    top: int,
    batch_size: int,
    report: ClassifyReport,
    advance: Callable[[int], object] = lambda count: None,
) -> None:
    """Run the classifier over all sources, in order.

    Args:
        top: classes to report of each image.
        batch_size: images per forward pass.
        report: gathers what was said and what failed.
        advance: called with the number of inputs done, for a progress bar.
    """
    for batch in in_batches(sources, batch_size):
        frames = [item for item in batch if isinstance(item, Frame)]
        said = iter(classifier.classify_batch([frame.image for frame in frames], top))
        for item in batch:
            if isinstance(item, Failure):
                report.fail(item)
            else:
                report.add(item, next(said))
        advance(len(batch))
