"""Detection over many inputs: read, detect in batches, hand on, go on past what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from yolo_gp.tasks.detector import Detector
from yolo_gp.tasks.frames import Failure, Frame
from yolo_gp.tasks.results import Report
from yolo_gp.tasks.writers import Writer


def detect_all(
    detector: Detector,
    sources: Iterable[Frame | Failure],
    *,
    batch_size: int,
    writers: Sequence[Writer],
    report: Report,
    advance: Callable[[int], object] = lambda count: None,
) -> None:
    """Run the detector over all sources, in order.

    Args:
        batch_size: images per forward pass.
        writers: each gets every frame with its detections, and is closed at the end.
        report: gathers what was found and what failed.
        advance: called with the number of inputs done, for a progress bar.

    Raises:
        DataError: a result cannot be written.
    """
    try:
        for batch in _batches(sources, batch_size):
            frames = [item for item in batch if isinstance(item, Frame)]
            found = iter(detector.detect_batch([frame.image for frame in frames]))
            for item in batch:
                if isinstance(item, Failure):
                    report.fail(item)
                    continue
                detections = next(found)
                report.add(item, detections)
                for writer in writers:
                    writer.write(item, detections)
            advance(len(batch))
    finally:
        for writer in writers:
            writer.close()


def _batches(
    sources: Iterable[Frame | Failure], batch_size: int
) -> Iterator[list[Frame | Failure]]:
    batch: list[Frame | Failure] = []
    frames = 0
    for item in sources:
        batch.append(item)
        frames += isinstance(item, Frame)
        if frames == batch_size:
            yield batch
            batch, frames = [], 0
    if batch:
        yield batch
