"""The result of one image as bytes for the journal of a val run, and back.

Numbers are little-endian, floats are stored bit by bit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from yolo_gp.detections import Rle
from yolo_gp.metrics.records import ImageDetections
from yolo_gp.tasks.val_results import ImageResult

_IMAGE = struct.Struct("<qiiI")  # image id, height, width, bytes of the problem
_FOUND = struct.Struct("<IB")  # detections, whether they have masks
_NO_PROBLEM = 0xFFFFFFFF


def packed(image: ImageResult) -> bytes:
    """An image's result as bytes, but for its index."""
    problem = None if image.problem is None else image.problem.encode()
    length = _NO_PROBLEM if problem is None else len(problem)
    head = _IMAGE.pack(image.coco.image_id, *image.size, length)
    found = *_packed_found(image.coco), *_packed_found(image.darknet)
    return b"".join((head, problem or b"", *found))


def _packed_found(found: ImageDetections) -> Iterator[bytes]:
    yield _FOUND.pack(len(found), found.masks is not None)
    yield found.boxes_xyxy.astype("<f4").tobytes()
    yield found.confidences.astype("<f4").tobytes()
    yield found.class_ids.astype("<i4").tobytes()
    if found.masks is not None:
        counts = [mask.counts.encode("ascii") for mask in found.masks]
        yield np.array([len(count) for count in counts], dtype="<u4").tobytes()
        yield from counts


def unpacked(index: int, record: bytes) -> ImageResult:
    """The result of image `index` from the bytes that `packed` made of it."""
    image_id, height, width, problem_length = _IMAGE.unpack_from(record)
    reader = _Reader(record[_IMAGE.size :])
    problem = None if problem_length == _NO_PROBLEM else reader.take(problem_length).decode()
    size = height, width
    coco = reader.found(image_id, size)
    return ImageResult(index, size, problem, coco, reader.found(image_id, size))


class _Reader:
    """Takes one value after the other from the bytes of an image's record."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def found(self, image_id: int, size: tuple[int, int]) -> ImageDetections:
        count, has_masks = _FOUND.unpack(self.take(_FOUND.size))
        boxes = np.frombuffer(self.take(16 * count), dtype="<f4").reshape(count, 4)
        confidences = np.frombuffer(self.take(4 * count), dtype="<f4")
        class_ids = np.frombuffer(self.take(4 * count), dtype="<i4").astype(np.int64)
        masks = None
        if has_masks:
            lengths = np.frombuffer(self.take(4 * count), dtype="<u4").tolist()
            masks = tuple(Rle(size, self.take(length).decode("ascii")) for length in lengths)
        return ImageDetections(
            image_id,
            boxes.astype(np.float32, copy=False),
            confidences.astype(np.float32, copy=False),
            class_ids,
            masks,
        )
