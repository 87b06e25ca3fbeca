"""Detection over many inputs: read, detect in batches, hand on, go on past what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from yolo_gp.detections import Detections
from yolo_gp.tasks.detector import Detector
from yolo_gp.tasks.frames import Failure, Frame, in_batches
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
    run = object()  # tells the videos of this run from those of others
    try:
        for batch in in_batches(sources, batch_size, videos_apart=detector.remembers):
            frames = [item for item in batch if isinstance(item, Frame)]
            found = iter(_detect(detector, frames, run))
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


def _detect(detector: Detector, frames: Sequence[Frame], run: object) -> list[Detections]:
    images = [frame.image for frame in frames]
    if detector.remembers and frames and frames[0].is_video:
        return detector.detect_video(images, (run, frames[0].video))
    return detector.detect_batch(images)
